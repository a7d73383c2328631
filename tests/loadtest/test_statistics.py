import numpy as np
import pytest

from loadtest.statistics import percentile, ratio_of_pairs, share_above, spread


def test_a_percentile_is_one_of_the_values() -> None:
    values = np.asarray([5.0, 1.0, 4.0, 2.0, 3.0])

    assert percentile(values, 50) == 3.0
    assert percentile(values, 60) == 3.0
    assert percentile(values, 61) == 4.0
    assert percentile(values, 100) == 5.0
    assert percentile(values, 0) == 1.0


def test_p99_of_200_values_is_the_third_greatest() -> None:
    assert percentile(np.arange(1.0, 201.0), 99) == 198.0


def test_one_value_is_every_percentile() -> None:
    described = spread([7.0])

    assert (described.count, described.least, described.p50, described.p99) == (1, 7.0, 7.0, 7.0)


def test_a_spread_gives_count_percentiles_and_extremes() -> None:
    described = spread(np.arange(1000.0))

    assert described.count == 1000
    assert (described.least, described.greatest) == (0.0, 999.0)
    assert (described.p50, described.p90, described.p99) == (499.0, 899.0, 989.0)


def test_the_share_above_a_limit_leaves_out_the_limit_itself() -> None:
    assert share_above([1.0, 2.0, 3.0, 4.0], 2.0) == 0.5
    assert share_above([1.0, 2.0], 2.0) == 0.0


def test_rounds_are_compared_with_the_round_beside_them() -> None:
    # The machine was ten times as slow in the second round, for both.
    assert ratio_of_pairs([1.0, 10.0, 1.0], [2.0, 20.0, 2.0]) == 0.5


def test_the_ratio_of_an_odd_round_does_not_count() -> None:
    assert ratio_of_pairs([1.0, 1.0, 9.0], [2.0, 2.0, 1.0]) == 0.5


def test_rounds_without_a_partner_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="2 rounds against 1"):
        ratio_of_pairs([1.0, 2.0], [1.0])
