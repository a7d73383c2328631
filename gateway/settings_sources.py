"""Where settings come from: the file, the environment and flags; who set what; what is misspelt.

    voice-gateway.toml      [limits]  sessions_max = 50
    environment             VOICE_GATEWAY_LIMITS__SESSIONS_MAX=50
    flags                   --set limits.sessions_max=50          the strongest

Environment and flags are text, read by the same rules: numbers and ``true``/``false`` as such, a
tuple as JSON (``["a", "b"]``) or separated by commas (``a,b``).  Names are case-insensitive there.

Unknown names are refused, with the nearest ones that exist.  In the environment only names with
``__`` count: VOICE_GATEWAY_API_KEY and VOICE_GATEWAY_URL belong to the client commands, and
Kubernetes sets VOICE_GATEWAY_PORT and the like by itself for a service of our name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from gateway.errors import SetupError

PREFIX = "VOICE_GATEWAY_"
DELIMITER = "__"


def known_settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting of ``model`` as ("limits.sessions_max", its field), in order of definition."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from known_settings(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


class TextSource(EnvSettingsSource):
    """Settings from text variables, ``VOICE_GATEWAY_SECTION__NAME`` → text."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        super().__init__(settings_cls, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)
        self.env_vars = {name.lower(): value for name, value in variables.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """JSON, or else items separated by commas."""
        if value.lstrip().startswith(("[", "{")):
            try:
                return super().decode_complex_value(field_name, field, value)
            except ValueError as error:
                raise SetupError(
                    f"setting {field_name}: its value looks like JSON and is not: {error}",
                    field=field_name,
                ) from None
        return [item.strip() for item in value.split(",") if item.strip()]

    def __call__(self) -> dict[str, Any]:
        """The values, nested as the settings are."""
        return _typed(super().__call__(), self.settings_cls)


def _typed(values: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Convert the text that pydantic leaves alone: a Literal of numbers, and an empty tuple."""
    converted = dict(values)
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        kind = field.annotation
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            converted[name] = _typed(value, kind)
        elif value == "" and get_origin(kind) is tuple:
            converted[name] = ()
        elif isinstance(value, str) and get_origin(kind) is Literal:
            by_text = {str(choice): choice for choice in get_args(kind)}
            converted[name] = by_text.get(value.strip(), value)
    return converted


@dataclass(frozen=True, slots=True)
class Layers:
    """What each source sets, checked for names that do not exist.

    ``file_names`` are dotted names; ``environment`` and ``flags`` map the dotted name to the
    variable, and all variables to their text.
    """

    file: Path | None
    file_names: frozenset[str]
    environment: Mapping[str, str]
    flags: Mapping[str, str]

    @classmethod
    def read(
        cls,
        model: type[BaseSettings],
        file: Path | None,
        overrides: Sequence[str],
        environ: Mapping[str, str],
    ) -> Layers:
        """Look at all sources; raises SetupError for what can't be read or has no such name."""
        known = {name for name, _ in known_settings(model)}
        sections = {name.rpartition(".")[0] for name in known}
        layers = cls(
            file,
            frozenset(_names_in_file(file, sections) if file else ()),
            {key: value for key, value in environ.items() if _is_setting(key)},
            dict(_variable_of_flag(flag) for flag in overrides),
        )
        for source, names in (
            (str(file), layers.file_names),
            ("the environment", [_dotted(key) for key in layers.environment]),
            ("--set", [_dotted(key) for key in layers.flags]),
        ):
            for name in names:
                if name not in known and name not in sections:
                    raise _unknown(name, source, sorted(known))
        return layers

    def sources(self, model: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
        """For pydantic-settings, strongest first."""
        texts = (TextSource(model, self.flags), TextSource(model, self.environment))
        if self.file is None:
            return texts
        return (*texts, TomlConfigSettingsSource(model, toml_file=self.file))

    def origin(self, name: str) -> str | None:
        """Who set ``limits.sessions_max``; None if it has its default."""
        wanted = {name, *_parents(name)}
        for key in self.flags:
            if _dotted(key) in wanted:
                return f"--set {_dotted(key)}"
        for key in self.environment:
            if _dotted(key) in wanted:
                return key
        return str(self.file) if name in self.file_names else None

    def explain(self, error: ValidationError) -> SetupError:
        """The first invalid value, in words that name the setting, the value and the limit."""
        fault = error.errors(include_url=False)[0]
        parts = [str(part) for part in fault["loc"]]
        name = ".".join(part for part in parts if not part.isdigit())
        secret = name.endswith("api_keys")
        value = "" if secret else f" = {fault['input']!r}"
        origin = self.origin(name)
        text = fault["msg"][0].lower() + fault["msg"][1:]
        limits = [v for k, v in fault.get("ctx", {}).items() if isinstance(v, int | float | str)]
        return SetupError(
            f"setting {name}{value}{f' (from {origin})' if origin else ''}: {text}",
            field=name,
            limit=limits[0] if limits else None,
        )


def _names_in_file(file: Path, sections: set[str]) -> Iterator[str]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"cannot read the settings in {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"the settings in {file} are no valid TOML: {error}") from error
    yield from _flat(values, sections, "")


def _flat(values: Mapping[str, Any], sections: set[str], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and f"{prefix}{name}" in sections:
            yield from _flat(value, sections, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _variable_of_flag(flag: str) -> tuple[str, str]:
    name, equals, value = flag.partition("=")
    if not equals or not name.strip():
        raise SetupError(f"--set {flag}: write it as section.name=value", field="--set")
    return PREFIX + name.strip().replace("-", "_").replace(".", DELIMITER).upper(), value.strip()


def _is_setting(variable: str) -> bool:
    return variable.upper().startswith(PREFIX) and DELIMITER in variable[len(PREFIX) :]


def _dotted(variable: str) -> str:
    return variable[len(PREFIX) :].lower().replace(DELIMITER, ".")


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _unknown(name: str, source: str, known: Sequence[str]) -> SetupError:
    near = get_close_matches(name, known, n=2, cutoff=0.75)
    last = name.rpartition(".")[2]
    near += [each for each in known if each.endswith(f".{last}") and each not in near]
    hint = (
        f"did you mean {' or '.join(near[:3])}?"
        if near
        else "voice-gateway serve --print-config lists all."
    )
    return SetupError(f"no setting is named {name} (from {source}); {hint}", field=name)
