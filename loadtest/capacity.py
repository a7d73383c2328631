"""The largest load that is still served well, as one number.  The search is pure; ``probe`` is not.

    sessions  ├── doubles until one fails ──┤   then halves the interval
    100 ok  200 ok  400 MISSED   300 ok  350 MISSED  325 ok …  until it is within ``precision``

Served well: the limits of verdict.py hold.  A load that misses them is tried once more with another
seed, and only the second miss counts: one disturbance by others must not halve the answer.  A run
whose generator was late says nothing of the server, so the search ends there: what is known then is
a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

import orjson

from loadtest.plots import Line, line_plot
from loadtest.statistics import percentile
from loadtest.verdict import Result

PRECISION = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """One load that was tried."""

    sessions: int
    result: Result

    @property
    def good(self) -> bool:
        """Whether the limits held."""
        return self.result.held


@dataclass(frozen=True, slots=True)
class Capacity:
    """``sessions`` is the greatest load that held, 0 if none did.

    ``bounded_by`` says what ended the search: "server", "generator" or "limit" (``sessions_max``).
    """

    sessions: int
    bounded_by: str
    probes: tuple[Probe, ...]


def search(
    try_load: Callable[[int, int], Result],
    start: int,
    sessions_max: int,
    precision: float = PRECISION,
) -> Capacity:
    """Find it, within ``precision``; ``try_load(sessions, attempt)`` runs one load."""
    assert 1 <= start <= sessions_max, (start, sessions_max)
    probes: list[Probe] = []
    good, bad = 0, sessions_max + 1
    sessions = start
    while True:
        probes.extend(_attempts(try_load, sessions))
        last = probes[-1]
        if not last.good and not last.result.valid:
            return Capacity(good, "generator", tuple(probes))
        good, bad = (sessions, bad) if last.good else (good, sessions)
        if good == sessions_max:
            return Capacity(good, "limit", tuple(probes))
        if bad - good <= max(1, precision * good):
            return Capacity(good, "server", tuple(probes))
        unbounded = bad > sessions_max
        sessions = min(good * 2, sessions_max) if unbounded else (good + bad) // 2


def _attempts(try_load: Callable[[int, int], Result], sessions: int) -> Iterator[Probe]:
    probe = Probe(sessions, try_load(sessions, 0))
    yield probe
    if not probe.good:
        yield Probe(sessions, try_load(sessions, 1))


def summary(result: Result) -> str:
    """One line about one load."""
    parts = [
        f"{'' if one.held else 'MISSED '}{one.limit.name} "
        f"{'nothing measured' if one.value is None else f'{one.value:.3g}'}"
        for one in result.checked
    ]
    return "; ".join([*parts, *result.problems])


def to_json(found: Capacity, machine: str) -> bytes:
    """One object: the number, and every load that was tried."""
    return orjson.dumps(
        {
            "kind": "capacity",
            "machine": machine,
            "bounded_by": found.bounded_by,
            "figures": {
                "capacity": {"unit": "sessions", "better": "higher", "value": found.sessions}
            },
            "probes": [
                {
                    "sessions": probe.sessions,
                    "good": probe.good,
                    "valid": probe.result.valid,
                    "limits": {one.limit.name: one.value for one in probe.result.checked},
                    "server_cpu": _value(probe, "server_cpu"),
                    "generator_lateness_p99_s": _value(probe, "generator_lateness_p99"),
                    "others_cpu": _value(probe, "others_cpu"),
                }
                for probe in found.probes
            ],
        },
        option=orjson.OPT_INDENT_2,
    )


def to_html(found: Capacity, machine: str) -> str:
    """Latency against load."""
    lines = []
    for percent in (50, 95):
        points = {
            probe.sessions: 1000 * percentile(figure.samples, percent)
            for probe in found.probes
            if (figure := probe.result.figures.get("first_audible_from_clause")) is not None
        }
        lines.append(Line(f"p{percent}", [(float(at), points[at]) for at in sorted(points)]))
    plot = line_plot("Time to first audible sample against load", "sessions", "ms", lines)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Capacity</title>'
        f"<h1>{found.sessions} sessions</h1><p>{escape(machine)}; bounded by the "
        f"{found.bounded_by}.</p>{plot}</html>"
    )


def _value(probe: Probe, name: str) -> float | None:
    figure = probe.result.figures.get(name)
    return None if figure is None else figure.value
