"""A swarm of seeds: over a hundred worlds, and that the same seed gives the same world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.__main__ import main
from tests.sim.plan import draw
from tests.sim.run import run, simulate
from tests.sim.scenario import SCENARIOS, EngineFaults
from tests.sim.swarm import SEEDS_AT_A_TIME, report, swarm

SEEDS_PER_SCENARIO = 8


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_everything_holds_for_every_seed(name: str) -> None:
    for seed in range(SEEDS_PER_SCENARIO):
        try:
            result = simulate(seed, SCENARIOS[name])
        except AssertionError as error:
            raise AssertionError(f"python -m tests.sim {seed} --scenario {name}") from error
        assert result.frames > 0


def test_the_same_seed_gives_the_same_world() -> None:
    assert simulate(7, SCENARIOS["hostile"]) == simulate(7, SCENARIOS["hostile"])


def test_a_calm_world_has_no_underrun() -> None:
    underruns = [simulate(seed, SCENARIOS["calm"]).underruns for seed in range(10)]
    assert underruns == [0] * 10


def test_taking_a_session_away_changes_nothing_for_the_others() -> None:
    """Each draws from generators of its own; in a calm world with room they do not meet."""
    plan = draw(3, replace(SCENARIOS["calm"], engine=EngineFaults(lanes=8)))
    alone = [run(replace(plan, callers=(caller,))) for caller in plan.callers]
    together = run(plan)
    assert sum(result.frames for result in alone) == together.frames
    assert sum(result.turns_done for result in alone) == together.turns_done


def test_a_swarm_counts_the_same_with_one_process_and_with_two() -> None:
    scenarios = {"wifi": SCENARIOS["wifi"], "drain": SCENARIOS["drain"]}
    one = swarm(scenarios, range(SEEDS_AT_A_TIME + 1), jobs=1)
    two = swarm(scenarios, range(SEEDS_AT_A_TIME + 1), jobs=2)
    assert one == two
    assert one["wifi"].runs == SEEDS_AT_A_TIME + 1
    assert one["wifi"].sessions == 8 * (SEEDS_AT_A_TIME + 1)


def test_a_swarm_tells_which_seeds_failed_and_how_to_replay_them() -> None:
    slow = EngineFaults(lanes=1, real_time_factor=2.0)
    strict = replace(SCENARIOS["calm"], sessions=1, engine=slow, duration_s=600.0, gap_max_s=0.001)
    lines = list(report(swarm({"slow": strict}, range(12), jobs=1)))
    assert lines[0].startswith("slow               12 seeds ")
    assert "FAILED run.py" in lines[1]
    assert "heard a gap of" in lines[1]
    assert lines[2] == "    python -m tests.sim 0 --scenario slow"
    assert lines[-1] == "  … and 2 more"


def test_the_command_replays_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["3", "--scenario", "drain"]) == 0
    printed = capsys.readouterr().out
    assert "drain               1 seeds" in printed
    assert "1 runs, 0 failed" in printed
