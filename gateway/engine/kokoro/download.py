"""Fetching one large file so that it arrives whole or not at all.

    part file  ──GET, Range: bytes=n-──►  appended  ──size and SHA-256──►  renamed into place
                     ▲        │
                     └────────┘  again after a cut, ever later, while it makes progress

What has arrived stays in ``NAME.part``, and the next attempt goes on from there, even days later
(RFC 9110, section 14).  A server that ignores Range begins anew.  The name without ``.part`` means
that the checksum was right.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from gateway import __version__
from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.published import PublishedFile
from gateway.errors import SetupError

Progress = Callable[[int], None]
"""``progress(done)``: bytes of the file that are here."""

_BLOCK_BYTES = 256 * 1024
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that mean: try again."""

_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206


@dataclass(frozen=True, slots=True)
class Patience:
    """``tries_max`` counts attempts in a row that brought nothing new."""

    tries_max: int = 5
    delay_s: float = 0.5
    delay_max_s: float = 10.0
    timeout_s: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.delay_s * 2.0 ** (failures - 1), self.delay_max_s)


class _Cut(Exception):
    """The transfer broke off, or was refused for now; another try may succeed."""


def download(
    url: str, file: PublishedFile, target: Path, progress: Progress, patience: Patience
) -> None:
    """Fetch ``url`` to ``target``, going on from what an earlier attempt left.

    Raises SetupError for a server that refuses, a file that is another one, a full disk, and for a
    connection that can't be made or kept.
    """
    part = part_of(target)
    resumed = _size(part) > 0
    _make_room(part, file)
    _fetch(url, file, part, progress, patience)
    if sha256_of(part) != file.sha256 and resumed:
        part.unlink()  # what was left was of another file, or damaged
        _fetch(url, file, part, progress, patience)
    settle(part, file, target, url)


def settle(part: Path, file: PublishedFile, target: Path, origin: str) -> None:
    """Give ``part`` its name if it is ``file``.  Else remove it and raise SetupError."""
    size, digest = _size(part), sha256_of(part)
    if (size, digest) != (file.bytes, file.sha256):
        part.unlink()
        raise SetupError(
            f"{origin} is not the file that was expected: {size} bytes with SHA-256 {digest} "
            f"instead of {file.bytes} bytes with {file.sha256}.  It was discarded.  A model of "
            "your own needs no installing: put graph and voices into a directory and serve that"
        )
    part.replace(target)


def part_of(target: Path) -> Path:
    """Where a file lies until it is complete."""
    return target.with_name(f"{target.name}.part")


def writing(file: Path, missing_bytes: int, error: OSError) -> SetupError:
    """What to tell when ``file`` can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            f"the disk is full: {file.parent} needs {missing_bytes / 1e6:.0f} MB more; make room "
            "and run the command again, it goes on where it stopped"
        )
    return SetupError(f"cannot write {file}: {error.strerror}")


def _make_room(part: Path, file: PublishedFile) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    missing = file.bytes - _size(part)
    if missing > shutil.disk_usage(part.parent).free:
        raise writing(part, missing, OSError(errno.ENOSPC, ""))


def _fetch(
    url: str, file: PublishedFile, part: Path, progress: Progress, patience: Patience
) -> None:
    """Transfer until the part has the right size."""
    if _size(part) > file.bytes:
        part.unlink()
    furthest, failures = _size(part), 0
    while _size(part) < file.bytes:
        try:
            _transfer(url, file, part, progress, patience.timeout_s)
            reason = "the connection was cut"
        except _Cut as cut:
            reason = str(cut)
        if _size(part) > furthest:
            furthest, failures = _size(part), 0
        elif _size(part) < file.bytes:
            failures += 1
            if failures >= patience.tries_max:
                raise _gave_up(url, reason, failures)
        if _size(part) < file.bytes:
            time.sleep(patience.delay(max(failures, 1)))


def _transfer(
    url: str, file: PublishedFile, part: Path, progress: Progress, timeout_s: float
) -> None:
    """One request; appends what comes.  Raises _Cut, or SetupError if trying again is no use."""
    have = _size(part)
    headers = {"User-Agent": f"voice-gateway/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout_s)
    except HTTPError as error:
        with error:
            raise _refusal(url, error, part) from None
    except (OSError, HTTPException) as error:
        raise _Cut(_words(error)) from None
    with response:
        resumes = response.status == _PARTIAL_CONTENT
        _check_length(url, response, file, have if resumes else 0)
        with _open_part(part, append=resumes, file=file) as stream:
            _copy(response, stream, part, file, progress)


def _copy(
    response: HTTPResponse,
    stream: BinaryIO,
    part: Path,
    file: PublishedFile,
    progress: Progress,
) -> None:
    done = stream.tell()
    progress(done)
    while done < file.bytes:
        try:
            block = response.read(min(_BLOCK_BYTES, file.bytes - done))
        except (OSError, HTTPException) as error:
            raise _Cut(_words(error)) from None
        if not block:
            return
        try:
            stream.write(block)
            stream.flush()
        except OSError as error:
            raise writing(part, file.bytes - done, error) from error
        done += len(block)
        progress(done)
    os.fsync(stream.fileno())


def _open_part(part: Path, append: bool, file: PublishedFile) -> BinaryIO:
    try:
        return part.open("ab" if append else "wb")
    except OSError as error:
        raise writing(part, file.bytes, error) from error


def _check_length(url: str, response: HTTPResponse, file: PublishedFile, start: int) -> None:
    """A page of HTML, or another build, should be refused before it is fetched."""
    length = response.headers.get("Content-Length")
    if length is None or not length.isdigit():
        return
    size = start + int(length)
    if size != file.bytes:
        raise SetupError(
            f"{url} has {size} bytes instead of {file.bytes}: it is not {file.file} as published"
        )


def _refusal(url: str, error: HTTPError, part: Path) -> Exception:
    if error.code in _PASSING:
        return _Cut(f"the server answered {error.code} {error.reason}")
    if error.code == _RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)  # longer than the server's file: begin anew
        return _Cut("the server has less of the file than an earlier attempt left")
    return SetupError(
        f"{url}: the server answered {error.code} {error.reason}; "
        "if it is a mirror, check --url, else the file may have moved"
    )


def _gave_up(url: str, reason: str, failures: int) -> SetupError:
    return SetupError(
        f"cannot fetch {url}: {reason} ({failures} attempts).  What has arrived is kept: run the "
        "command again to go on.  On a machine without network, fetch the files elsewhere and give "
        "their directory with --from DIR"
    )


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
