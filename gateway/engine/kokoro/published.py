"""The published model files that ``models get`` knows: ``published.toml``, read.

Every file has its size and SHA-256 pinned; where they come from, the table itself says.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from gateway.engine.kokoro.manifest import Sha256
from gateway.errors import InvalidValue

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_TABLE = Path(__file__).with_name("published.toml")


class PublishedFile(BaseModel):
    """A file to fetch; ``base`` is set where it lies elsewhere than the rest of its release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    bytes: int = Field(gt=0)
    sha256: Sha256
    base: str = ""


class Release(BaseModel):
    """One publication of the model: a graph in several precisions, and the voices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    source: str
    base: str
    licence: str
    graphs: dict[Precision, PublishedFile]
    voices: PublishedFile

    def files(self, precision: Precision) -> tuple[PublishedFile, PublishedFile]:
        """The graph and the voices."""
        return self.graphs[precision], self.voices

    def url(self, file: PublishedFile, base: str = "") -> str:
        """Where a file lies: at ``base`` if given, for mirrors, else where it was published."""
        return f"{(base or file.base or self.base).rstrip('/')}/{file.file}"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    default: str
    release: tuple[Release, ...]


def releases() -> tuple[Release, ...]:
    """All releases, the default one first."""
    table = _Table.model_validate(tomllib.loads(_TABLE.read_text(encoding="utf-8")))
    return tuple(sorted(table.release, key=lambda release: release.name != table.default))


def find_release(name: str = "") -> Release:
    """The release called ``name``, or the default one.  Raises InvalidValue."""
    known = releases()
    for release in known:
        if name in ("", release.name):
            return release
    names = ", ".join(release.name for release in known)
    raise InvalidValue(f"release: there is no {name!r}; there are {names}", field="release")
