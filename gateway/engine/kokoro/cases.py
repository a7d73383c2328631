"""What a way to run a stage is tried with: real inputs, and the outputs of fp32 on the CPU.

The chain is run once as the engine runs it, with a recorder around each stage, so that a case is
what the stage really gets: a short and a long sentence for plan, front and source, a clause's first
window and one of its middle for the generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.engine.kokoro.device import Array, Device, Pieces, Tensor, on_host
from gateway.engine.kokoro.graphs import PHASES, ROLES, SplitGraphs
from gateway.engine.kokoro.phrases import CALIBRATION, HELD_OUT, tokens_of
from gateway.engine.kokoro.runtime import GraphInfo
from gateway.engine.kokoro.spectrum import spectral_distance_db
from gateway.engine.kokoro.stages import Feed, Stage, open_stage
from gateway.engine.kokoro.store import Model
from gateway.engine.kokoro.windows import Statistics, WindowSizes, divide
from gateway.engine.placement import Way

PHRASES = (CALIBRATION[1], HELD_OUT[1])
"""21 and 114 tokens: a first clause, and a long sentence."""

_MAGNITUDES = 11
"""Of the source's 22 channels, the angles left out: where a bin is silent they mean nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a stage, for ``frames`` frames of 25 ms."""

    frames: int
    feed: Mapping[str, Array]
    expected: Mapping[str, Array]


class _Recorder:
    """A stage that remembers its calls."""

    device: Device | None = None

    def __init__(self, stage: Stage, outputs: frozenset[str]) -> None:
        self._stage = stage
        self._outputs = tuple(sorted(outputs))
        self.info: GraphInfo = stage.info
        self.calls: list[tuple[dict[str, Array], dict[str, Array]]] = []

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """As ``Stage``."""
        arrays = {name: on_host(tensor) for name, tensor in feed.items()}
        outputs = [on_host(each) for each in self._stage.run(self._outputs, arrays)]
        made = dict(zip(self._outputs, outputs, strict=True))
        self.calls.append((arrays, made))
        return [made[name] for name in names]


def make_cases(model: Model, threads: int, sizes: WindowSizes) -> dict[str, list[Case]]:
    """Cases for each stage; raises SetupError for a model that does not open."""
    recorders: dict[str, _Recorder] = {}
    for role, (_, outputs) in ROLES.items():
        file = model.graphs(role)[0].file
        stage = open_stage(model.folder / file, Way(role, file, threads=threads))
        recorders[role] = _Recorder(stage, outputs)
    graphs = SplitGraphs(recorders, {})
    zeros = np.zeros(graphs.statistics, np.float32)
    given = Statistics(zeros, zeros, own_share=1.0)
    cases: dict[str, list[Case]] = {role: [] for role in ROLES}
    for phrase in PHRASES:
        style = model.voices.style(model.voices.default, len(phrase))
        (planned,) = graphs.plan([tokens_of(phrase)], style, [1.0])
        acoustics = graphs.acoustics(planned, style, seed=0)
        for role in ("plan", "front", "source"):
            cases[role].append(Case(planned.frames, *recorders[role].calls[-1]))
    spans = divide(planned.frames, sizes)
    for span in (spans[0], max(spans, key=lambda each: each.size)):
        graphs.generate([(acoustics, span, style, given)])
        cases["generator"].append(Case(span.size, *recorders["generator"].calls[-1]))
    assert cases["source"][0].feed["phase0"].shape == (1, PHASES)
    return cases


def write_cases(folder: Path, cases: Mapping[str, Sequence[Case]]) -> None:
    """One file for each stage, ``STAGE.npz``."""
    for stage, own in cases.items():
        arrays: dict[str, Array] = {}
        for i, case in enumerate(own):
            arrays |= {f"{i}/feed/{name}": array for name, array in case.feed.items()}
            arrays |= {f"{i}/expected/{name}": array for name, array in case.expected.items()}
            arrays[f"{i}/frames"] = np.array(case.frames)
        np.savez(folder / f"{stage}.npz", allow_pickle=False, **arrays)


def read_cases(folder: Path, stage: str) -> list[Case]:
    """The cases of a stage, as they were written."""
    with np.load(folder / f"{stage}.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    count = 1 + max(int(name.partition("/")[0]) for name in arrays)

    def group(i: int, kind: str) -> dict[str, Array]:
        start = f"{i}/{kind}/"
        return {key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)}

    return [
        Case(int(arrays[f"{i}/frames"]), group(i, "feed"), group(i, "expected"))
        for i in range(count)
    ]


def error_of(
    stage: str, outputs: Mapping[str, Tensor | Pieces], expected: Mapping[str, Array]
) -> float:
    """How wrong ``outputs`` are: dB for the generator, else a share; infinite if no numbers.

    Durations that differ change the length of everything else, so then they alone are compared.
    """
    found = {name: on_host(tensor) for name, tensor in outputs.items()}
    if not all(np.isfinite(array).all() for array in found.values()):
        return float("inf")
    if stage == "generator":
        audio, reference = found["audio"], expected["audio"]
        if audio.shape != reference.shape:
            return float("inf")
        return max(map(spectral_distance_db, audio, reference))
    if stage == "source":
        heard = slice(_MAGNITUDES)
        return _relative(found["harmonics"][:, heard], expected["harmonics"][:, heard])
    if stage == "plan" and not np.array_equal(found["durations"], expected["durations"]):
        apart = np.abs(found["durations"] - expected["durations"]).sum()
        return float(apart / expected["durations"].sum())
    return max(_relative(found[name], expected[name]) for name in expected)


def _relative(array: Array, reference: Array) -> float:
    if array.shape != reference.shape:
        return float("inf")
    power = float(np.mean(np.square(reference, dtype=np.float64)))
    apart = float(np.mean(np.square(array.astype(np.float64) - reference)))
    return float(np.sqrt(apart / max(power, 1e-30)))
