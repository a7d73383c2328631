"""The settings in effect, as a TOML file that may be read back: ``serve --print-config``.

Each setting comes with its description and, unless it has its default, with who set it.  Secrets
are masked, so that the output may be shown; a masked line is commented out, and so is a setting
without a value, which TOML can't express.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr

from gateway.settings import Settings

Origin = Callable[[str], str | None]
"""Names who set ``limits.sessions_max``; None for a default."""


def render(settings: Settings, origin: Origin) -> str:
    """The whole report, one TOML table a section."""
    return "\n".join(_section(settings, "", origin)).strip() + "\n"


def _section(section: BaseModel, path: str, origin: Origin) -> Iterator[str]:
    fields = type(section).model_fields
    nested = [name for name in fields if isinstance(getattr(section, name), BaseModel)]
    if path:
        yield from ("", f"# {(type(section).__doc__ or '').strip()}", f"[{path}]")
    for name, field in fields.items():
        if name in nested:
            continue
        full_name = f"{path}.{name}"
        source = origin(full_name)
        yield ""
        yield f"# {field.description}" + (f"  (set by {source})" if source else "")
        yield _assignment(name, getattr(section, name))
    for name in nested:  # tables come after the plain values of their parent
        yield from _section(getattr(section, name), f"{path}.{name}".lstrip("."), origin)


def _assignment(name: str, value: object) -> str:
    if value is None:
        return f"# {name} ="
    if isinstance(value, tuple) and any(isinstance(item, SecretStr) for item in value):
        return f"# {name} = {_toml([str(item) for item in value])}"
    return f"{name} = {_toml(value)}"


def _toml(value: object) -> str:
    """A value in TOML; JSON's strings, numbers and booleans are TOML's as well."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Path):
        return json.dumps(str(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)
