"""SHA-256 of large files, remembered until they change.

Hashing 350 MB takes a third of a second, which a restart should not pay.  So the result is kept in
``.verified.json`` beside the files, and believed while a file's size and time of change are what
they were.  That finds damage and mix-ups; it is no defence against somebody who may write there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

CACHE_FILE = ".verified.json"


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class ChecksumCache:
    """Checksums of files in one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / CACHE_FILE
        self._known: dict[str, list[int | str]] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._file.read_bytes())
            if isinstance(known, dict):
                self._known = known

    def sha256(self, name: str) -> str:
        """SHA-256 of ``folder / name``; raises OSError if it can't be read."""
        file = self._folder / name
        stat = file.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        known = self._known.get(name)
        if isinstance(known, list) and known[:2] == stamp and len(known) == 3:
            return str(known[2])
        digest = sha256_of(file)
        self._known[name] = [*stamp, digest]
        self._save()
        return digest

    def _save(self) -> None:
        """Best effort: a model may lie where we can't write."""
        part = self._file.with_name(f"{CACHE_FILE}.part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(self._known))
            part.replace(self._file)
