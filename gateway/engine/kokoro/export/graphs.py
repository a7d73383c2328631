# mypy: allow-untyped-calls, disable-error-code="import-not-found"
"""The four graphs as ONNX files.

The legacy exporter is used on purpose: the newer one fails on lengths that depend on data, and
fixes the length of whatever passes an LSTM without saying so.  Every axis that varies is symbolic;
a provider that wants fixed shapes fixes them by name when it loads the file (``frames`` of the
generator's window, ``batch``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gateway.engine.kokoro.export.planner import PlanGraph
from gateway.engine.kokoro.export.reference import Kokoro
from gateway.engine.kokoro.export.vocoder import FrontGraph, GeneratorGraph, SourceGraph

OPSET = 17
PHASES = 9
"""Harmonics of the source, each with a phase."""

_AXES: dict[str, dict[int, str]] = {
    "input_ids": {0: "batch", 1: "tokens"},
    "lengths": {0: "batch"},
    "style": {0: "batch"},
    "speed": {0: "batch"},
    "durations": {0: "batch", 1: "tokens"},
    "asr": {0: "batch", 2: "frames"},
    "f0": {0: "batch", 1: "half_frames"},
    "n": {0: "batch", 1: "half_frames"},
    "frames": {0: "batch"},
    "features": {0: "batch", 2: "half_frames"},
    "phase0": {0: "batch"},
    "noise": {0: "batch", 1: "samples"},
    "harmonics": {0: "batch", 2: "hops"},
    "phase_end": {0: "batch"},
    "mean": {0: "batch"},
    "square": {0: "batch"},
    "own_share": {0: "batch"},
    "count_coarse": {0: "batch", 1: "coarse"},
    "count_fine": {0: "batch", 1: "hops"},
    "audio": {0: "batch", 1: "samples"},
    "own_mean": {0: "batch"},
    "own_square": {0: "batch"},
}


@dataclass(frozen=True)
class Graphs:
    """The modules of all roles, which share the network's weights."""

    plan: PlanGraph
    front: FrontGraph
    source: SourceGraph
    generator: GeneratorGraph

    @classmethod
    def of(cls, network: Kokoro) -> Graphs:
        """``network`` must be without weight norms."""
        return cls(
            PlanGraph(network).eval(),
            FrontGraph(network).eval(),
            SourceGraph(network).eval(),
            GeneratorGraph(network).eval(),
        )


def export(graphs: Graphs, folder: Path) -> dict[str, Path]:
    """Write one file for each role into ``folder``; returns them by role."""
    examples = _examples(graphs)
    files = {}
    for role, example in examples.items():
        module = getattr(graphs, role)
        files[role] = folder / f"{role}.onnx"
        _export(module, example, files[role])
    return files


def _export(module: Any, example: Sequence[Tensor], file: Path) -> None:
    names = (*module.INPUTS, *module.OUTPUTS)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the tracer says about shapes that don't vary
        torch.onnx.export(
            module,
            tuple(example),
            str(file),
            input_names=list(module.INPUTS),
            output_names=list(module.OUTPUTS),
            dynamic_axes={name: _AXES[name] for name in names},
            opset_version=OPSET,
            dynamo=False,
        )


def _examples(graphs: Graphs) -> dict[str, tuple[Tensor, ...]]:
    """Inputs of two rows of different lengths, which is what the tracer must see."""
    batch = 2
    ids = torch.randint(1, 100, (batch, 12), generator=torch.Generator().manual_seed(0))
    style = torch.zeros(batch, 256)
    tokens = (ids, torch.tensor([12, 9]), style, torch.ones(batch))
    with torch.no_grad():
        durations, asr, f0, n = graphs.plan(*tokens)
        frames = durations.sum(-1)
        front = (asr, f0, n, frames, style)
        source = (f0, torch.zeros(batch, PHASES), torch.zeros(batch, 300 * f0.shape[1]))
        window = whole_window(graphs, graphs.front(*front), graphs.source(*source)[0], style)
    return {"plan": tokens, "front": front, "source": source, "generator": window}


def whole_window(
    graphs: Graphs, features: Tensor, harmonics: Tensor, style: Tensor
) -> tuple[Tensor, ...]:
    """The generator's inputs for a whole clause with its own statistics: the reference."""
    batch, frames = features.shape[0], features.shape[2] // 2
    given = torch.zeros(batch, graphs.generator.statistics)
    counts = torch.ones(batch, 20 * frames), torch.ones(batch, 120 * frames + 1)
    return features, harmonics, style, given, given, torch.ones(batch), *counts
