"""A run as Markdown for a terminal or a repository, and as one HTML file with plots.  Pure.

Times are shown in milliseconds; each percentile with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from loadtest.bootstrap import RUNS_MIN
from loadtest.load_figures import PERCENTILES, Figure, lead_over_time
from loadtest.outcome import Answer, Life
from loadtest.plots import Bar, Line, line_plot, swimlane
from loadtest.verdict import Checked, Result, errors_of

_LANE_ANSWERS = 4
"""Answers of one session that its swimlane shows."""

_STYLE = (
    "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;"
    "text-align:right}td:first-child,th:first-child{text-align:left}"
    "svg{margin:1em 0;max-width:100%}"
)


def verdict_lines(result: Result) -> list[str]:
    """What held and what did not, a line each."""
    lines = [f"{'held  ' if one.held else 'MISSED'}  {_checked(one)}" for one in result.checked]
    lines += [f"INVALID  {problem}" for problem in result.problems]
    lines += [f"error    {code}: {count}" for code, count in sorted(errors_of(result).items())]
    return lines


def to_markdown(result: Result) -> str:
    """Verdicts and all figures as tables."""
    load = result.runs[0].load
    clusters = "runs" if len(result.runs) >= RUNS_MIN else "sessions"
    return "\n".join(
        [
            f"# {load.sessions} sessions for {load.seconds:g} s",
            "",
            f"{len(result.runs)} run(s), seed {load.seed}; {result.machine}.",
            f"Intervals: 95 %, bootstrap over {clusters}.",
            "",
            *(f"- {line}" for line in verdict_lines(result)),
            "",
            *_markdown_table(_sampled_rows(result)),
            "",
            *_markdown_table(_value_rows(result)),
            "",
        ]
    )


def to_html(result: Result) -> str:
    """The same, with plots."""
    load = result.runs[0].load
    title = f"{load.sessions} sessions for {load.seconds:g} s"
    verdicts = "".join(f"<li>{escape(line)}</li>" for line in verdict_lines(result))
    return "".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(result.machine)}</p>",
            f"<ul>{verdicts}</ul>",
            _html_table(_sampled_rows(result)),
            latency_plot(result),
            lead_plot(result),
            session_plot(result),
            _html_table(_value_rows(result)),
            "</html>",
        ]
    )


def latency_plot(result: Result) -> str:
    """First audible sample by percentile: the tail is to the right."""
    lines = []
    for name, label in (
        ("first_audible_from_clause", "from the first clause"),
        ("first_audio_from_clause", "the same, to the first frame"),
    ):
        figure = result.figures.get(name)
        if figure is not None:
            lines.append(Line(label, _by_percentile(figure)))
    return line_plot("Time to first audible sample", "percentile", "ms", lines)


def lead_plot(result: Result) -> str:
    """What the listeners held over time."""
    course = lead_over_time(result.runs)
    return line_plot(
        "Audio in the listeners' buffers",
        "seconds",
        "s",
        [
            Line("median", [(at, median) for at, median, _ in course]),
            Line("least", [(at, least) for at, _, least in course]),
        ],
    )


def session_plot(result: Result) -> str:
    """One session as a swimlane: the one with the most silence, else the first."""
    lives = [life for run in result.runs for life in run.lives if life.answers]
    if not lives:
        return ""
    chosen = max(lives, key=_silent_s)
    bars = [bar for answer in chosen.answers[:_LANE_ANSWERS] for bar in _bars(answer)]
    return swimlane(f"Session {chosen.session}", bars)


def _silent_s(life: Life) -> float:
    return sum(one.duration_s for answer in life.answers for one in answer.silences)


def _bars(answer: Answer) -> list[Bar]:
    lane = f"turn {answer.turn}"
    bars = [Bar(f"{lane} waits", answer.request_s, answer.clause_s, 2, "language model")]
    if answer.first_sound_s is None:
        return [*bars, Bar(f"{lane} waits", answer.clause_s, answer.over_s, 1, answer.fate.value)]
    bars.append(Bar(f"{lane} waits", answer.clause_s, answer.first_sound_s, 1, "first audio"))
    bars.append(Bar(f"{lane} sounds", answer.first_sound_s, answer.over_s, 0, answer.fate.value))
    bars += [
        Bar(f"{lane} sounds", one.start_s, one.start_s + one.duration_s, 1, "underrun")
        for one in answer.silences
    ]
    return bars


def _by_percentile(figure: Figure) -> list[tuple[float, float]]:
    values = np.sort(figure.samples) * 1000
    return [(100 * (at + 1) / len(values), float(value)) for at, value in enumerate(values)]


def _sampled_rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "n", *(f"p{percent:g}" for percent in PERCENTILES), "max")]
    for name, figure in result.figures.items():
        if figure.clusters:
            show, unit = _unit(figure.unit)
            cells = [
                f"{show(found.value)} ({show(found.low)}–{show(found.high)})"
                for found in figure.percentiles.values()
            ]
            samples = figure.samples
            rows.append((f"{_words(name)}{unit}", str(len(samples)), *cells, show(samples.max())))
    return rows


def _value_rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "value")]
    for name, figure in result.figures.items():
        if not figure.clusters:
            unit = f", {figure.unit}" if figure.unit else ""
            rows.append((f"{_words(name)}{unit}", f"{figure.value:,.4g}"))
    return rows


def _unit(unit: str) -> tuple[Callable[[float], str], str]:
    if unit == "s":
        return (lambda value: f"{value * 1000:.1f}"), ", ms"
    return (lambda value: f"{value:.3g}"), f", {unit}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _checked(one: Checked) -> str:
    sign = ">=" if one.limit.at_least else "<="
    value = "nothing measured" if one.value is None else f"{one.value:.4g}"
    return f"{one.limit.name}: {value}, limit {sign} {one.limit.bound:g}"


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    return [
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
        *("| " + " | ".join(row) + " |" for row in body),
    ]


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    ]
    return f"<table>{''.join(lines)}</table>"
