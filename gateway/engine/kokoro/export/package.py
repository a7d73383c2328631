# mypy: allow-untyped-calls, allow-subclassing-any, disable-error-code="import-not-found"
"""A model directory from a network: graphs, voices, statistics, and the manifest.

    DIR/manifest.json       written last
        plan.onnx  front.onnx  source.onnx  generator.onnx
        voices.npz          style tables
        statistics.npz      for each voice float32 [2, S]: E[x], E[x²] of the generator's norms over
                            the calibration phrases, which streaming starts from
        whole.onnx          if asked for: the published forward pass in one graph, in the contract
                            of the kokoro-onnx package (tokens, style, speed → audio); the plain
                            reference that benchmarks compare with

``statistics.npz`` is named, with its checksum, in the generator's ``details``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.export.graphs import OPSET, PHASES, Graphs, export, whole_window
from gateway.engine.kokoro.export.reference import Config, Kokoro, without_weight_norm
from gateway.engine.kokoro.manifest import (
    FORMAT,
    WHOLE,
    Graph,
    Manifest,
    StoredFile,
    write_manifest,
)
from gateway.engine.kokoro.phrases import CALIBRATION, tokens_of
from gateway.engine.kokoro.reading import FRAME_SAMPLES
from gateway.engine.kokoro.voices import Table
from gateway.engine.kokoro.windows import Floats

VOICES_FILE = "voices.npz"
STATISTICS_FILE = "statistics.npz"
WHOLE_FILE = "whole.onnx"
STATISTICS = "statistics"
"""Key in the generator's details."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Label:
    """What the manifest says of where a model comes from."""

    name: str
    stand_in: bool
    licence: str
    source: str


def write_package(
    network: Kokoro,
    config: Config,
    voices: Mapping[str, Table],
    folder: Path,
    label: Label,
    *,
    whole: bool,
    say: Say,
) -> Manifest:
    """Write the directory; ``network`` must be without weight norms."""
    folder.mkdir(parents=True, exist_ok=True)
    graphs = Graphs.of(network)
    say("graphs: plan, front, source, generator")
    roles = export(graphs, folder)
    np.savez_compressed(folder / VOICES_FILE, allow_pickle=False, **voices)
    statistics = {}
    for name, table in voices.items():
        say(f"statistics of {name}")
        statistics[name] = _statistics(graphs, table)
    np.savez_compressed(folder / STATISTICS_FILE, allow_pickle=False, **statistics)
    if whole:
        say("graph: whole")
        roles[WHOLE] = folder / WHOLE_FILE
        _export_whole(network, config, roles[WHOLE])
    details = {"generator": {STATISTICS: _stored(folder / STATISTICS_FILE).model_dump()}}
    manifest = Manifest(
        format=FORMAT,
        name=label.name,
        architecture="kokoro",
        stand_in=label.stand_in,
        sample_rate=24_000,
        frame_samples=FRAME_SAMPLES,
        graphs=tuple(
            Graph(
                role=role,
                precision="fp32",
                details=details.get(role, {}),
                **_stored(file).model_dump(),
            )
            for role, file in roles.items()
        ),
        voices=(_stored(folder / VOICES_FILE),),
        licence=label.licence,
        source=label.source,
    )
    write_manifest(folder, manifest)
    return manifest


def _stored(file: Path) -> StoredFile:
    return StoredFile(file=file.name, bytes=file.stat().st_size, sha256=sha256_of(file))


def _statistics(graphs: Graphs, table: Table) -> Floats:
    """Mean moments of all norms over the calibration phrases, each frame counting the same."""
    total, frames = torch.zeros(2, graphs.generator.statistics), 0
    with torch.no_grad():
        for phrase in CALIBRATION:
            style = torch.from_numpy(table[len(phrase) - 1])
            ids = torch.from_numpy(tokens_of(phrase))
            lengths = torch.tensor([ids.shape[1]])
            durations, asr, f0, n = graphs.plan(ids, lengths, style, torch.ones(1))
            features = graphs.front(asr, f0, n, durations.sum(-1), style)
            noise = torch.randn(1, 300 * f0.shape[1], generator=torch.Generator().manual_seed(0))
            harmonics = graphs.source(f0, torch.zeros(1, PHASES), noise)[0]
            _, mean, square = graphs.generator(*whole_window(graphs, features, harmonics, style))
            count = int(durations.sum())
            total += count * torch.cat([mean, square])
            frames += count
    averages: Floats = (total / frames).numpy()
    return averages


class _Whole(torch.nn.Module):
    """The published forward pass."""

    def __init__(self, network: Kokoro) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, style: Tensor, speed: Tensor) -> Tensor:
        """tokens int64 [1, N], style [1, 256], speed [1] → audio [n]."""
        return self.network.reference_forward(tokens, style, speed)[0]


def _export_whole(network: Kokoro, config: Config, file: Path) -> None:
    plain = without_weight_norm(Kokoro(config, real_arithmetic=True))
    plain.load_state_dict(network.state_dict(), strict=False)  # all but the STFT's constants
    tokens = torch.from_numpy(tokens_of(CALIBRATION[1]))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Whole(plain).eval(),
            (tokens, torch.zeros(1, 256), torch.ones(1)),
            str(file),
            input_names=["tokens", "style", "speed"],
            output_names=["audio"],
            dynamic_axes={"tokens": {1: "tokens"}, "audio": {0: "samples"}},
            opset_version=OPSET,
            dynamo=False,
        )
