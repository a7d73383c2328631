"""``python -m tests.sim SEED`` replays one seed; ``--seeds N`` runs a swarm.

python -m tests.sim 17 --scenario hostile
python -m tests.sim --seeds 200
python -m tests.sim compare        how many sessions each policy holds (tests/sim/compare.py)
python -m tests.sim measure …      what a model's stages cost here (tests/sim/curves.py)
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.sim import compare, curves
from tests.sim.run import Result, simulate
from tests.sim.scenario import SCENARIOS


def main() -> int:
    """Run what the command line asks for; the exit status says whether everything held."""
    if sys.argv[1:2] == ["compare"]:
        return compare.main(sys.argv[2:])
    if sys.argv[1:2] == ["measure"]:
        return curves.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="replay this seed")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="only this one")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from SEED (or 0) on")
    options = parser.parse_args()
    names = [options.scenario] if options.scenario else list(SCENARIOS)
    first = options.seed or 0
    failed = 0
    began = time.monotonic()
    for name in names:
        results: list[Result] = []
        for seed in range(first, first + options.seeds):
            try:
                results.append(simulate(seed, SCENARIOS[name]))
            except AssertionError:
                failed += 1
                traceback.print_exc()
                print(f"FAILED: python -m tests.sim {seed} --scenario {name}", file=sys.stderr)
        print(_summary(name, results))
    print(f"{len(names) * options.seeds} runs, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def _summary(name: str, results: list[Result]) -> str:
    sessions = SCENARIOS[name].sessions * len(results)
    with_underrun = sum(result.sessions_with_underrun for result in results)
    worst_ms = 1000 * max((result.worst_underrun_s for result in results), default=0.0)
    return (
        f"{name:15} {len(results):4} seeds  {sum(r.steps for r in results):8} steps  "
        f"{sum(r.turns_done for r in results):5} answers  "
        f"{with_underrun}/{sessions} sessions with an underrun, worst {worst_ms:.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
