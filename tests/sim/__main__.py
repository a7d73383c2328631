"""``python -m tests.sim SEED`` replays one seed; ``--seeds N`` runs a swarm.

python -m tests.sim 17 --scenario hostile
python -m tests.sim --seeds 1000 --jobs 2
python -m tests.sim minimise 17 --scenario hostile > small.json     make a failing world small
python -m tests.sim replay small.json                               run it again
python -m tests.sim leads          lead against underruns (tests/sim/leads.py)
python -m tests.sim drift          an hour with clocks that differ (tests/sim/drift.py)
python -m tests.sim compare        how many sessions each policy holds (tests/sim/compare.py)
python -m tests.sim measure …      what a model's stages cost here (tests/sim/curves.py)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.sim import compare, curves, drift, leads
from tests.sim.failure import failure_of
from tests.sim.minimise import describe, minimise
from tests.sim.plan import WorldPlan, draw, dump, load
from tests.sim.scenario import SCENARIOS
from tests.sim.swarm import report, swarm

RUNS_MAX = 5000


def run_swarm(arguments: Sequence[str]) -> int:
    """Run seeds; the exit status says whether everything held in all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("seed", nargs="?", type=int, default=0, help="replay this seed")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="only this one")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from SEED on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    names = [options.scenario] if options.scenario else list(SCENARIOS)
    seeds = range(options.seed, options.seed + options.seeds)
    began = time.monotonic()
    tallies = swarm({n: SCENARIOS[n] for n in names}, seeds, options.jobs, progress=True)
    print("\n".join(report(tallies)))
    failures = [failure for tally in tallies.values() for failure in tally.failures.values()]
    if failures:
        print(failures[0].trace, file=sys.stderr)
    runs = len(names) * options.seeds
    print(f"{runs} runs, {len(failures)} failed, {time.monotonic() - began:.1f} s")
    return 1 if failures else 0


def run_minimise(arguments: Sequence[str]) -> int:
    """Print the smallest world found that fails as the seed does; 2 if the seed does not fail."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim minimise")
    parser.add_argument("seed", type=int)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), required=True)
    parser.add_argument("--error", default="", help="the message must have this in it")
    parser.add_argument("--gap-ms", type=float, help="hearing a longer gap is a failure")
    parser.add_argument("--runs", type=int, default=RUNS_MAX, help="give up after so many")
    options = parser.parse_args(arguments)
    scenario = SCENARIOS[options.scenario]
    if options.gap_ms is not None:
        scenario = replace(scenario, gap_max_s=options.gap_ms / 1000)
    plan = draw(options.seed, scenario)
    failure = failure_of(plan)
    if failure is None or options.error not in failure.message:
        print(f"seed {options.seed} does not fail so: {failure}", file=sys.stderr)
        return 2
    print(f"{failure.place}: {failure.message}\nfrom {describe(plan)}", file=sys.stderr)
    runs_left = options.runs

    def fails(candidate: WorldPlan) -> bool:
        nonlocal runs_left
        runs_left -= 1
        found = failure_of(candidate) if runs_left >= 0 else None
        return found is not None and found.like(failure, options.error)

    small = minimise(
        plan,
        fails,
        lambda line: print(line, file=sys.stderr, flush=True),
        shorten=not failure.unfinished,
    )
    print(dump(small))
    return 0


def run_replay(arguments: Sequence[str]) -> int:
    """Run a world from a file; the exit status says whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim replay")
    parser.add_argument("file", type=Path, help="what minimise printed")
    options = parser.parse_args(arguments)
    plan = load(options.file)
    failure = failure_of(plan)
    print(f"{describe(plan)}: {failure.message if failure else 'everything held'}")
    if failure:
        print(failure.trace, file=sys.stderr)
    return 1 if failure else 0


COMMANDS = {
    "compare": compare.main,
    "drift": drift.main,
    "measure": curves.main,
    "leads": leads.main,
    "minimise": run_minimise,
    "replay": run_replay,
}


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    return command(arguments[1:]) if command else run_swarm(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
