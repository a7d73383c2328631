"""What was measured of a model, kept for the next start.

    MODEL/.placement.json        or, where that can't be written,
    CACHE/placement/MODEL-….json the user's cache directory
      {"format": "placement/1", "measured": {KEY: {when, load, hardware, onnxruntime, trials}}}

KEY is a hash over the hardware with its drivers, the versions of onnxruntime and its providers, and
the checksums of the model's files: whatever differs there was not measured.  Several machines may
share a directory; the latest ENTRIES_MAX stay.  A file that can't be read counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.engine.hardware import Hardware
from gateway.engine.placement import Trial

FORMAT = "placement/1"
"""Raised when what a trial measures changes, too."""
FILE = ".placement.json"
ENTRIES_MAX = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """One machine's trials; the rest is for people.

    ``load``: how many processes wanted a core on average in the minute before; 0 if unknown.
    """

    when: str
    load: float
    hardware: Hardware
    onnxruntime: str
    trials: tuple[Trial, ...]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str = FORMAT
    measured: dict[str, Measured] = {}


def placement_key(
    hardware: Hardware, onnxruntime: str, providers: Sequence[str], checksums: Sequence[str]
) -> str:
    """Names what a measurement is true of."""
    facts = (FORMAT, astuple(hardware), onnxruntime, tuple(providers), tuple(checksums))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def cache_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """Where this system keeps what can be made again (XDG Base Directory 0.8; macOS, Windows)."""
    cache_home = environ.get("XDG_CACHE_HOME", "")
    if platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif platform == "win32" and environ.get("LOCALAPPDATA"):
        base = Path(environ["LOCALAPPDATA"])
    else:
        base = Path(cache_home) if os.path.isabs(cache_home) else Path.home() / ".cache"
    return base / "voice-gateway" / "placement"


class PlacementStore:
    """Measurements of the model in ``folder``; this machine's are at ``key``."""

    def __init__(self, folder: Path, key: str, cache: Path | None = None) -> None:
        where = folder.resolve()
        name = f"{where.name}-{hashlib.sha256(str(where).encode()).hexdigest()[:16]}"
        self._key = key
        self.files = (folder / FILE, (cache or cache_folder()) / f"{name}.json")

    def read(self) -> Measured | None:
        """This machine's measurements, if there are any."""
        for file in self.files:
            measured = _read(file).measured.get(self._key)
            if measured is not None:
                return measured
        return None

    def write(self, measured: Measured) -> Path | None:
        """Remember; returns where, None if neither place can be written."""
        for file in self.files:
            stored = _read(file)
            stored.measured.pop(self._key, None)
            entries = [*stored.measured.items(), (self._key, measured)][-ENTRIES_MAX:]
            part = file.with_name(f"{file.name}.part")
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(_STORED.dump_json(_Stored(measured=dict(entries)), indent=1))
                part.replace(file)
                return file
        return None


_STORED = TypeAdapter(_Stored)


def _read(file: Path) -> _Stored:
    with contextlib.suppress(OSError, ValidationError):
        stored = _STORED.validate_json(file.read_bytes())
        if stored.format == FORMAT:
            return stored
    return _Stored()
