"""A clause between its plan and its last window.

A chunk is one clause, or several if it has more than 510 tokens; their windows follow one another.
The features of the first are made with the plan, since its first window is wanted at once; those of
the others when their first window is rendered.

A clause is shared by the windows that are cut from it and remembers what each of them found: its
statistics, which the later ones start from, and the samples just behind it, from which the next is
faded in.  The windows of one chunk are rendered in order and one at a time (the dispatcher's rule),
so there is one writer at a time; a window that is rendered once more gives the same again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gateway.engine.kokoro.graphs import Acoustics, Planned, SplitGraphs
from gateway.engine.kokoro.reading import FRAME_SAMPLES
from gateway.engine.kokoro.windows import Floats, Method, Moments, Span, Statistics, guess

FADE_SAMPLES = 240
"""10 ms: two windows differ a little in level, because their statistics do."""

_RISE: Floats = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE_SAMPLES) + 0.5) / FADE_SAMPLES)).astype(
    np.float32
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a rendered window leaves for the next: own statistics, and samples behind its core."""

    moments: Moments
    tail: Floats


@dataclass(eq=False, slots=True)
class Clause:
    """``style`` is [1, 256]; ``spans`` are its windows, in order."""

    planned: Planned
    style: Floats
    prior: Moments | None
    spans: tuple[Span, ...]
    method: Method
    seed: int
    _acoustics: Acoustics | None = None
    _found: dict[int, _Found] = field(default_factory=dict)

    def acoustics(self, graphs: SplitGraphs) -> Acoustics:
        """Features and source, made at the first call."""
        if self._acoustics is None:
            self._acoustics = graphs.acoustics(self.planned, self.style, self.seed)
        return self._acoustics

    def given(self, place: int, width: int) -> Statistics:
        """Statistics for the window at ``place``, of ``width`` channels."""
        span = self.spans[place]
        before = [self._before(i).moments for i in range(place)]
        return guess(self.method, self.prior, before, span.end - span.begin, width)

    def receive(self, place: int, audio: Floats, moments: Moments) -> Floats:
        """Note what the window at ``place`` gave; returns the samples of its core, faded in."""
        span = self.spans[place]
        begin = FRAME_SAMPLES * (span.begin - span.left)
        end = FRAME_SAMPLES * (span.end - span.left)
        self._found[place] = _Found(moments, audio[end : end + FADE_SAMPLES].copy())
        core = np.clip(audio[begin:end], -1.0, 1.0)
        if place > 0:
            tail = np.clip(self._before(place - 1).tail, -1.0, 1.0)
            count = min(len(tail), len(core))
            rise = _RISE[:count]
            core[:count] = tail[:count] * (1 - rise) + core[:count] * rise
        return core

    def _before(self, place: int) -> _Found:
        assert place in self._found, "the windows of a chunk are rendered in order"
        return self._found[place]


@dataclass(frozen=True, slots=True)
class Place:
    """The state of a window: where it belongs.  ``clause`` is None if there is nothing to say."""

    clause: Clause | None
    index: int = 0
