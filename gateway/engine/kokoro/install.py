"""Putting a published release into a model directory: fetch or copy, verify, describe.

The manifest is written last, after the graph was opened and its inputs and outputs were recognised,
so a directory with a manifest can be served.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.contracts import whole_contract
from gateway.engine.kokoro.download import Patience, Progress, download, part_of, settle, writing
from gateway.engine.kokoro.manifest import (
    FORMAT,
    MANIFEST_FILE,
    WHOLE,
    Graph,
    Manifest,
    StoredFile,
    write_manifest,
)
from gateway.engine.kokoro.published import Precision, PublishedFile, Release
from gateway.engine.kokoro.reading import FRAME_SAMPLES, SAMPLE_RATE
from gateway.engine.kokoro.runtime import inspect
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.voices import Voices
from gateway.errors import SetupError

Report = Callable[[PublishedFile], Progress]
"""Told of each file before it comes; what it returns is told of the bytes."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to install and from where.

    ``source`` is a directory with the files, or None to fetch them; ``base`` replaces the published
    place, for mirrors.
    """

    release: Release
    precision: Precision
    folder: Path
    source: Path | None = None
    base: str = ""
    patience: Patience = Patience()  # noqa: RUF009 - frozen

    @property
    def files(self) -> tuple[PublishedFile, PublishedFile]:
        """Graph and voices."""
        return self.release.files(self.precision)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the files are fetched from."""
        return tuple(self.release.url(file, self.base) for file in self.files)


def install(order: Order, report: Report) -> bool:
    """Make ``order.folder`` a model directory; False if it was one already.

    Raises SetupError that says what to do.
    """
    if _is_installed(order):
        return False
    for file in order.files:
        target = order.folder / file.file
        if not _is_here(target, file):
            _obtain(order, file, target, report(file))
    graph, voices = order.files
    contract = whole_contract(inspect(order.folder / graph.file), graph.file)
    Voices.open([order.folder / voices.file])
    write_manifest(order.folder, _manifest(order, contract.durations is not None))
    return True


def _is_installed(order: Order) -> bool:
    if not (order.folder / MANIFEST_FILE).is_file():
        return False
    try:
        model = open_model(order.folder)
    except SetupError:
        return False
    wanted = {(file.file, file.sha256) for file in order.files}
    return wanted == {(stored.file, stored.sha256) for stored in model.manifest.files}


def _is_here(target: Path, file: PublishedFile) -> bool:
    try:
        return target.stat().st_size == file.bytes and sha256_of(target) == file.sha256
    except FileNotFoundError:
        return False


def _obtain(order: Order, file: PublishedFile, target: Path, progress: Progress) -> None:
    if order.source is None:
        url = order.release.url(file, order.base)
        download(url, file, target, progress, order.patience)
    else:
        _take(order.source, file, target, progress)


def _take(source: Path, file: PublishedFile, target: Path, progress: Progress) -> None:
    """Copy ``file`` from a directory, or from one right below it."""
    if not source.is_dir():
        raise SetupError(f"--from: there is no directory {source}")
    places = (source / file.file, *sorted(source.glob(f"*/{file.file}")))
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SetupError(
            f"--from: there is no {file.file} in {source}; fetch it on a machine with network, "
            "see the places with: voice-gateway models get kokoro --dry-run"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    try:
        shutil.copyfile(found, part)
    except OSError as error:
        raise writing(part, file.bytes, error) from error
    progress(part.stat().st_size)
    settle(part, file, target, str(found))


def _manifest(order: Order, timed: bool) -> Manifest:
    graph, voices = (
        StoredFile(file=file.file, bytes=file.bytes, sha256=file.sha256) for file in order.files
    )
    return Manifest(
        format=FORMAT,
        name=order.folder.resolve().name,
        architecture="kokoro",
        stand_in=False,
        sample_rate=SAMPLE_RATE,
        frame_samples=FRAME_SAMPLES,
        graphs=(
            Graph(
                role=WHOLE,
                precision=order.precision,
                details={"durations": timed},
                **graph.model_dump(),
            ),
        ),
        voices=(voices,),
        licence=order.release.licence,
        source=order.release.source,
    )
