"""Hours of ordinary and of bad callers, and whether the server keeps anything of them.

    round   ├── callers come and go; others die, stall, send garbage ──┤ quiet │ reading
            0                                                        load    settle   ▲

What a server holds under load varies; what it holds when everybody is gone should not.  So each
round ends with a quiet time, and a reading: memory, descriptors, threads, processes from /proc;
sessions, parked sessions and tasks from /metrics, as far as the server tells them.  The first half
of the rounds warms up caches and allocators (some hundred sessions, as measured) and is not
counted.  *Growth* is the median of the slopes between all pairs of the other readings (Theil and
Sen), times their number: one odd reading moves it little.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import orjson

from loadtest.exposition import Exposition
from loadtest.faults import Troublemaker
from loadtest.measure import Run, Server, Tell, measure, mixed_voices
from loadtest.outcome import Fate
from loadtest.resources import Resources, read_resources
from loadtest.script import Load
from loadtest.verdict import errors_of, judge

READINGS_MIN = 3
"""Of fewer no slope can be told from noise."""

ERROR_RATE = 0.001
"""Answers to callers who behave that may fail."""

SMALL_CACHE = "engine.cache_bytes_max=4194304"
"""A setting for a gateway of our own: a cache that is full after the warm-up grows no more."""

GAUGES = {
    "sessions_open": "sessions",
    "sessions_parked": "parked sessions",
    "event_loop_tasks": "tasks",
    "work_queued": "queued work",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """``minutes`` of rounds; ``settle_s`` should outlast what the server keeps on purpose."""

    minutes: float
    sessions: int = 40
    faults_per_s: float = 4.0
    round_s: float = 38.0
    settle_s: float = 12.0
    seed: int = 1

    @property
    def rounds(self) -> int:
        """As many as fit, at least as many as are needed."""
        return max(2 * READINGS_MIN, round(self.minutes * 60 / (self.round_s + self.settle_s)))


@dataclass(frozen=True, slots=True)
class Growth:
    """A figure over the rounds; ``grown`` in its own unit, ``limit`` what is tolerated."""

    name: str
    readings: tuple[float, ...]
    grown: float
    limit: float

    @property
    def held(self) -> bool:
        """Whether it grew no more than noise."""
        return self.grown <= self.limit


@dataclass(frozen=True, slots=True)
class Soak:
    """The whole soak; ``errors`` are those that ordinary callers met."""

    plan: Plan
    growths: tuple[Growth, ...]
    answers: int
    failed: int
    errors: Mapping[str, int]
    misdeeds: Mapping[str, int]

    @property
    def held(self) -> bool:
        """Whether nothing grew, and those who behaved were served."""
        served = self.failed <= ERROR_RATE * self.answers
        return served and all(growth.held for growth in self.growths)


def soak(plan: Plan, server: Server, tell: Tell) -> Soak:
    """Do it; raises ChildProcessError if the server or a generator dies."""
    voices = mixed_voices(server)
    readings: list[dict[str, float]] = []
    runs: list[Run] = []
    misdeeds: dict[str, int] = {}
    for number in range(plan.rounds):
        load = Load(
            sessions=plan.sessions,
            seconds=plan.round_s - 5,
            lifetime_s=15.0,
            barge_in_share=0.3,
            cuts_per_minute=2.0,
            voices=voices,
            cached=True,
            seed=plan.seed + number,
        )
        with Troublemaker(server.target, plan.faults_per_s, plan.seed + number) as trouble:
            run = measure(load, server, tell, whole_every=0)
        for name, count in trouble.committed.items():
            misdeeds[name] = misdeeds.get(name, 0) + count
        runs.append(run)
        time.sleep(plan.settle_s)
        readings.append(_read(server))
        about = ", ".join(f"{name} {value:,.0f}" for name, value in readings[-1].items())
        tell(f"round {number + 1} of {plan.rounds}: {about}")
    result = judge("", runs, ())
    answers = [a for run in runs for life in run.lives for a in life.answers]
    return Soak(
        plan,
        tuple(growths(readings[len(readings) // 2 :])),
        len(answers),
        sum(answer.fate is Fate.FAILED for answer in answers),
        errors_of(result),
        misdeeds,
    )


def growths(readings: Sequence[Mapping[str, float]]) -> list[Growth]:
    """What grew from round to round; of each name as in every reading."""
    assert len(readings) >= READINGS_MIN, len(readings)
    found = []
    for name in readings[0]:
        values = [reading[name] for reading in readings]
        slope = median(
            (later - earlier) / (at - before)
            for (before, earlier), (at, later) in combinations(enumerate(values), 2)
        )
        found.append(Growth(name, tuple(values), slope * (len(values) - 1), _limit(name, values)))
    return found


def to_json(result: Soak, machine: str) -> bytes:
    """One object for programs."""
    return orjson.dumps(
        {
            "kind": "soak",
            "machine": machine,
            "minutes": result.plan.minutes,
            "answers": result.answers,
            "failed": result.failed,
            "errors": result.errors,
            "misdeeds": result.misdeeds,
            "held": result.held,
            "growth": [
                {"name": g.name, "readings": g.readings, "grown": g.grown, "limit": g.limit,
                 "held": g.held}
                for g in result.growths
            ],
        },
        option=orjson.OPT_INDENT_2,
    )  # fmt: skip


def to_text(result: Soak) -> str:
    """Lines for people."""
    lines = [
        f"{'held  ' if g.held else 'GREW  '}  {g.name}: {g.grown:+,.1f} in "
        f"{len(g.readings)} rounds (limit {g.limit:,.1f}); "
        f"{g.readings[0]:,.0f} … {g.readings[-1]:,.0f}"
        for g in result.growths
    ]
    bad = ", ".join(f"{name} {count}" for name, count in sorted(result.misdeeds.items()))
    lines.append(f"{result.answers} answers, {result.failed} failed; misdeeds: {bad}")
    lines += [f"error   {code}: {count}" for code, count in sorted(result.errors.items())]
    return "\n".join(lines)


def _limit(name: str, values: Sequence[float]) -> float:
    """Allocators keep some of what they once needed; everything else is counted, so 2 is noise."""
    return max(0.05 * values[0], 4 * 2**20) if name == "memory" else 2.0


def _read(server: Server) -> dict[str, float]:
    reading: dict[str, float] = {}
    if server.pid is not None:
        reading |= _held(read_resources(server.pid))
    metrics = server.metrics()
    if metrics is not None:
        reading |= _told(metrics)
    if not reading:
        raise ChildProcessError(f"nothing can be read of {server.url}: no /metrics, no process id")
    return reading


def _held(resources: Resources) -> dict[str, float]:
    return {
        "memory": resources.memory_bytes,
        "descriptors": resources.descriptors,
        "threads": resources.threads,
        "processes": resources.processes,
    }


def _told(metrics: Exposition) -> dict[str, float]:
    return {
        label: metrics.value(name)
        for name, label in GAUGES.items()
        if (name, "") in metrics.samples
    }
