"""Thousands of seeds: every scenario with every seed, on some processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from tests.sim.failure import Failure, describe
from tests.sim.run import Result, simulate
from tests.sim.scenario import Scenario

SEEDS_AT_A_TIME = 4
FAILURES_SHOWN_MAX = 10
PROGRESS_EVERY_S = 2.0


@dataclass(slots=True)
class Tally:
    """What became of the seeds of one scenario."""

    runs: int = 0
    sessions: int = 0
    steps: int = 0
    turns_done: int = 0
    with_underrun: int = 0
    worst_underrun_s: float = 0.0
    failures: dict[int, Failure] = field(default_factory=dict)

    def add(self, seed: int, scenario: Scenario, outcome: Result | Failure) -> None:
        """Count one run."""
        self.runs += 1
        if isinstance(outcome, Failure):
            self.failures[seed] = outcome
            return
        self.sessions += scenario.sessions
        self.steps += outcome.steps
        self.turns_done += outcome.turns_done
        self.with_underrun += outcome.sessions_with_underrun
        self.worst_underrun_s = max(self.worst_underrun_s, outcome.worst_underrun_s)


Batch = tuple[str, Scenario, range]


def run_batch(batch: Batch) -> list[tuple[int, Result | Failure]]:
    """Run some seeds of one scenario, in this process."""
    _, scenario, seeds = batch
    outcomes: list[tuple[int, Result | Failure]] = []
    for seed in seeds:
        try:
            outcomes.append((seed, simulate(seed, scenario)))
        except Exception as error:
            outcomes.append((seed, describe(error)))
    return outcomes


def swarm(
    scenarios: Mapping[str, Scenario], seeds: range, jobs: int, *, progress: bool = False
) -> dict[str, Tally]:
    """Run all of it; the tallies are the same with any number of ``jobs``."""
    batches: list[Batch] = [
        (name, scenario, seeds[first : first + SEEDS_AT_A_TIME])
        for first in range(0, len(seeds), SEEDS_AT_A_TIME)
        for name, scenario in scenarios.items()
    ]
    tallies = {name: Tally() for name in scenarios}
    began = shown = time.monotonic()
    done = 0
    for (name, scenario, _), outcomes in _outcomes(batches, jobs):
        for seed, outcome in outcomes:
            tallies[name].add(seed, scenario, outcome)
        done += len(outcomes)
        if progress and time.monotonic() - shown > PROGRESS_EVERY_S:
            shown = time.monotonic()
            failed = sum(len(tally.failures) for tally in tallies.values())
            total = len(seeds) * len(scenarios)
            line = f"{done} of {total} runs, {failed} failed, {shown - began:.0f} s"
            print(line, file=sys.stderr, flush=True)
    return tallies


def _outcomes(
    batches: Sequence[Batch], jobs: int
) -> Iterator[tuple[Batch, list[tuple[int, Result | Failure]]]]:
    if jobs == 1:
        for batch in batches:
            yield batch, run_batch(batch)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(run_batch, batch): batch for batch in batches}
        for future in as_completed(running):
            yield running[future], future.result()


def report(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """A line for each scenario, and one for each of the first failures of it."""
    for name, tally in tallies.items():
        yield (
            f"{name:15} {tally.runs:5} seeds  {tally.steps:9} steps  {tally.turns_done:6} answers  "
            f"{tally.with_underrun}/{tally.sessions} sessions with an underrun, "
            f"worst {1000 * tally.worst_underrun_s:.0f} ms"
        )
        for seed, failure in sorted(tally.failures.items())[:FAILURES_SHOWN_MAX]:
            yield f"  FAILED {failure.place}: {failure.message[:200]}"
            yield f"    python -m tests.sim {seed} --scenario {name}"
        if len(tally.failures) > FAILURES_SHOWN_MAX:
            yield f"  … and {len(tally.failures) - FAILURES_SHOWN_MAX} more"
