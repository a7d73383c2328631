"""What synthesis costs on some hardware: the curves that the comparison runs on.

    cpu-fp32   measured: ``python -m tests.sim measure --model DIR``, which wrote the files in
               tests/data/curves (full-size stand-in, machine quiet)
    cpu-int8   the same, times what int8 graphs took of the fp32 ones where both were measured:
               generator at 28 frames (static QDQ on the residual blocks), text part at 40 tokens
               (docs/scheduling.md has the figures).  The gateway does not make such graphs yet

What carries the name *imagined* rests on no measurement.  Tests use it, where they need a machine
on which batching pays; the comparison does not.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

CURVES = Path(__file__).parents[1] / "data" / "curves"

FRAME_S = 0.025
FRAMES_PER_TOKEN = 2.6


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by size: linear between the points; below them as the first, beyond in proportion."""

    points: tuple[tuple[float, float], ...]

    def at(self, size: float) -> float:
        """Seconds for ``size``."""
        place = bisect_left(self.points, (size, 0.0))
        if place == 0:
            return self.points[0][1]
        if place == len(self.points):
            return self.points[-1][1] * size / self.points[-1][0]
        (x0, y0), (x1, y1) = self.points[place - 1], self.points[place]
        return y0 + (y1 - y0) * (size - x0) / (x1 - x0)

    def times(self, factor: float) -> Curve:
        """The curve with every second multiplied."""
        return Curve(tuple((size, duration_s * factor) for size, duration_s in self.points))


@dataclass(frozen=True, slots=True)
class Hardware:
    """An engine's lanes and what a call costs in one of them.

    ``plan`` is by tokens, ``render`` by frames; the ``…_batch`` curves say by which factor a call
    of so many pieces is longer than one of a single piece.  ``spread`` has equal calls, as shares
    of their median.
    """

    name: str
    lanes: int
    batch_max: int
    plan: Curve
    render: Curve
    plan_batch: Curve
    render_batch: Curve
    spread: tuple[float, ...] = (1.0,)
    equal_windows: bool = False
    """Whether all windows are made of one shape, so that more of them fit a batch."""

    def plan_s(self, tokens: float, batch: int = 1) -> float:
        """Durations, features and source of ``batch`` texts."""
        return self.plan.at(tokens) * self.plan_batch.at(batch)

    def render_s(self, frames: float, batch: int = 1) -> float:
        """The generator on ``batch`` windows, context included."""
        return self.render.at(frames) * self.render_batch.at(batch)


def _curve(points: Sequence[Sequence[float]]) -> Curve:
    return Curve(tuple((size, value) for size, value in points))


def read_hardware(file: Path) -> Hardware:
    """What ``python -m tests.sim measure`` wrote."""
    found = json.loads(file.read_text())
    lanes, threads = found["lanes"], found["threads"]
    return Hardware(
        name=f"{lanes} x {threads} thread{'s' * (threads > 1)}",
        lanes=lanes,
        batch_max=1,  # as the engine serves on a CPU, where the curves say that it gains nothing
        plan=_curve(found["plan"]),
        render=_curve(found["render"]),
        plan_batch=_curve(found["plan_batch"]),
        render_batch=_curve(found["render_batch"]),
        spread=tuple(found["spread"]),
    )


TEXT_SHARE = 40 / 61.6
"""Of a plan: the text part, which int8 makes faster; features and source are the rest."""


def _int8(fp32: Hardware, text: float, generator: float) -> Hardware:
    return replace(
        fp32,
        plan=fp32.plan.times(1 - TEXT_SHARE * (1 - text)),
        render=fp32.render.times(generator),
    )


_ONE_THREAD = read_hardware(CURVES / "2-lanes-of-1-thread.json")
_TWO_THREADS = read_hardware(CURVES / "1-lane-of-2-threads.json")

HARDWARE: Mapping[str, tuple[Hardware, ...]] = {
    "cpu-fp32": (_ONE_THREAD, _TWO_THREADS),
    "cpu-int8": (
        _int8(_ONE_THREAD, text=29 / 62, generator=88 / 223),
        _int8(_TWO_THREADS, text=18 / 40, generator=59 / 123),
    ),
}
"""Machines, each with the ways to divide it into lanes; an approach gets the one that suits it."""


def _factors(*rates: tuple[int, float]) -> Curve:
    """From (batch, work per second) to (batch, duration of a call against one of batch 1)."""
    return Curve(tuple((batch, batch * rates[0][1] / rate) for batch, rate in rates))


IMAGINED_BATCHING = Hardware(
    name="imagined: batching pays",
    lanes=1,
    batch_max=16,
    plan=Curve(((12, 0.1), (40, 0.115), (150, 0.17))),
    render=Curve(((12, 0.026), (48, 0.044), (400, 0.22))),
    plan_batch=_factors((1, 1), (2, 1.9), (4, 3.5), (8, 6), (16, 9)),
    render_batch=_factors((1, 1), (2, 1.8), (4, 3.1), (8, 4.7), (16, 5.9)),
    equal_windows=True,
)
