"""How a clause is cut into windows, and how the statistics of its norms are guessed.  Pure.

    frames      0     12          36                  76                  116   128
    cores       ├first┼───twice───┼───────core────────┼───────core────────┼─rest─┤
    rendered    ├───────┤                                                    core + context
                  ├───────────────┤
                              ├───────────────────────────┤

They grow because each has to be rendered while the listener hears the one before: on a core that
takes 8 ms for a frame, 48 frames are not ready when the 12 before have been heard, and 32 are.

A frame is 600 samples.  The generator sees a window with its context; only the core's samples are
kept, so the convolutions' edges are not heard (four frames are enough; at the clause's own ends
there is no context, and the edges are those of the reference).

The generator's instance norms average over the whole clause, which a listener can't wait for.  What
is known when a window is rendered are the statistics of the windows before it, of itself, and those
that this voice has on average (the *prior*, measured when the model was exported).  ``guess``
weighs them by frames, the prior counting as ``prior_frames``; docs/rendering.md compares the
methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, pairwise, repeat

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

GROWTH = 2
"""A window keeps at most so many times the frames of the one before it."""


class Method(StrEnum):
    """Where the statistics of a window come from."""

    LOCAL = "local"
    CARRIED = "carried"
    BLENDED = "blended"
    PRIOR = "prior"
    EXACT = "exact"
    """The clause is rendered as one window, which waits for all of it."""


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """In frames of 25 ms."""

    first: int = 12
    core: int = 40
    context: int = 4
    equal: bool = False
    """Make all windows but the first equally long, the last by more context on its left: for
    providers that want few shapes, and for batches."""

    def cores(self) -> tuple[int, ...]:
        """Frames that the windows keep, in order; the last is that of all others."""
        if self.equal:
            return self.first, self.core
        sizes = [self.first]
        while sizes[-1] < self.core:
            sizes.append(min(self.core, GROWTH * sizes[-1]))
        return tuple(sizes) if sizes[-1] == self.core else (self.first, self.core)


@dataclass(frozen=True, slots=True)
class Span:
    """Frames ``begin`` to ``end`` are kept of the window ``left`` to ``right``."""

    left: int
    begin: int
    end: int
    right: int

    @property
    def size(self) -> int:
        """Frames that the generator sees."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class Moments:
    """E[x] and E[x²] of all norms, float32 [S], over ``frames``."""

    mean: Floats
    square: Floats
    frames: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the generator takes: (1 - own_share) · given + own_share · own."""

    mean: Floats
    square: Floats
    own_share: float


def divide(frames: int, sizes: WindowSizes) -> tuple[Span, ...]:
    """The windows of a clause of ``frames`` frames, in order; their cores adjoin and cover it.

    A rest shorter than the first window joins the window before it.
    """
    assert frames > 0
    cuts = [0]
    cores = chain(sizes.cores(), repeat(sizes.core))
    while frames - cuts[-1] - (size := next(cores)) >= sizes.first:
        cuts.append(cuts[-1] + size)
    cuts.append(frames)
    return tuple(_with_context(begin, end, frames, sizes) for begin, end in pairwise(cuts))


def whole(frames: int) -> Span:
    """One window for all."""
    return Span(0, 0, frames, frames)


def guess(
    method: Method,
    prior: Moments | None,
    before: Sequence[Moments],
    own_frames: float,
    width: int,
) -> Statistics:
    """Statistics for the next window, of ``own_frames`` frames, after the windows ``before``.

    ``width`` is the number of channels; ``prior.frames`` is the weight of the prior.
    """
    known = list(before) if method in (Method.CARRIED, Method.BLENDED) else []
    if prior is not None and method in (Method.BLENDED, Method.PRIOR):
        known.append(prior)
    frames = sum(each.frames for each in known)
    if not frames:
        zeros = np.zeros(width, np.float32)
        return Statistics(zeros, zeros, 1.0)
    mean = sum((each.mean * np.float32(each.frames / frames) for each in known), start=_ZERO)
    square = sum((each.square * np.float32(each.frames / frames) for each in known), start=_ZERO)
    share = 0.0 if method is Method.PRIOR else own_frames / (frames + own_frames)
    return Statistics(mean, square, share)


_ZERO: Floats = np.zeros(1, np.float32)


def _with_context(begin: int, end: int, frames: int, sizes: WindowSizes) -> Span:
    left, right = max(0, begin - sizes.context), min(frames, end + sizes.context)
    if sizes.equal and begin > 0:
        left = max(0, min(left, right - sizes.core - 2 * sizes.context))
    return Span(left, begin, end, right)
