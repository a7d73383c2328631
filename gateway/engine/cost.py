"""How long a batch will take, learned from how long batches took.  Pure.

One model serves one engine.  It keeps a figure for each (stage, shape, batch size): a moving mean
and a moving mean deviation, as TCP keeps them for its round trips (RFC 6298), because that follows
a machine that slows down, needs two numbers, and gives the upper bound that decisions want:

    upper = mean + 3 · deviation

One stalled call must not spoil a figure, so a sample counts at most as ``upper`` plus half the
mean; a machine that really became slower is believed within some samples.

What was not measured is inferred, in this order:

    the same batch size at neighbouring shapes   between two: linear; above all: in proportion;
                                                 below all: as the smallest, which errs upwards
    other batch sizes of the same shape          between two: linear; above all: in proportion, as
                                                 if batching gained nothing; below all: the smallest

Shapes are comparable if they are numbers (frames, characters), or tuples of which only the first
element, a number, differs.  Any other shape is like itself alone.  Where nothing is known the model
says so by None.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from gateway.engine.work import Stage

SAMPLES_WANTED = 3
"""A figure is trusted from so many samples on."""
STALE_S = 300.0
"""…and until this long after its last: the machine may have other work by then."""
FIGURES_MAX = 4096
"""Shapes come from texts, so they need a limit; the figure not used for longest goes first."""

_DEVIATIONS = 3.0
_INFERRED_FACTOR = 1.2
"""What is inferred is worth less than what was measured, so its upper bound is raised by this."""

Prior = Mapping[tuple[Stage, Hashable, int], float]
"""(stage, shape, batch size) → seconds, as an engine measured them when it was placed."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of lane time; ``upper_s`` is rarely passed; ``measured``: of this very batch."""

    mean_s: float
    upper_s: float
    measured: bool


@dataclass(slots=True)
class _Figure:
    mean_s: float
    deviation_s: float
    samples: int
    measured_at: float

    def receive(self, duration_s: float, now: float) -> None:
        duration_s = min(duration_s, self.upper_s + self.mean_s / 2)
        self.samples += 1
        share = max(1 / 8, 1 / self.samples)
        error = duration_s - self.mean_s
        self.deviation_s += max(1 / 4, share) * (abs(error) - self.deviation_s)
        self.mean_s += share * error
        self.measured_at = now

    @property
    def upper_s(self) -> float:
        return self.mean_s + _DEVIATIONS * self.deviation_s


_Family = tuple[Stage, Hashable]
_Value = Callable[[_Figure], float]


def _size_of(shape: Hashable) -> tuple[Hashable, float]:
    """What shapes that can be compared have in common, and where each stands among them."""
    if isinstance(shape, int | float):
        return (), float(shape)
    if isinstance(shape, tuple) and shape and isinstance(shape[0], int | float):
        return shape[1:], float(shape[0])
    return (shape,), 0.0


class CostModel:
    """Learns and predicts the lane time of one engine's batches, in seconds."""

    def __init__(self, prior: Prior | None = None) -> None:
        self._figures: OrderedDict[tuple[Stage, Hashable, int], _Figure] = OrderedDict()
        self._sizes: dict[tuple[_Family, int], list[tuple[float, Hashable]]] = {}
        self._batches: dict[_Family, list[int]] = {}
        for (stage, shape, batch), duration_s in (prior or {}).items():
            # Counts as one sample, taken so long ago that it should be measured again.
            figure = _Figure(duration_s, duration_s / 8, 1, float("-inf"))
            self._add(stage, shape, batch, figure)

    def __len__(self) -> int:
        """How many figures are kept."""
        return len(self._figures)

    def receive(
        self, stage: Stage, shape: Hashable, batch: int, duration_s: float, now: float
    ) -> None:
        """A batch of ``batch`` pieces took ``duration_s`` of a lane."""
        figure = self._figures.get((stage, shape, batch))
        if figure is not None:
            figure.receive(duration_s, now)
            self._figures.move_to_end((stage, shape, batch))
        else:
            self._add(stage, shape, batch, _Figure(duration_s, duration_s / 4, 1, now))

    def unsure(self, stage: Stage, shape: Hashable, batch: int, now: float) -> bool:
        """Whether another measurement of exactly this batch would be worth having."""
        figure = self._figures.get((stage, shape, batch))
        return (
            figure is None or figure.samples < SAMPLES_WANTED or now - figure.measured_at > STALE_S
        )

    def estimate(self, stage: Stage, shape: Hashable, batch: int) -> Estimate | None:
        """What a batch will take; None if nothing like it was ever measured."""
        figure = self._figures.get((stage, shape, batch))
        if figure is not None:
            return Estimate(figure.mean_s, figure.upper_s, measured=True)
        mean_s = self._infer(stage, shape, batch, lambda known: known.mean_s)
        upper_s = self._infer(stage, shape, batch, lambda known: known.upper_s)
        if mean_s is None or upper_s is None:
            return None
        return Estimate(mean_s, upper_s * _INFERRED_FACTOR, measured=False)

    def least_s(self, stage: Stage, shape: Hashable) -> float | None:
        """Seconds for one piece in the batch size that pays best, of those that were measured."""
        batches = self._batches.get((stage, _size_of(shape)[0]), ())
        figures = [(batch, self._figures.get((stage, shape, batch))) for batch in batches]
        return min((found.mean_s / batch for batch, found in figures if found), default=None)

    # ── inference ──────────────────────────────────────────────────────────────────────────────

    def _infer(self, stage: Stage, shape: Hashable, batch: int, value: _Value) -> float | None:
        at_size = self._across_shapes(stage, shape, batch, value)
        if at_size is not None:
            return at_size
        family = (stage, _size_of(shape)[0])
        batches = self._batches.get(family)
        if not batches:
            return None
        place = bisect_left(batches, batch)
        below, above = batches[max(0, place - 1)], batches[min(place, len(batches) - 1)]
        low = self._across_shapes(stage, shape, below, value)
        high = self._across_shapes(stage, shape, above, value)
        assert low is not None
        assert high is not None
        return _between(batch, below, low, above, high)

    def _across_shapes(
        self, stage: Stage, shape: Hashable, batch: int, value: _Value
    ) -> float | None:
        figure = self._figures.get((stage, shape, batch))
        if figure is not None:
            return value(figure)
        common, size = _size_of(shape)
        sizes = self._sizes.get(((stage, common), batch))
        if not sizes:
            return None
        place = bisect_left(sizes, size, key=lambda known: known[0])
        below, above = sizes[max(0, place - 1)], sizes[min(place, len(sizes) - 1)]
        low = value(self._figures[stage, below[1], batch])
        high = value(self._figures[stage, above[1], batch])
        return _between(size, below[0], low, above[0], high)

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def _add(self, stage: Stage, shape: Hashable, batch: int, figure: _Figure) -> None:
        if len(self._figures) >= FIGURES_MAX:
            self._remove(*next(iter(self._figures)))
        self._figures[stage, shape, batch] = figure
        common, size = _size_of(shape)
        family = (stage, common)
        sizes = self._sizes.setdefault((family, batch), [])
        if not sizes:
            insort(self._batches.setdefault(family, []), batch)
        insort(sizes, (size, shape), key=lambda known: known[0])

    def _remove(self, stage: Stage, shape: Hashable, batch: int) -> None:
        del self._figures[stage, shape, batch]
        common, size = _size_of(shape)
        family = (stage, common)
        sizes = self._sizes[family, batch]
        sizes.remove((size, shape))
        if not sizes:
            del self._sizes[family, batch]
            self._batches[family].remove(batch)
            if not self._batches[family]:
                del self._batches[family]


def _between(x: float, below: float, low: float, above: float, high: float) -> float:
    """``low`` at ``below`` and ``high`` at ``above``, linear between, proportional beyond."""
    if x <= below:
        return low
    if x >= above:
        return high * x / above if above > 0 else high
    return low + (high - low) * (x - below) / (above - below)
