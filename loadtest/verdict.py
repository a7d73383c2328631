"""Limits, and whether a run kept them; what is written to files for people and programs.  Pure.

The JSON is one object, in the form that programs compare:

    {"machine": …, "load": …, "valid": true, "problems": [], "limits": [{…, "value", "held"}],
     "runs": [{"figures": {name: {"unit", "better", "value"}}}],         each run by itself
     "figures": {name: {"unit", "better", "value"}                       all runs together
                       {…, "samples": […], "p50": {"value", "low", "high"}, …}},
     "circumstances": {…},                                               neither way is better
     "clusters": "runs", "errors": {…}, "lead_over_time": [[second, median, least]]}

In ``runs`` a sampled figure is given as two: its p50 and its p95.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from loadtest.bootstrap import RUNS_MIN
from loadtest.histogram import buckets
from loadtest.load_figures import Figure, figures_of, generator_problems, lead_over_time
from loadtest.measure import Run
from loadtest.statistics import percentile


@dataclass(frozen=True, slots=True)
class Limit:
    """``figure`` (its ``percent`` percentile, or its value if 0) keeps to ``bound``."""

    name: str
    figure: str
    percent: float
    bound: float
    at_least: bool = False

    def check(self, figures: Mapping[str, Figure]) -> Checked:
        """Whether it holds; a figure that is missing does not."""
        figure = figures.get(self.figure)
        if figure is None:
            return Checked(self, None, held=False)
        value = figure.value
        if figure.clusters:
            value = percentile(figure.samples, self.percent)
        return Checked(self, value, value >= self.bound if self.at_least else value <= self.bound)


@dataclass(frozen=True, slots=True)
class Checked:
    """A limit, and what was measured."""

    limit: Limit
    value: float | None
    held: bool


def standard_limits(
    first_audio_p95_s: float = 1.0, error_rate: float = 0.001, smooth_share: float = 0.999
) -> tuple[Limit, ...]:
    """What a service must keep: the capacity search uses the same."""
    return (
        Limit("p95 of first audible sample", "first_audible_from_clause", 95, first_audio_p95_s),
        Limit("sessions without an underrun over 50 ms", "sessions_without_tear", 0, smooth_share,
              at_least=True),
        Limit("error rate", "error_rate", 0, error_rate),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """Some runs of the same load, judged."""

    machine: str
    runs: tuple[Run, ...]
    figures: Mapping[str, Figure]
    checked: tuple[Checked, ...]
    problems: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether the generator was not what limited it."""
        return not self.problems

    @property
    def held(self) -> bool:
        """Whether every limit was kept."""
        return all(checked.held for checked in self.checked)


def judge(machine: str, runs: Sequence[Run], limits: Sequence[Limit]) -> Result:
    """Figures and verdicts."""
    figures = figures_of(runs)
    return Result(
        machine,
        tuple(runs),
        figures,
        tuple(limit.check(figures) for limit in limits),
        tuple(generator_problems(runs)),
    )


def errors_of(result: Result) -> dict[str, int]:
    """How often each error came, of answers and of sessions."""
    seen: dict[str, int] = {}
    for run in result.runs:
        for life in run.lives:
            for error in (*life.errors, *(answer.error for answer in life.answers)):
                if error:
                    seen[error] = seen.get(error, 0) + 1
    return seen


def to_json(result: Result) -> bytes:
    """The file of a run, as in the module's picture."""
    return orjson.dumps(
        {
            "kind": "run",
            "machine": result.machine,
            "load": asdict(result.runs[0].load),
            "runs": [{"figures": _values(figures_of([run]))} for run in result.runs],
            "clusters": "runs" if len(result.runs) >= RUNS_MIN else "sessions",
            "valid": result.valid,
            "problems": result.problems,
            "limits": [
                {**asdict(one.limit), "value": one.value, "held": one.held}
                for one in result.checked
            ],
            "errors": errors_of(result),
            "figures": _chosen(result.figures, judged=True),
            "circumstances": _chosen(result.figures, judged=False),
            "lead_over_time": lead_over_time(result.runs),
        },
        option=orjson.OPT_INDENT_2,
    )


def _values(figures: Mapping[str, Figure]) -> dict[str, dict[str, object]]:
    values: dict[str, dict[str, object]] = {}
    for name, figure in figures.items():
        about = {"unit": figure.unit, "better": figure.better}
        if figure.better and figure.clusters:
            for percent in (50, 95):
                value = percentile(figure.samples, percent)
                values[f"{name}_p{percent}"] = about | {"value": value}
        elif figure.better:
            values[name] = about | {"value": figure.value}
    return values


def _chosen(figures: Mapping[str, Figure], *, judged: bool) -> dict[str, object]:
    return {
        name: figure_json(figure)
        for name, figure in figures.items()
        if bool(figure.better) is judged
    }


def figure_json(figure: Figure) -> dict[str, Any]:
    """One figure; samples in order of their clusters."""
    about: dict[str, Any] = {"unit": figure.unit, "better": figure.better}
    if not figure.clusters:
        return about | {"value": figure.value}
    about["samples"] = [round(float(value), 6) for value in figure.samples]
    for percent, found in figure.percentiles.items():
        about[f"p{percent:g}"] = asdict(found)
    if figure.unit == "s":
        about["histogram"] = buckets(figure.samples)
    return about
