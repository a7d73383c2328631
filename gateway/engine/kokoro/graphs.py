"""The four graphs of a split model at run time: arrays in, arrays out.

    plan       tokens of several texts  → durations and what the decoder needs   (batched)
    front      one clause               → features at 80 Hz
    source     one clause               → spectrum of the harmonic source
    generator  windows of one size      → PCM, and the norms' own statistics     (batched)

What each takes and gives is written where they are made, in ``export/planner.py`` and
``export/vocoder.py``.  Sessions may be run from several threads at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.manifest import StoredFile
from gateway.engine.kokoro.mixing import parse_mix
from gateway.engine.kokoro.optimised import open_optimised
from gateway.engine.kokoro.reading import FRAME_SAMPLES
from gateway.engine.kokoro.runtime import describe, running_options
from gateway.engine.kokoro.store import Model
from gateway.engine.kokoro.windows import Floats, Moments, Span, Statistics
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

STATISTICS = "statistics"
"""Key in the generator's details: the file with the voices' average statistics."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Of one text: ``durations`` int64 [N] in frames; asr [1, C, T], f0 and n [1, 2T]."""

    durations: npt.NDArray[np.int64]
    asr: Floats
    f0: Floats
    n: Floats

    @property
    def frames(self) -> int:
        """T: the clause's length."""
        return int(self.asr.shape[2])


@dataclass(frozen=True, slots=True)
class Acoustics:
    """What windows are cut from: features [1, D, 2T], harmonics [1, 22, 120T + 1]."""

    features: Floats
    harmonics: Floats


Cut = tuple[Acoustics, Span, Floats, Statistics]
"""A window to be generated: what it is cut from, where, in which style, with what statistics."""


class SplitGraphs:
    """Open sessions of a split model, one for each role."""

    def __init__(
        self, sessions: Mapping[str, Any], priors: Mapping[str, Floats], alone: Any = None
    ) -> None:
        """``alone`` is the generator once more, on more threads."""
        self._sessions = sessions
        self._priors = priors
        self._alone = alone
        inputs = {each.name: each for each in sessions["generator"].get_inputs()}
        self.statistics: int = inputs["mean"].shape[1]

    @classmethod
    def open(
        cls, model: Model, *, plan_threads: int, render_threads: int, alone_threads: int = 1
    ) -> SplitGraphs:
        """Open all roles.  Raises SetupError for one that is missing, or takes something else.

        Of several precisions the first that the manifest lists is taken.  More ``alone_threads``
        than ``render_threads`` open the generator twice, which takes its weights once more: calls
        at the same time on one session of several threads lose a sixth of what the machine can do.
        """
        sessions = {}
        for role, (inputs, outputs) in ROLES.items():
            file = model.path(model.graphs(role)[0])
            threads = render_threads if role == "generator" else plan_threads
            session, _ = open_optimised(
                file, model.graphs(role)[0].sha256, partial(running_options, threads), model.folder
            )
            phase(logger, f"open {role}", "graph %s is open", file)
            info = describe(session)
            takes = {each.name for each in info.inputs}
            gives = {each.name for each in info.outputs}
            if takes != inputs or gives != outputs:
                raise SetupError(
                    f"{file} is not the graph {role!r} that this gateway runs: it takes "
                    f"{', '.join(sorted(takes))} and gives {', '.join(sorted(gives))}; "
                    "build it again with: voice-gateway models export"
                )
            sessions[role] = session
        alone = None
        if alone_threads > render_threads:
            file = model.path(model.graphs("generator")[0])
            alone, _ = open_optimised(
                file,
                model.graphs("generator")[0].sha256,
                partial(running_options, alone_threads),
                model.folder,
            )
        graphs = cls(sessions, _read_priors(model), alone)
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
        durations, asr, f0, n = self._sessions["plan"].run(
            ("durations", "asr", "f0", "n"),
            {
                "input_ids": ids,
                "lengths": lengths,
                "style": styles,
                "speed": np.array(speeds, np.float32),
            },
        )
        return [
            Planned(
                durations[i, : lengths[i]],
                asr[i : i + 1, :, :frames],
                f0[i : i + 1, : 2 * frames],
                n[i : i + 1, : 2 * frames],
            )
            for i, frames in enumerate(durations.sum(-1))
        ]

    def acoustics(self, planned: Planned, style: Floats, seed: int) -> Acoustics:
        """Features and source of a clause.  Its noise depends on ``seed`` and time alone."""
        (features,) = self._sessions["front"].run(
            ("features",),
            {
                "asr": planned.asr,
                "f0": planned.f0,
                "n": planned.n,
                "frames": np.array([planned.frames], np.int64),
                "style": style,
            },
        )
        random = np.random.Generator(np.random.Philox(seed))
        noise = random.standard_normal((1, FRAME_SAMPLES * planned.frames), np.float32)
        phase0 = np.zeros((1, PHASES), np.float32)
        (harmonics,) = self._sessions["source"].run(
            ("harmonics",), {"f0": planned.f0, "phase0": phase0, "noise": noise}
        )
        return Acoustics(features, harmonics)

    def generate(
        self, windows: Sequence[Cut], *, alone: bool = False
    ) -> list[tuple[Floats, Moments]]:
        """PCM [600 · size] and own moments of windows of one size.

        The PCM has the context still; it is not limited to [-1, 1].  ``alone`` says that nothing
        else is computed, so that the call may use more threads than its lane's.
        """
        session = self._alone if alone and self._alone else self._sessions["generator"]
        audio, mean, square = session.run(
            ("audio", "own_mean", "own_square"), generator_inputs(windows)
        )
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
    spans = [span for _, span, _, _ in windows]
    return {
        "features": _joined(
            each.features[:, :, 2 * span.left : 2 * span.right] for each, span, _, _ in windows
        ),
        "harmonics": _joined(
            each.harmonics[:, :, HOPS * span.left : HOPS * span.right + 1]
            for each, span, _, _ in windows
        ),
        "style": _joined(style for _, _, style, _ in windows),
        "mean": np.stack([given.mean for *_, given in windows]),
        "square": np.stack([given.square for *_, given in windows]),
        "own_share": np.array([given.own_share for *_, given in windows], np.float32),
        "count_coarse": np.stack([_count(span, COARSE, 0) for span in spans]),
        "count_fine": np.stack([_count(span, HOPS, 1) for span in spans]),
    }


def _joined(rows: Any) -> Floats:
    rows = list(rows)
    return np.ascontiguousarray(rows[0] if len(rows) == 1 else np.concatenate(rows))


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
