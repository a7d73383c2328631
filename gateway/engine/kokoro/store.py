"""Model directories: where they lie, and opening one after verifying it.

    models_dir/                     engine.models_dir, or the platform's place for data
      kokoro-v1.1-fp32/
        manifest.json               what it holds (manifest.py); written last, so it means complete
        kokoro-v1.0.onnx            each file is checked against its size and SHA-256
        voices-v1.0.bin

A directory without a manifest is taken too if it holds published files as they are: one ONNX graph
and its voices.  There is nothing to verify them against then but the graph's inputs and outputs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.engine.kokoro.checksums import ChecksumCache
from gateway.engine.kokoro.contracts import whole_contract
from gateway.engine.kokoro.manifest import (
    FORMAT,
    MANIFEST_FILE,
    WHOLE,
    Graph,
    Manifest,
    StoredFile,
    read_manifest,
)
from gateway.engine.kokoro.reading import FRAME_SAMPLES
from gateway.engine.kokoro.runtime import inspect
from gateway.engine.kokoro.voices import Voices
from gateway.errors import SetupError

_APPLICATION = "voice-gateway"
_GET = "get it again with: voice-gateway models get kokoro"
_UNKNOWN_SOURCE = "files without a manifest"


@dataclass(frozen=True, slots=True)
class Model:
    """A verified model directory."""

    folder: Path
    manifest: Manifest
    voices: Voices

    def graphs(self, role: str) -> tuple[Graph, ...]:
        """All graphs of ``role``; raises SetupError if there is none."""
        found = tuple(graph for graph in self.manifest.graphs if graph.role == role)
        if not found:
            roles = ", ".join(sorted({graph.role for graph in self.manifest.graphs}))
            raise SetupError(f"{self.folder} has no graph for {role!r}; it has {roles}")
        return found

    def path(self, stored: StoredFile) -> Path:
        """Where a file of the model lies."""
        return self.folder / stored.file


def default_models_dir(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ
) -> Path:
    """Where this system keeps an application's data, as its conventions say.

    Linux: ``$XDG_DATA_HOME`` or ``~/.local/share`` (XDG Base Directory 0.8); macOS: ``~/Library/
    Application Support``; Windows: ``%LOCALAPPDATA%``.
    """
    if platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif platform == "win32" and environ.get("LOCALAPPDATA"):
        base = Path(environ["LOCALAPPDATA"])
    else:
        data_home = environ.get("XDG_DATA_HOME", "")
        base = Path(data_home) if os.path.isabs(data_home) else Path.home() / ".local" / "share"
    return base / _APPLICATION / "models"


def model_folders(models_dir: Path) -> list[Path]:
    """The directories in ``models_dir`` that hold a model, by name."""
    if not models_dir.is_dir():
        return []
    return sorted(each for each in models_dir.iterdir() if (each / MANIFEST_FILE).is_file())


def open_model(folder: Path, roles: Collection[str] | None = None) -> Model:
    """The model in ``folder``, its files verified: of graphs those of ``roles``, or all.

    Of published files without a manifest the graph's contract is looked at too, unless ``roles``
    are given: who will run the graph sees it then, and opening it takes half a second.

    Raises SetupError for what is missing, damaged, or of another kind, and says what to do.
    """
    if not folder.is_dir():
        raise SetupError(
            f"there is no model directory {folder}; "
            "fetch the published one with: voice-gateway models get kokoro"
        )
    if (folder / MANIFEST_FILE).is_file():
        manifest = read_manifest(folder)
        verify(folder, manifest, roles)
    else:
        manifest = _recognise(folder, checked=roles is None)
    voices = Voices.open([folder / stored.file for stored in manifest.voices])
    return Model(folder, manifest, voices)


def verify(folder: Path, manifest: Manifest, roles: Collection[str] | None = None) -> None:
    """Compare the files with the manifest; raises SetupError for the first that differs.

    Of graphs, those of ``roles``, or all: a model may hold some that nobody runs here.
    """
    checksums = ChecksumCache(folder)
    graphs = (graph for graph in manifest.graphs if roles is None or graph.role in roles)
    variants = (
        variant
        for role, there in manifest.variants.items()
        for variant in there
        if roles is None or role in roles
    )
    for stored in (*graphs, *variants, *manifest.voices):
        _verify(folder, stored, checksums)


def _verify(folder: Path, stored: StoredFile, checksums: ChecksumCache) -> None:
    file = folder / stored.file
    try:
        size = file.stat().st_size
        if size != stored.bytes:
            raise SetupError(
                f"{file} has {size} bytes instead of {stored.bytes}: it is cut short or another "
                f"file; {_GET}"
            )
        digest = checksums.sha256(stored.file)
    except FileNotFoundError as error:
        raise SetupError(f"{file} is missing, which the model's manifest lists; {_GET}") from error
    except OSError as error:
        raise SetupError(f"cannot read {file}: {error.strerror}") from error
    if digest != stored.sha256:
        raise SetupError(
            f"{file} is damaged or another file: its SHA-256 is {digest} instead of "
            f"{stored.sha256}; {_GET}"
        )


def _recognise(folder: Path, *, checked: bool) -> Manifest:
    """A manifest for published files that were put into ``folder`` as they are.

    ``checked``: whether to look at the graph's contract.
    """
    graphs = sorted(folder.glob("*.onnx")) or sorted(folder.glob("onnx/*.onnx"))
    voices = list(_voice_files(folder))
    if len(graphs) != 1 or not voices:
        found = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
        raise SetupError(
            f"{folder} is no model: it has no {MANIFEST_FILE}, and not one .onnx file with voices "
            f"(.bin, .npz or .npy), but {found}"
        )
    (graph,) = graphs
    if checked:
        whole_contract(inspect(graph), str(graph))
    checksums = ChecksumCache(folder)
    return Manifest(
        format=FORMAT,
        name=folder.resolve().name,
        architecture="kokoro",
        stand_in=False,
        sample_rate=24_000,
        frame_samples=FRAME_SAMPLES,
        graphs=(
            Graph(
                role=WHOLE,
                precision=_guess_precision(graph.name),
                **_stored(folder, graph, checksums).model_dump(),
            ),
        ),
        voices=tuple(_stored(folder, file, checksums) for file in voices),
        licence="",
        source=_UNKNOWN_SOURCE,
    )


def _voice_files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "voices"):
        for pattern in ("*.bin", "*.npz", "*.npy"):
            yield from sorted(place.glob(pattern))


def _stored(folder: Path, file: Path, checksums: ChecksumCache) -> StoredFile:
    name = file.relative_to(folder).as_posix()
    return StoredFile(file=name, bytes=file.stat().st_size, sha256=checksums.sha256(name))


def _guess_precision(name: str) -> str:
    """As the published files are called: ``kokoro-v1.0.int8.onnx``, ``model_fp16.onnx``."""
    if any(mark in name for mark in ("int8", "quantized", "q8", "uint8")):
        return "int8"
    return "fp16" if "fp16" in name else "fp32"
