"""How sure a figure is: percentile intervals by bootstrap over whole runs (Efron, 1979).  Pure.

Latencies of one run are not independent: what delays one caller delays its neighbours.  So whole
*clusters* are drawn with replacement, not single values: runs, where there are at least
``RUNS_MIN``; else sessions, which understates what differs from run to run, and is said so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from loadtest.statistics import Values, percentile

RUNS_MIN = 3
CONFIDENCE = 0.95
_RESAMPLES = 500
_CLUSTERS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the interval in which it lies with 95 % confidence."""

    value: float
    low: float
    high: float


def intervals(
    clusters: Sequence[Values], statistics: Sequence[Callable[[Values], float]], seed: int = 1
) -> list[Interval]:
    """Each of ``statistics`` over all values, with its interval; one cluster has values at least.

    All are taken of the same resamples.
    """
    filled = [cluster for cluster in clusters if len(cluster)]
    assert filled, "an interval of nothing"
    everything = np.concatenate(filled)
    if len(filled) > _CLUSTERS_MAX:  # then even neighbours make the interval narrow enough
        filled = [np.concatenate(filled[at::_CLUSTERS_MAX]) for at in range(_CLUSTERS_MAX)]
    random = np.random.default_rng(seed)
    drawn = np.empty((len(statistics), _RESAMPLES))
    for number, choice in enumerate(random.integers(0, len(filled), (_RESAMPLES, len(filled)))):
        sample = np.concatenate([filled[index] for index in choice])
        drawn[:, number] = [statistic(sample) for statistic in statistics]
    tail = 100 * (1 - CONFIDENCE) / 2
    found = []
    for statistic, values in zip(statistics, drawn, strict=True):
        value = statistic(everything)
        low, high = percentile(values, tail), percentile(values, 100 - tail)
        found.append(Interval(value, min(low, value), max(high, value)))
    return found


def percentile_intervals(
    clusters: Sequence[Values], percents: Sequence[float]
) -> dict[float, Interval]:
    """Percentiles and their intervals."""
    found = intervals(clusters, [partial(percentile, percent=percent) for percent in percents])
    return dict(zip(percents, found, strict=True))
