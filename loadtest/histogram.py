"""Histograms with the same relative precision everywhere, as HdrHistogram's.  Pure.

Bucket ``i`` holds values up to ``LEAST * GROWTH ** i``: 100 µs to an hour in 358 buckets of 5 %.
So a file of any number of latencies has a bounded size, and two of them can be added up.
"""

from __future__ import annotations

from math import ceil, log

import numpy as np

from loadtest.statistics import Values

LEAST = 1e-4
GROWTH = 1.05
_BUCKETS_MAX = ceil(log(3600 / LEAST) / log(GROWTH))


def buckets(values: Values) -> list[tuple[float, int]]:
    """(upper bound, count) of every bucket that is not empty, in order.

    What is below ``LEAST`` is in the first, what is above an hour in the last.
    """
    if not len(values):
        return []
    scaled = np.log(np.maximum(values, LEAST) / LEAST) / log(GROWTH)
    # Less a hair, so that a bound itself belongs to its bucket.
    index = np.clip(np.ceil(scaled - 1e-9), 0, _BUCKETS_MAX).astype(int)
    places, counts = np.unique(index, return_counts=True)
    return [
        (float(LEAST * GROWTH**place), int(count))
        for place, count in zip(places, counts, strict=True)
    ]
