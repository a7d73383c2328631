"""Did B get worse than A?  The difference with its interval, and a verdict.  Pure.

Latencies of one run depend on each other (on a cold cache, on who else used the machine), so the
sample is the *run*: pooling all latencies of all runs raises false alarms far above what was asked
for.  Each run gives one number for a figure; runs of A and B alternate, and each run of B is
compared with the run of A beside it:

    run        1    2    3    4  …           dᵢ = ln(bᵢ / aᵢ)      what slowed the machine for a
    A          a₁   a₂   a₃   a₄             change = exp(d̄) - 1   while slowed both of a pair, and
    B          b₁   b₂   b₃   b₄                                   cancels out

d̄ is the mean without the greatest and the least fifth (Yuen, 1974), because now and then a run is
spoilt by something else on the machine; its standard error comes from the winsorised values.  The
interval is a studentised bootstrap over pairs: the pairs are drawn anew ``RESAMPLES`` times, and
the quantiles of t* = (d̄* - d̄) / se* are turned round.  With 20 pairs this keeps its level, which
plain percentiles of d̄* do not.  Where runs are no pairs (they were made at different times), the
same is done with the difference of two means, each side drawn by itself.

A figure is

    worse      the interval lies above 0 *and* the change is greater than ``tolerance``
    better     the same below 0
    undecided  not worse, but the interval reaches further than ``regression`` (what must be found):
               more runs, or a quieter machine
    same       else

so that neither a certain but trifling change nor a great but doubtful one stops a release.  "Above"
means worse throughout: figures of which more is better are turned round.  The false alarms that
``FALSE_ALARMS`` allows are shared by all the figures of a comparison (Bonferroni).

Figures of few distinct values (whole numbers) make resamples without any spread; their interval may
then have no end, and the verdict is undecided rather than wrong.

A figure that is 0 or negative somewhere (a count of failures) has no ratio: its plain difference is
judged instead, against the same shares of A's greatest magnitude.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from loadtest.runfile import Better, Runs
from loadtest.statistics import Values

TOLERANCE = 0.05
REGRESSION = 0.15
FALSE_ALARMS = 0.01
"""Of a comparison without a change, that one of its figures is called worse: at most this."""
RESAMPLES = 4000
PAIRS_MIN = 10
"""With fewer no interval deserves the name."""
TRIM = 0.2
_LOGARITHM_MAX = 700.0

Verdict: TypeAlias = Literal["worse", "better", "same", "undecided"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What counts: shares of A's value, and the allowed rate of false alarms."""

    tolerance: float = TOLERANCE
    regression: float = REGRESSION
    false_alarms: float = FALSE_ALARMS

    def __post_init__(self) -> None:
        assert 0 <= self.tolerance < self.regression, (self.tolerance, self.regression)
        assert 0 < self.false_alarms < 0.5, self.false_alarms


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of B against A.

    ``a`` and ``b`` are trimmed means in ``unit``.  ``change`` and its interval ``low`` to ``high``
    are parts of A (0.15: 15 % *more*, whichever is better), or differences in ``unit`` where
    ``relative`` is False.
    """

    name: str
    unit: str
    better: Better
    a: float
    b: float
    change: float
    low: float
    high: float
    relative: bool
    verdict: Verdict


def compare(
    a: Runs, b: Runs, *, paired: bool, terms: Terms, only: str | None = None
) -> list[Change]:
    """Judge each figure that both have (of unit ``only``, if given).

    ``paired``: run i of A was made beside run i of B.  Raises ValueError if there are too few runs,
    or no such figure.
    """
    fewest = min(len(a.runs), len(b.runs))
    if fewest < PAIRS_MIN:
        raise ValueError(
            f"A has {len(a.runs)} runs and B {len(b.runs)}: at least {PAIRS_MIN} of each are needed"
        )
    if paired and len(a.runs) != len(b.runs):
        raise ValueError(f"{len(a.runs)} runs of A can't be paired with {len(b.runs)} of B")
    there = set(b.names())
    units = {name: a.runs[0][name].unit for name in a.names() if name in there}
    names = [name for name, unit in units.items() if only in (None, unit)]
    if not names:
        raise ValueError(f"A and B have no figure{f' of unit {only!r}' if only else ''} in common")
    tail = terms.false_alarms / len(names)
    return [
        _change(name, a, b, paired=paired, terms=terms, tail=tail, seed=seed)
        for seed, name in enumerate(names)
    ]


def _change(
    name: str, a: Runs, b: Runs, *, paired: bool, terms: Terms, tail: float, seed: int
) -> Change:
    before, after = np.asarray(a.values(name)), np.asarray(b.values(name))
    figure = a.runs[0][name]
    relative = bool(min(before.min(), after.min()) > 0)
    one, other = (np.log(before), np.log(after)) if relative else (before, after)
    random = np.random.default_rng(seed)
    if paired:
        middle, low, high = interval(other - one, tail, random)
    else:
        middle, low, high = interval_of_difference(one, other, tail, random)
    scale = 1.0 if relative else float(np.abs(before).max())
    verdict = judge(
        *((middle, low, high) if figure.better == "lower" else (-middle, -high, -low)),
        terms=terms,
        scale=scale,
        relative=relative,
    )
    shown = [_as_share(value) if relative else value for value in (middle, low, high)]
    return Change(
        name, figure.unit, figure.better, trimmed_mean(before), trimmed_mean(after),
        shown[0], shown[1], shown[2], relative, verdict,
    )  # fmt: skip


def judge(
    middle: float, low: float, high: float, *, terms: Terms, scale: float, relative: bool
) -> Verdict:
    """The verdict on a change where more is worse: logarithms of ratios, or plain differences."""
    tolerance, regression = terms.tolerance * scale, terms.regression * scale
    if relative:
        tolerance, regression = math.log1p(terms.tolerance), math.log1p(terms.regression)
    if low > 0 and middle > tolerance:
        return "worse"
    if high < 0 and -middle > tolerance:
        return "better"
    return "undecided" if high > regression else "same"


def _as_share(logarithm: float) -> float:
    """The change that a logarithm of a ratio says; an interval may be without an end."""
    return math.expm1(logarithm) if logarithm < _LOGARITHM_MAX else math.inf


# ── intervals ──────────────────────────────────────────────────────────────────────────────────


def interval(
    values: Values, tail: float, random: np.random.Generator
) -> tuple[float, float, float]:
    """Trimmed mean of ``values``, [n], and an interval that leaves out ``tail`` on each side."""
    middle, error = _mean_and_error(values[np.newaxis])
    means, errors = _mean_and_error(_resampled(values, random))
    return _turned_round(float(middle[0]), float(error[0]), means, errors, tail)


def interval_of_difference(
    one: Values, other: Values, tail: float, random: np.random.Generator
) -> tuple[float, float, float]:
    """The same for the difference ``other - one`` of two means; shapes [n] and [m]."""
    (first, first_error), (second, second_error) = (
        _mean_and_error(values[np.newaxis]) for values in (one, other)
    )
    drawn_one = _mean_and_error(_resampled(one, random))
    drawn_other = _mean_and_error(_resampled(other, random))
    return _turned_round(
        float(second[0] - first[0]),
        math.hypot(first_error[0], second_error[0]),
        drawn_other[0] - drawn_one[0],
        np.hypot(drawn_one[1], drawn_other[1]),
        tail,
    )


def trimmed_mean(values: Values) -> float:
    """The mean of ``values``, [n], without the greatest and least fifth."""
    return float(_mean_and_error(values[np.newaxis])[0][0])


def _resampled(values: Values, random: np.random.Generator) -> Values:
    """``RESAMPLES`` samples as great as ``values``, drawn from it: [RESAMPLES, n]."""
    drawn: Values = values[random.integers(0, len(values), (RESAMPLES, len(values)))]
    return drawn


def _mean_and_error(rows: Values) -> tuple[Values, Values]:
    """Trimmed mean and its standard error (Yuen's) of each row: shapes [r], [r]."""
    count = rows.shape[1]
    cut = int(TRIM * count)
    ordered = np.sort(rows, axis=1)
    kept = ordered[:, cut : count - cut]
    winsorised = np.clip(ordered, kept[:, :1], kept[:, -1:])
    spread = winsorised.std(axis=1, ddof=1) if count > 1 else np.zeros(len(rows))
    return kept.mean(axis=1), spread / ((1 - 2 * cut / count) * math.sqrt(count))


def _turned_round(
    middle: float, error: float, means: Values, errors: Values, tail: float
) -> tuple[float, float, float]:
    # A resample of equal values has no error of its own: it is as far out as can be, or nowhere.
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sort(
            np.nan_to_num((means - middle) / errors, nan=0.0, posinf=np.inf, neginf=-np.inf)
        )
    rank = int(tail * len(t))
    if error == 0:
        return middle, middle, middle
    return middle, middle - float(t[-1 - rank]) * error, middle - float(t[rank]) * error
