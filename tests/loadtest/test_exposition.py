from math import inf

import pytest

from gateway.ops.metrics import Metrics
from loadtest.exposition import Histogram, parse_exposition


def test_a_quantile_lies_linearly_inside_its_bucket() -> None:
    histogram = Histogram((0.001, 0.005, inf), (50.0, 90.0, 100.0))

    assert histogram.quantile(0.25) == 0.0005
    assert histogram.quantile(0.5) == 0.001
    assert histogram.quantile(0.7) == pytest.approx(0.003)


def test_a_quantile_beyond_the_last_bound_is_unknown() -> None:
    assert Histogram((0.001, inf), (50.0, 100.0)).quantile(0.99) == inf


def test_buckets_that_are_empty_are_skipped() -> None:
    assert Histogram((0.001, 0.002, 0.004, inf), (0.0, 0.0, 10.0, 10.0)).quantile(1.0) == 0.004


def test_a_quantile_of_nothing_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="nothing"):
        Histogram((0.001, inf), (0.0, 0.0)).quantile(0.5)


def test_a_window_is_the_difference_of_two_readings() -> None:
    early = Histogram((0.001, inf), (3.0, 5.0))
    late = Histogram((0.001, inf), (10.0, 20.0))

    assert late.since(early) == Histogram((0.001, inf), (7.0, 15.0))


def test_windows_add_up() -> None:
    one = Histogram((0.001, inf), (3.0, 5.0))

    assert one.plus(one) == Histogram((0.001, inf), (6.0, 10.0))
    assert one.plus(one).total == 10.0


def test_histograms_of_other_buckets_do_not_mix() -> None:
    one, other = Histogram((0.001, inf), (1.0, 1.0)), Histogram((0.002, inf), (1.0, 1.0))

    with pytest.raises(AssertionError, match="different"):
        one.since(other)
    with pytest.raises(AssertionError, match="different"):
        one.plus(other)


def test_the_share_above_a_bound_is_exact() -> None:
    assert Histogram((0.01, inf), (75.0, 100.0)).share_above(0.01) == 0.25


def test_the_gateways_own_metrics_can_be_read() -> None:
    metrics = Metrics()
    metrics.lateness(0.0009)
    metrics.lateness(0.004)
    metrics.cache(hit=True)
    metrics.cache(hit=False)
    metrics.cache(hit=False)
    metrics.session_opened()

    read = parse_exposition(metrics.exposition().decode())

    lateness = read.histograms["pacing_lateness_seconds"]
    assert lateness.total == 2.0
    assert lateness.share_above(0.001) == 0.5
    assert lateness.bounds[-1] == inf
    assert read.value("cache_lookups_total", "hit") == 1.0
    assert read.value("cache_lookups_total", "miss") == 2.0
    assert read.value("sessions_total") == 1.0
    assert read.value("underruns_total") == 0.0


def test_a_metric_that_does_not_exist_counts_as_zero() -> None:
    assert parse_exposition("").value("cache_lookups_total", "hit") == 0.0
