"""Optimised graphs, kept on disk, so that a restart does not optimise them again.

    MODEL/.optimised/                          or, where that can't be written, the user's cache
      generator-5f0c….d/
        graph.onnx                             the graph after onnxruntime's optimisations
        weights                                mapped into memory, not read
        seal.json                              sizes and times of both; written last

An entry belongs to one version of onnxruntime, one kind of processor (the layout of convolutions
depends on its vector instructions) and one content of the file, all of which are in its name.  It
is made in a directory of its own, forced to disk, and renamed: there are whole entries or none.

What is found there is believed while sizes and times are those of the seal, as with the checksums
of the model itself (checksums.py): that finds files cut short or changed by mistake, and is no
defence against somebody who may write there.  An entry that does not open is made again without a
word, and where nothing can be written the graph is optimised at each start.

At most ENTRIES_MAX entries are kept for a graph, the latest: two versions may share a model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.engine.kokoro.runtime import as_it_is, open_session, saving, version
from gateway.errors import SetupError

CACHE_FOLDER = ".optimised"
ENTRIES_MAX = 2

_GRAPH, _WEIGHTS, _SEAL = "graph.onnx", "weights", "seal.json"
_FORMAT = "1"
"""Raised when what an entry holds changes."""

_ABANDONED_S = 3600.0
"""A directory that is older than an entry by this was left by a process that was killed."""


def open_optimised(
    file: Path, sha256: str, options: Callable[[], Any], folder: Path | None = None
) -> tuple[Any, bool]:
    """A session on the graph in ``file``, and whether it came from the cache.

    ``sha256`` is the file's, verified before; ``options`` makes the options of one session, for the
    CPU.  ``folder`` is the model's directory, by default where the file lies.  Raises SetupError if
    onnxruntime can't open the file.
    """
    name = f"{file.stem}-{_key(sha256)}.d"
    places = [each / name for each in cache_folders(folder or file.parent)]
    for entry in places:
        session = _opened(entry, options)
        if session is not None:
            return session, True
    for entry in places:
        with _making(entry) as part:
            if part is None:
                continue
            session = _saved(file, options, part)
            if session is not None:
                return session, False
    return open_session(file, options()), False


def cache_folders(model: Path) -> tuple[Path, Path]:
    """Where the optimised graphs of the model in the directory ``model`` may lie, best first."""
    where = hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:16]
    return model / CACHE_FOLDER, user_cache() / f"{model.resolve().name}-{where}"


def user_cache(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """Where this system keeps what an application can make again.

    Linux: ``$XDG_CACHE_HOME`` or ``~/.cache`` (XDG Base Directory 0.8); macOS: ``~/Library/
    Caches``; Windows: ``%LOCALAPPDATA%``.
    """
    if platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif platform == "win32" and environ.get("LOCALAPPDATA"):
        base = Path(environ["LOCALAPPDATA"])
    else:
        cache_home = environ.get("XDG_CACHE_HOME", "")
        base = Path(cache_home) if os.path.isabs(cache_home) else Path.home() / ".cache"
    return base / "voice-gateway" / "optimised"


def forget(model: Path) -> None:
    """Delete all optimised graphs of a model; for benchmarks of a first start."""
    for folder in cache_folders(model):
        shutil.rmtree(folder, ignore_errors=True)


def _key(sha256: str) -> str:
    facts = (_FORMAT, version(), platform.machine(), processor(), sha256)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What tells kinds of processors apart: the instructions that it has, else its name."""
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return " ".join(sorted(value.split()))
    return platform.processor()


def _opened(entry: Path, options: Callable[[], Any]) -> Any | None:
    """The session of an entry; None if there is none, or it is damaged: then it is deleted."""
    if not entry.is_dir():
        return None
    try:
        seal = json.loads((entry / _SEAL).read_bytes())
        if seal != _stamps(entry):
            raise ValueError
        return open_session(entry / _GRAPH, as_it_is(options()))
    except (OSError, ValueError, SetupError):
        shutil.rmtree(entry, ignore_errors=True)
        return None


@contextlib.contextmanager
def _making(entry: Path) -> Iterator[Path | None]:
    """A directory to fill, which becomes ``entry`` if it was sealed; None if we can't write."""
    part = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=entry.parent))
    except OSError:
        yield None
        return
    try:
        yield part
        if (part / _SEAL).is_file():
            part.chmod(0o755)  # others may run the same model; mkdtemp lets in nobody else
            # Fails if another process was faster: its entry is as good.
            with contextlib.suppress(OSError):
                part.replace(entry)
            _tidy(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _saved(file: Path, options: Callable[[], Any], part: Path) -> Any | None:
    """A session on ``file`` that left its optimised graph in ``part``; None if it could not."""
    choices = options()
    saving(choices, part / _GRAPH, _WEIGHTS)
    try:
        session = open_session(file, choices)
    except SetupError:
        return None  # no room, or the graph is bad: opening it plainly will tell
    with contextlib.suppress(OSError):
        for name in (_GRAPH, _WEIGHTS):
            _force(part / name)
        (part / _SEAL).write_text(json.dumps(_stamps(part)))
        _force(part / _SEAL)
    return session


def _stamps(entry: Path) -> dict[str, list[int]]:
    """Size and time of change of both files; raises OSError."""
    stats = {name: (entry / name).stat() for name in (_GRAPH, _WEIGHTS) if (entry / name).exists()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _force(file: Path) -> None:
    """To disk: after a loss of power a renamed file may have its length, but zeros in it."""
    if file.exists():  # a graph without large weights has no file for them
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _tidy(entry: Path) -> None:
    """Delete all but the latest entries of the same graph, and what nobody finished."""
    stem = entry.name.rpartition("-")[0]
    entries = [each for each in entry.parent.glob("*.d") if each.name.rpartition("-")[0] == stem]
    with contextlib.suppress(OSError):
        entries.sort(key=lambda each: each.stat().st_mtime_ns, reverse=True)
        latest = entries[0].stat().st_mtime
        parts = [
            part
            for part in entry.parent.glob("part-*")
            if latest - part.stat().st_mtime > _ABANDONED_S
        ]
        for old in (*entries[ENTRIES_MAX:], *parts):
            shutil.rmtree(old, ignore_errors=True)
