"""Percentiles and ratios of measured durations.  Pure; units are the caller's.

A percentile here is a value that was measured, never one between two (the nearest-rank method): of
200 samples, p99 is the third greatest.  Few samples make a p99 that says little, so a ``Spread``
always carries its count, and deadlines are judged by the share that missed them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Measured values, shape [n], float64."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Count, percentiles and extremes of some values, in the unit of the values."""

    count: int
    least: float
    p50: float
    p90: float
    p99: float
    greatest: float


def percentile(values: Values, percent: float) -> float:
    """The least value that ``percent`` % of all values do not exceed; ``values`` is not empty."""
    assert len(values), "a percentile of nothing"
    rank = max(1, ceil(round(len(values) * percent / 100, 9)))
    return float(np.partition(values, rank - 1)[rank - 1])


def spread(values: Values | Sequence[float]) -> Spread:
    """Describe ``values``, which are not empty."""
    array = np.asarray(values, np.float64)
    return Spread(
        count=len(array),
        least=float(array.min()),
        p50=percentile(array, 50),
        p90=percentile(array, 90),
        p99=percentile(array, 99),
        greatest=float(array.max()),
    )


def share_above(values: Values | Sequence[float], limit: float) -> float:
    """The part of ``values`` that is greater than ``limit``: 0 to 1."""
    return float((np.asarray(values, np.float64) > limit).mean())


def ratio_of_pairs(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Median of ``upper[i] / lower[i]``: rounds are compared with the round beside them.

    What slows the machine for a while slows both of a pair, so it cancels out.
    """
    assert len(upper) == len(lower), f"{len(upper)} rounds against {len(lower)}"
    return float(median(one / other for one, other in zip(upper, lower, strict=True)))
