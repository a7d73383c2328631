"""The method of the comparison, on made-up machines whose noise is known."""

import math

import numpy as np
import pytest

from loadtest.judge import Terms, Verdict, compare, interval, judge, trimmed_mean
from loadtest.runfile import Better, Figure, Runs


def runs(*values: float, better: Better = "lower", unit: str = "s") -> Runs:
    return Runs("m", tuple({"x": Figure(float(value), unit, better)} for value in values))


def machine(
    random: np.random.Generator, pairs: int, slowdown: float, noise: float, *, together: bool = True
) -> tuple[Runs, Runs]:
    """Runs with ``noise`` each, a drift that pairs share, and every twentieth run spoilt."""
    drift = np.exp(np.cumsum(random.normal(0, 0.03 if together else 0, pairs)))

    def side(factor: float) -> Runs:
        spoilt = np.where(random.random(pairs) < 0.05, random.uniform(1.2, 3, pairs), 1)
        return runs(*(drift * factor * np.exp(random.normal(0, noise, pairs)) * spoilt))

    return side(1.0), side(1.0 + slowdown)


def verdicts(trials: int, slowdown: float, noise: float, *, paired: bool) -> list[Verdict]:
    random = np.random.default_rng(7)
    return [
        compare(
            *machine(random, 20, slowdown, noise, together=paired), paired=paired, terms=Terms()
        )[0].verdict
        for _ in range(trials)
    ]


@pytest.mark.parametrize("paired", [True, False])
def test_15_percent_are_found_in_95_of_100_trials(paired: bool) -> None:
    found = verdicts(400, 0.15, 0.05, paired=paired)

    assert found.count("worse") / 400 >= 0.95
    assert found.count("better") == 0


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_at_most_2_false_alarms_in_100_trials(paired: bool, noise: float) -> None:
    # 10 % of noise is twice what the method needs to find 15 %: then it must say so, not guess.
    assert verdicts(600, 0.0, noise, paired=paired).count("worse") / 600 <= 0.02


def test_a_noisy_machine_makes_it_undecided_and_not_the_same() -> None:
    found = verdicts(100, 0.15, 0.2, paired=True)

    assert found.count("same") <= 2
    assert found.count("undecided") >= 50


def test_an_interval_of_98_percent_holds_the_truth_in_about_98_of_100() -> None:
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(500):
        _, low, high = interval(random.normal(5.0, 2.0, 20), 0.01, random)
        inside += low <= 5.0 <= high

    assert 0.965 <= inside / 500 <= 0.995


def test_a_certain_change_below_the_tolerance_does_not_count() -> None:
    (change,) = compare(
        runs(*[1.0, 1.001] * 10), runs(*[1.03, 1.031] * 10), paired=True, terms=Terms()
    )

    assert change.low > 0.02
    assert change.verdict == "same"


def test_more_is_better_turns_the_verdict_round() -> None:
    before, after = [10.0, 10.1] * 10, [8.0, 8.1] * 10

    fewer = compare(
        runs(*before, better="higher"), runs(*after, better="higher"), paired=True, terms=Terms()
    )[0]
    lower = compare(runs(*before), runs(*after), paired=True, terms=Terms())[0]

    assert (fewer.verdict, lower.verdict) == ("worse", "better")
    assert fewer.change == pytest.approx(-0.199, abs=0.001)


def test_a_figure_that_can_be_zero_is_judged_by_its_difference() -> None:
    (change,) = compare(runs(*[0, 1] * 10), runs(*[4, 5] * 10), paired=True, terms=Terms())

    assert not change.relative
    assert change.change == 4.0
    assert change.verdict == "worse"


def test_no_failures_on_either_side_is_the_same() -> None:
    (change,) = compare(runs(*[0] * 12), runs(*[0] * 12), paired=True, terms=Terms())

    assert (change.low, change.high, change.verdict) == (0.0, 0.0, "same")


def test_one_wild_run_does_not_move_the_mean() -> None:
    assert trimmed_mean(np.asarray([1.0, 2.0, 3.0, 4.0, 500.0])) == 3.0


def test_many_figures_share_the_false_alarms() -> None:
    random = np.random.default_rng(5)
    values = random.lognormal(0, 0.1, (20, 2))
    one = tuple({"x": Figure(float(v), "s", "lower")} for v, _ in values)
    ten = tuple({f"x{i}": Figure(float(v), "s", "lower") for i in range(10)} for v, _ in values)
    other = tuple({"x": Figure(float(v), "s", "lower")} for _, v in values)
    others = tuple({f"x{i}": Figure(float(v), "s", "lower") for i in range(10)} for _, v in values)

    (alone,) = compare(Runs("m", one), Runs("m", other), paired=True, terms=Terms())
    together = compare(Runs("m", ten), Runs("m", others), paired=True, terms=Terms())

    assert together[0].low < alone.low
    assert together[0].high > alone.high


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="A has 9 runs and B 20: at least 10 of each"):
        compare(runs(*[1.0] * 9), runs(*[1.0] * 20), paired=False, terms=Terms())


def test_unequal_numbers_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="10 runs of A can't be paired with 11 of B"):
        compare(runs(*[1.0] * 10), runs(*[1.0] * 11), paired=True, terms=Terms())


def test_only_ratios_if_told_so() -> None:
    seconds = runs(*[1.0] * 10)

    with pytest.raises(ValueError, match="no figure of unit 'ratio'"):
        compare(seconds, seconds, paired=False, terms=Terms(), only="ratio")


def test_an_interval_without_an_end_is_undecided() -> None:
    assert judge(0.2, -math.inf, math.inf, terms=Terms(), scale=1, relative=True) == "undecided"
