# mypy: allow-untyped-calls, disable-error-code="import-not-found"
"""What ``models export`` reads: the published config, checkpoint and voices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gateway.engine.kokoro.export.reference import FULL_SIZE, Config
from gateway.engine.kokoro.voices import TABLE_SHAPE, Table, Voices
from gateway.errors import SetupError


def read_config(file: Path) -> Config:
    """A ``config.json`` as published.  Raises SetupError for what is missing or of another kind."""
    try:
        config = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read the config {file}: {error}") from error
    missing = [key for key in FULL_SIZE if not isinstance(config, dict) or key not in config]
    if missing:
        raise SetupError(f"{file} is no config of Kokoro: it lacks {', '.join(missing)}")
    assert isinstance(config, dict)
    return config


def read_voices(files: Sequence[Path], beside: Path) -> dict[str, Table]:
    """All voices of ``files``, else of the folder ``voices`` beside the checkpoint.

    Takes PyTorch's ``.pt`` tables besides the forms of ``kokoro.voices``.  Raises SetupError.
    """
    found = list(files) or sorted(
        file
        for pattern in ("*.pt", "*.bin", "*.npz", "*.npy")
        for file in (beside / "voices").glob(pattern)
    )
    if not found:
        raise SetupError(f"no voices: {beside / 'voices'} has none; name their files with --voices")
    tables = {file.stem.lower(): _torch_table(file) for file in found if file.suffix == ".pt"}
    others = [file for file in found if file.suffix != ".pt"]
    if others:
        voices = Voices.open(others)
        tables |= {name: voices.table(name) for name in voices.names}
    return tables


def _torch_table(file: Path) -> Table:
    try:
        tensor = torch.load(file, map_location="cpu", weights_only=True)
        table = tensor.float().numpy().reshape(TABLE_SHAPE)
    except Exception as error:
        raise SetupError(f"voice {file} can't be read: {error}") from error
    return np.ascontiguousarray(table, np.float32)
