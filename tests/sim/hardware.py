"""What synthesis costs on some hardware: the curves that the comparison runs on.

The CPU figures were measured on the Kokoro-82M graph (seeded weights, onnxruntime 1.32, AMD Zen 5,
2 cores; the table of its four parts A, F, S and G is in docs/scheduling.md).  G was measured whole
at 26, 108 and 400 frames with two threads, and A+F+S+G with one and two; what one thread takes for
each part follows from those and from the single figures for A at 40 tokens (62 against 40 ms) and
G at 28 frames (211-236 against 119-127 ms).  int8 scales A and G by what was measured for it at
those points.  Names that begin with ``assumed`` rest on no measurement of that hardware.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

FRAME_S = 0.025
FRAMES_PER_TOKEN = 2.6


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by size: linear between the points, in proportion outside of them."""

    points: tuple[tuple[float, float], ...]

    def at(self, size: float) -> float:
        """Seconds for ``size``."""
        place = bisect_left(self.points, (size, 0.0))
        if place == 0:
            return self.points[0][1] * size / self.points[0][0]
        if place == len(self.points):
            return self.points[-1][1] * size / self.points[-1][0]
        (x0, y0), (x1, y1) = self.points[place - 1], self.points[place]
        return y0 + (y1 - y0) * (size - x0) / (x1 - x0)

    def times(self, factor: float) -> Curve:
        """The curve with every second multiplied."""
        return Curve(tuple((size, duration_s * factor) for size, duration_s in self.points))


def _ms(*points: tuple[float, float]) -> Curve:
    return Curve(tuple((size, duration_ms / 1000) for size, duration_ms in points))


@dataclass(frozen=True, slots=True)
class Hardware:
    """An engine's lanes and what a call costs in one of them.

    ``text`` (A) and ``front`` (F and S) are by tokens, ``generator`` (G) by frames; the ``…_batch``
    curves say by which factor a call of so many pieces is longer than one of a single piece.
    """

    name: str
    lanes: int
    batch_max: int
    text: Curve
    front: Curve
    generator: Curve
    text_batch: Curve
    generator_batch: Curve
    static_shapes: bool = False
    """Whether G runs only in the shapes that were prepared (CUDA graphs, Core ML)."""

    def plan_s(self, tokens: float, batch: int = 1) -> float:
        """A, F and S of ``batch`` texts."""
        one = self.text.at(tokens) * self.text_batch.at(batch)
        return one + self.front.at(tokens) * self.generator_batch.at(batch)

    def render_s(self, frames: float, batch: int = 1) -> float:
        """G of ``batch`` windows, context included."""
        return self.generator.at(frames) * self.generator_batch.at(batch)


def _factors(*rates: tuple[int, float]) -> Curve:
    """From (batch, work per second) to (batch, duration of a call against one of batch 1)."""
    return Curve(tuple((batch, batch * rates[0][1] / rate) for batch, rate in rates))


_CPU_TEXT_BATCH = _factors((1, 69), (2, 74), (4, 90), (8, 97))

_TWO_THREADS = Hardware(
    name="2 cores, fp32, 1 lane of 2 threads",
    lanes=1,
    batch_max=8,
    text=_ms((12, 19), (40, 40), (150, 124)),
    front=_ms((12, 8.5), (40, 21.6), (150, 91.6)),
    generator=_ms((26, 124), (108, 400), (400, 1848)),
    text_batch=_CPU_TEXT_BATCH,
    generator_batch=_factors((1, 5.9), (2, 6.0), (4, 5.7), (8, 5.5)),
)
_ONE_THREAD = replace(
    _TWO_THREADS,
    name="2 cores, fp32, 2 lanes of 1 thread",
    lanes=2,
    text=_TWO_THREADS.text.times(62 / 40),
    front=_TWO_THREADS.front.times(62 / 40),
    # whole with one thread (246, 978, 3,657 ms) less the above
    generator=_ms((26, 203), (108, 883), (400, 3323)),
)


def _int8(fp32: Hardware, text: float, generator: float) -> Hardware:
    return replace(
        fp32,
        name=fp32.name.replace("fp32", "int8"),
        text=fp32.text.times(text),
        generator=fp32.generator.times(generator),
        generator_batch=_factors((1, 11.6), (2, 11.9), (4, 11.8), (8, 11.1)),
    )


_INT8_ONE_THREAD = _int8(_ONE_THREAD, 29 / 62, 88 / 223)

_ASSUMED_GPU = Hardware(
    name="assumed GPU (no measurement)",
    lanes=1,
    batch_max=16,
    text=_ms((12, 8), (40, 9), (150, 12)),
    front=_ms((12, 2), (40, 2.5), (150, 5)),
    generator=_ms((12, 2.6), (48, 4.4), (400, 22)),
    text_batch=_factors((1, 1), (2, 1.9), (4, 3.5), (8, 6), (16, 9)),
    generator_batch=_factors((1, 1), (2, 1.8), (4, 3.1), (8, 4.7), (16, 5.9)),
    static_shapes=True,
)

HARDWARE: Mapping[str, tuple[Hardware, ...]] = {
    "cpu-fp32": (_ONE_THREAD, _TWO_THREADS),
    "cpu-int8": (_INT8_ONE_THREAD, _int8(_TWO_THREADS, 18 / 40, 59 / 123)),
    "assumed-cpu16-int8": (
        replace(_INT8_ONE_THREAD, name="assumed: 16 cores as 16 lanes of 1 thread", lanes=16),
    ),
    "assumed-gpu": (_ASSUMED_GPU,),
}
"""Machines, each with the ways to divide it into lanes; an approach gets the one that suits it."""
