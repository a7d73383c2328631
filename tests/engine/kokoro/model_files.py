"""Small model files for tests: style tables, archives of them, and a release made of such."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.engine.kokoro.published import PublishedFile, Release
from tests.engine.kokoro.onnx_bytes import graph

VOICES = ("af_heart", "am_adam", "bf_emma", "jf_alpha")


def table(seed: int) -> npt.NDArray[np.float32]:
    """A style table with known contents: row i, column c holds seed + i + c / 1000."""
    rows = np.arange(510, dtype=np.float32).reshape(510, 1, 1)
    return seed + rows + np.arange(256, dtype=np.float32) / 1000


def write_archive(file: Path, names: tuple[str, ...] = VOICES) -> Path:
    """``voices-v1.0.bin`` in small: the first voice has seed 1, the next 2, and so on."""
    with file.open("wb") as stream:
        np.savez(stream, **{name: table(seed) for seed, name in enumerate(names, 1)})
    return file


def published(folder: Path, name: str) -> PublishedFile:
    data = (folder / name).read_bytes()
    return PublishedFile(file=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def write_release(folder: Path, base: str = "http://127.0.0.1:9") -> Release:
    """A release whose files lie in ``folder``."""
    (folder / "tiny.onnx").write_bytes(graph(durations="duration"))
    write_archive(folder / "voices.bin")
    return Release(
        name="tiny",
        description="",
        source="https://example.org/tiny",
        base=base,
        licence="Apache-2.0",
        graphs={"fp32": published(folder, "tiny.onnx")},
        voices=published(folder, "voices.bin"),
    )
