"""The four graphs of a split model at run time: arrays in, arrays out.

    plan       tokens of several texts  → durations and what the decoder needs   (batched)
    front      one clause               → features at 80 Hz
    source     one clause               → spectrum of the harmonic source
    generator  windows of one size      → PCM, and the norms' own statistics     (batched)

What each takes and gives is written where they are made, in ``export/planner.py`` and
``export/vocoder.py``.  Stages may be run from several threads at once.

Each is run the way that placement chose (stages.py).  Where neighbours run on the same device, what
goes from one to the next stays there: only durations, PCM and the norms' statistics come back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.device import Piece, Pieces, Tensor, cut, on_host
from gateway.engine.kokoro.manifest import StoredFile
from gateway.engine.kokoro.mixing import parse_mix
from gateway.engine.kokoro.reading import FRAME_SAMPLES
from gateway.engine.kokoro.stages import Feed, Stage, open_stage
from gateway.engine.kokoro.store import Model
from gateway.engine.kokoro.windows import Floats, Moments, Span, Statistics
from gateway.engine.placement import CPU, THROUGHPUT, Way
from gateway.errors import SetupError
from gateway.phases import phase

logger = logging.getLogger(__name__)

PHASES = 9
"""Harmonics of the source."""

HOPS = FRAME_SAMPLES // 5
"""Steps of the source's spectrum in a frame; a clause has one more."""

COARSE = 20
"""Positions of a frame at the generator's first level."""

ROLES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "plan": (
        frozenset(("input_ids", "lengths", "style", "speed")),
        frozenset(("durations", "asr", "f0", "n")),
    ),
    "front": (frozenset(("asr", "f0", "n", "frames", "style")), frozenset(("features",))),
    "source": (frozenset(("f0", "phase0", "noise")), frozenset(("harmonics", "phase_end"))),
    "generator": (
        frozenset(
            (
                "features",
                "harmonics",
                "style",
                "mean",
                "square",
                "own_share",
                "count_coarse",
                "count_fine",
            )
        ),
        frozenset(("audio", "own_mean", "own_square")),
    ),
}
"""Inputs and outputs that each role must have."""

NEXT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "plan": {"asr": ("front",), "f0": ("front", "source"), "n": ("front",)},
    "front": {"features": ("generator",)},
    "source": {"harmonics": ("generator",)},
}
"""Which stages read what a stage gives."""

STATISTICS = "statistics"
"""Key in the generator's details: the file with the voices' average statistics."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Of one text: ``durations`` int64 [N] in frames; asr [1, C, T], f0 and n [1, 2T].

    What a stage on a device left there is a tensor on that device, not an array.
    """

    durations: npt.NDArray[np.int64]
    asr: Tensor
    f0: Tensor
    n: Tensor

    @property
    def frames(self) -> int:
        """T: the clause's length."""
        return int(self.asr.shape[2])


@dataclass(frozen=True, slots=True)
class Acoustics:
    """What windows are cut from: features [1, D, 2T], harmonics [1, 22, 120T + 1]."""

    features: Tensor
    harmonics: Tensor


Cut = tuple[Acoustics, Span, Floats, Statistics]
"""A window to be generated: what it is cut from, where, in which style, with what statistics."""


class SplitGraphs:
    """Open stages of a split model, one for each role."""

    def __init__(
        self,
        stages: Mapping[str, Stage],
        priors: Mapping[str, Floats],
        alone: Stage | None = None,
    ) -> None:
        """``alone`` is the generator once more, on more threads."""
        self._stages = stages
        self._priors = priors
        self._alone = alone
        shapes = {each.name: each.shape for each in stages["generator"].info.inputs}
        self.statistics: int = shapes["mean"][1] or 0
        self._kept = {role: _kept(role, stages) for role in NEXT}

    @classmethod
    def open(
        cls,
        model: Model,
        *,
        plan_threads: int,
        render_threads: int,
        alone_threads: int = 1,
        ways: Mapping[str, Way] | None = None,
        frames: Sequence[int] = (),
    ) -> SplitGraphs:
        """Open all roles.  Raises SetupError for one that is missing, or takes something else.

        ``ways`` are those that placement chose; a role without one runs on the CPU, with the first
        graph that the manifest lists and so many threads.  ``frames`` are the usual window sizes.
        More ``alone_threads`` than the generator's open it twice on a CPU, which takes its weights
        once more: calls at the same time on one session of several threads lose a sixth of what
        the machine can do.
        """
        stages = {}
        digests = {each.file: each.sha256 for each in model.manifest.files}
        for role in ROLES:
            file = model.graphs(role)[0].file
            threads = render_threads if role == THROUGHPUT else plan_threads
            way = (ways or {}).get(role) or Way(role, file, threads=threads)
            stages[role] = open_stage(model.folder / way.file, way, frames, digests.get(way.file))
            phase(logger, f"open {role}", "graph %s is open", model.folder / way.file)
            check_contract(role, stages[role], model.folder / way.file)
        alone = None
        if way.provider == CPU and alone_threads > way.threads:
            more = replace(way, threads=alone_threads)
            alone = open_stage(model.folder / way.file, more, frames, digests.get(way.file))
        graphs = cls(stages, _read_priors(model), alone)
        for name, prior in graphs._priors.items():
            if prior.shape != (2, graphs.statistics):
                raise SetupError(
                    f"{model.folder}: the statistics of {name} have the shape {list(prior.shape)} "
                    f"instead of {[2, graphs.statistics]}; build the model again"
                )
        return graphs

    def plan(
        self, tokens: Sequence[npt.NDArray[np.int64]], styles: Floats, speeds: Sequence[float]
    ) -> list[Planned]:
        """``tokens`` are int64 [1, N] each, ``styles`` [B, 256]."""
        lengths = np.array([each.shape[1] for each in tokens], np.int64)
        ids = np.zeros((len(tokens), lengths.max()), np.int64)
        for row, each in zip(ids, tokens, strict=True):
            row[: each.shape[1]] = each[0]
        durations, asr, f0, n = self._stages["plan"].run(
            ("durations", "asr", "f0", "n"),
            {
                "input_ids": ids,
                "lengths": lengths,
                "style": styles,
                "speed": np.array(speeds, np.float32),
            },
            self._kept["plan"],
        )
        assert isinstance(durations, np.ndarray)
        return [
            Planned(
                durations[i, : lengths[i]],
                cut(asr, i, 0, frames),
                cut(f0, i, 0, 2 * frames),
                cut(n, i, 0, 2 * frames),
            )
            for i, frames in enumerate(durations.sum(-1).tolist())
        ]

    def acoustics(self, planned: Planned, style: Floats, seed: int) -> Acoustics:
        """Features and source of a clause.  Its noise depends on ``seed`` and time alone."""
        (features,) = self._stages["front"].run(
            ("features",),
            {
                "asr": planned.asr,
                "f0": planned.f0,
                "n": planned.n,
                "frames": np.array([planned.frames], np.int64),
                "style": style,
            },
            self._kept["front"],
        )
        random = np.random.Generator(np.random.Philox(seed))
        noise = random.standard_normal((1, FRAME_SAMPLES * planned.frames), np.float32)
        phase0 = np.zeros((1, PHASES), np.float32)
        (harmonics,) = self._stages["source"].run(
            ("harmonics",),
            {"f0": planned.f0, "phase0": phase0, "noise": noise},
            self._kept["source"],
        )
        return Acoustics(features, harmonics)

    def generate(
        self, windows: Sequence[Cut], *, alone: bool = False
    ) -> list[tuple[Floats, Moments]]:
        """PCM [600 · size] and own moments of windows of one size.

        The PCM has the context still; it is not limited to [-1, 1].  ``alone`` says that nothing
        else is computed, so that the call may use more threads than its lane's.
        """
        stage = self._alone if alone and self._alone else self._stages["generator"]
        audio, mean, square = stage.run(("audio", "own_mean", "own_square"), _feed(windows))
        assert isinstance(audio, np.ndarray)
        assert isinstance(mean, np.ndarray)
        assert isinstance(square, np.ndarray)
        return [
            (audio[i], Moments(mean[i], square[i], span.end - span.begin))
            for i, (_, span, _, _) in enumerate(windows)
        ]

    def prior(self, voice: str, frames: float) -> Moments | None:
        """Average statistics of a voice or mix, to weigh as ``frames``; None if none are known."""
        if not self._priors:
            return None
        average: Floats = np.mean(list(self._priors.values()), axis=0, dtype=np.float32)
        mixed = np.zeros_like(average)
        for name, share in parse_mix(voice).shares:
            mixed += np.float32(share) * self._priors.get(name, average)
        return Moments(mixed[0], mixed[1], frames)


def generator_inputs(windows: Sequence[Cut]) -> dict[str, Floats]:
    """The generator's inputs for windows of one size, a row each; export/vocoder.py has shapes."""
    return {name: on_host(value) for name, value in _feed(windows).items()}


def _feed(windows: Sequence[Cut]) -> Feed:
    spans = [span for _, span, _, _ in windows]
    return {
        "features": Pieces(
            tuple(
                Piece(each.features, 0, 2 * span.left, 2 * span.right)
                for each, span, _, _ in windows
            )
        ),
        "harmonics": Pieces(
            tuple(
                Piece(each.harmonics, 0, HOPS * span.left, HOPS * span.right + 1)
                for each, span, _, _ in windows
            )
        ),
        "style": np.concatenate([style for _, _, style, _ in windows]),
        "mean": np.stack([given.mean for *_, given in windows]),
        "square": np.stack([given.square for *_, given in windows]),
        "own_share": np.array([given.own_share for *_, given in windows], np.float32),
        "count_coarse": np.stack([_count(span, COARSE, 0) for span in spans]),
        "count_fine": np.stack([_count(span, HOPS, 1) for span in spans]),
    }


def check_contract(role: str, stage: Stage, file: Path) -> None:
    """Raises SetupError if a graph's inputs and outputs are not those of its role."""
    inputs, outputs = ROLES[role]
    takes = {each.name for each in stage.info.inputs}
    gives = {each.name for each in stage.info.outputs}
    if takes != inputs or gives != outputs:
        raise SetupError(
            f"{file} is not the graph {role!r} that this gateway runs: it takes "
            f"{', '.join(sorted(takes))} and gives {', '.join(sorted(gives))}; "
            "build it again with: voice-gateway models export"
        )


def _kept(role: str, stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Outputs that may stay on the device: all that read them are there too."""
    device = stages[role].device
    if device is None:
        return ()
    readers = NEXT[role]
    return tuple(
        name
        for name, roles in readers.items()
        if all(
            other is not None and other.name == device.name
            for other in (stages[each].device for each in roles)
        )
    )


def _count(span: Span, per_frame: int, extra: int) -> Floats:
    """One where a position belongs to the core; the clause's last frame has the extra position."""
    count = np.zeros(per_frame * span.size + extra, np.float32)
    last = extra if span.end == span.right else 0
    count[per_frame * (span.begin - span.left) : per_frame * (span.end - span.left) + last] = 1
    return count


def _read_priors(model: Model) -> dict[str, Floats]:
    generator = model.graphs("generator")[0]
    details = generator.details.get(STATISTICS)
    if details is None:
        return {}
    try:
        stored = StoredFile.model_validate(details)
        file = model.path(stored)
        if sha256_of(file) != stored.sha256:
            raise SetupError(f"{file} is damaged or another file: its SHA-256 differs")
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name].astype(np.float32) for name in archive.files}
    except (OSError, ValueError, ValidationError) as error:
        raise SetupError(
            f"the voices' statistics in {model.folder} can't be read: {error}"
        ) from error
