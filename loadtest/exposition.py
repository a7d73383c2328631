"""What a gateway says of itself on /metrics, as far as the benchmarks read it.  Pure.

A histogram of Prometheus knows how many observations were at or below each bucket's bound, since
the process began; what happened in a window is the difference of two readings.  A quantile of it is
only known to lie within a bucket; as PromQL does, it is placed linearly inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "voice_gateway_"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations: ``counts[i]`` are those at or below ``bounds[i]``; the last bound is +inf."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def total(self) -> float:
        """All observations."""
        return self.counts[-1]

    def since(self, earlier: Histogram) -> Histogram:
        """What was observed after the reading ``earlier`` of the same histogram."""
        assert earlier.bounds == self.bounds, "two different histograms"
        counts = zip(self.counts, earlier.counts, strict=True)
        return Histogram(self.bounds, tuple(late - early for late, early in counts))

    def plus(self, other: Histogram) -> Histogram:
        """The observations of both."""
        assert other.bounds == self.bounds, "two different histograms"
        counts = zip(self.counts, other.counts, strict=True)
        return Histogram(self.bounds, tuple(one + two for one, two in counts))

    def quantile(self, part: float) -> float:
        """The value that ``part`` (0 to 1) of the observations do not exceed, interpolated.

        Beyond the last finite bound nothing is known: the answer is +inf.  There must be
        observations.
        """
        assert self.total > 0, "a quantile of nothing"
        wanted = part * self.total
        lower_bound = lower_count = 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= wanted:
                if bound == inf or count == lower_count:
                    return bound
                return lower_bound + (bound - lower_bound) * (wanted - lower_count) / (
                    count - lower_count
                )
            lower_bound, lower_count = bound, count
        return inf

    def share_above(self, bound: float) -> float:
        """The part of the observations above ``bound``, which must be one of the buckets'."""
        return 1 - self.counts[self.bounds.index(bound)] / self.total


@dataclass(frozen=True, slots=True)
class Exposition:
    """One reading of /metrics; names are without the gateway's prefix."""

    samples: Mapping[tuple[str, str], float]
    histograms: Mapping[str, Histogram]

    def value(self, name: str, label: str = "") -> float:
        """A counter or gauge; 0 for one that was never touched.

        ``label`` is the value of the first label, for a metric that has labels.
        """
        return self.samples.get((name, label), 0.0)


def parse_exposition(text: str) -> Exposition:
    """Read Prometheus's text format."""
    samples: dict[tuple[str, str], float] = {}
    buckets: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if sample.name.endswith("_bucket"):
                bounds = buckets.setdefault(name.removesuffix("_bucket"), {})
                bounds[float(sample.labels["le"])] = sample.value
            else:
                label = next(iter(sample.labels.values()), "")
                samples[name, label] = sample.value
    histograms = {
        name: Histogram(tuple(sorted(counts)), tuple(counts[bound] for bound in sorted(counts)))
        for name, counts in buckets.items()
    }
    return Exposition(samples, histograms)
