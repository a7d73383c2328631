"""Does the comparison find what it should?  A real gateway, with and without a sleep in its engine.

    text 1   plain  slowed  again      the first audio of each text three times, in a drawn order
    text 2   slowed again   plain
    …
    run      median  median  median    over all texts of a pair; no two pairs have a text in common

The sleep is ``slowdown`` of the median of the last 60 times without it, since a busy machine's
speed changes within minutes.  Pairs (plain, slowed) make
trials with a change, pairs (plain, plain again) trials without one.  A trial has 20 pairs: as many
as there are one after the other, and many more drawn anew from all pairs without replacement, which
are not independent of each other but show how close the verdicts are.

Only the times are real: the three take turns text by text on one process, so that a trial lasts
half a minute, where ``compare`` starts a process for each run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from time import monotonic, sleep

from loadtest import judge, overhead, slowed
from loadtest.cpu import ForeignCpu
from loadtest.interleave import Progress
from loadtest.judge import Terms, Verdict
from loadtest.processes import Helper, free_port, helper
from loadtest.runfile import Figure, Runs
from loadtest.texts import opening

TRIAL_PAIRS = 20
_TIMEOUT_S = 30.0
_RECENT = 60
_FIGURE = "first_audio_s"

Pair = tuple[float, float]
"""Seconds of A and of B."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Verdicts of trials, as shares of them: in a row, and drawn anew."""

    trials: int
    worse: float
    undecided: float
    drawn_trials: int
    drawn_worse: float
    drawn_undecided: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """``found`` with the sleep, ``alarms`` without; ``change`` is what the sleep did, over all."""

    pairs: int
    turns: int
    plain_s: float
    change: float
    found: Rates
    alarms: Rates
    foreign_cpu_share: float

    @property
    def holds(self) -> bool:
        """Whether 95 % of slowdowns are found, with 2 % of false alarms at most."""
        return self.found.worse >= 0.95 and self.alarms.worse <= 0.02


def measure(
    pairs: int, turns: int, slowdown: float, drawn: int, seed: int, progress: Progress
) -> Sensitivity:
    """Run it: about 0.03 s a pair and turn.  Raises ChildProcessError if the gateway fails."""
    port = free_port()
    with helper(slowed.serve, port) as server:
        _wait_for(port)
        with overhead.open_client(port) as client:
            recent = deque(
                (client.time_to_first_audio_s(opening(seed - 1 - i), 0.0) for i in range(_RECENT)),
                maxlen=_RECENT,
            )
            others = ForeignCpu()
            changed, unchanged = _measure_pairs(
                client, server, pairs, turns, slowdown, recent, seed, progress
            )
            foreign = others.share()
    whole = judge.compare(*_runs(changed), paired=True, terms=Terms())[0]
    return Sensitivity(
        pairs=pairs,
        turns=turns,
        plain_s=median(plain for plain, _ in changed),
        change=whole.change,
        found=rates(changed, drawn, seed),
        alarms=rates(unchanged, drawn, seed),
        foreign_cpu_share=foreign,
    )


def rates(pairs: Sequence[Pair], drawn: int, seed: int) -> Rates:
    """Judge trials of these pairs."""
    row = [
        verdict(pairs[start : start + TRIAL_PAIRS])
        for start in range(0, len(pairs) - TRIAL_PAIRS + 1, TRIAL_PAIRS)
    ]
    random = Random(seed)
    anew = [verdict(random.sample(pairs, TRIAL_PAIRS)) for _ in range(drawn)]
    return Rates(
        len(row), _share(row, "worse"), _share(row, "undecided"),
        drawn, _share(anew, "worse"), _share(anew, "undecided"),
    )  # fmt: skip


def verdict(pairs: Sequence[Pair]) -> Verdict:
    """What ``compare`` would say of these pairs."""
    return judge.compare(*_runs(pairs), paired=True, terms=Terms())[0].verdict


def _share(verdicts: Sequence[Verdict], wanted: Verdict) -> float:
    return verdicts.count(wanted) / len(verdicts)


def _runs(pairs: Sequence[Pair]) -> tuple[Runs, Runs]:
    one, other = (
        Runs("", tuple({_FIGURE: Figure(pair[index], "s", "lower")} for pair in pairs))
        for index in (0, 1)
    )
    return one, other


def _measure_pairs(
    client: overhead.Client,
    server: Helper,
    pairs: int,
    turns: int,
    slowdown: float,
    recent: deque[float],
    seed: int,
    progress: Progress,
) -> tuple[list[Pair], list[Pair]]:
    """Pairs with and without the sleep; ``recent`` are the last times without it."""
    random = Random(seed)
    names = ["plain", "slowed", "again"]
    changed: list[Pair] = []
    unchanged: list[Pair] = []
    for number in range(pairs):
        times: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(turns):
            text = opening(seed + number * turns + turn)
            for name in random.sample(names, len(names)):
                server.pipe.send(slowdown * median(recent) if name == "slowed" else 0.0)
                server.receive(_TIMEOUT_S)
                times[name].append(client.time_to_first_audio_s(text, pause_s=0.0))
            recent.extend((times["plain"][-1], times["again"][-1]))
        plain, late, again = (median(times[name]) for name in names)
        changed.append((plain, late))
        unchanged.append((plain, again))
        if (number + 1) % TRIAL_PAIRS == 0:
            progress(f"{number + 1} of {pairs} pairs")
    return changed, unchanged


def _wait_for(port: int) -> None:
    deadline = monotonic() + _TIMEOUT_S
    while monotonic() < deadline:
        try:
            with overhead.open_client(port):
                return
        except OSError:
            sleep(0.1)
    raise ChildProcessError(f"the gateway on port {port} did not start in {_TIMEOUT_S:g} s")
