"""A failing world becomes small, and stays one that fails in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.sim.__main__ import main
from tests.sim.engine import SimulatedEngines, SimulatedJob
from tests.sim.failure import failure_of
from tests.sim.minimise import ddmin, describe, minimise
from tests.sim.plan import WorldPlan, draw, dump, load
from tests.sim.scenario import SCENARIOS
from tests.sim.world import World


def test_ddmin_finds_the_two_that_fail_only_together() -> None:
    tried: list[Sequence[int]] = []

    def fails(items: Sequence[int]) -> bool:
        tried.append(items)
        return 17 in items and 42 in items

    assert ddmin(range(64), fails) == [17, 42]
    assert len(tried) < 80


def test_ddmin_finds_nothing_where_nothing_is_needed() -> None:
    assert ddmin([1, 2, 3], lambda items: True) == []


def test_ddmin_keeps_everything_if_all_is_needed() -> None:
    assert list(ddmin("abc", lambda items: len(items) == 3)) == ["a", "b", "c"]


class ForgetfulEngines(SimulatedEngines):
    """A bug: once a running chunk was withdrawn, the session's next chunk is never answered."""

    def __init__(self, world: World, plan: WorldPlan) -> None:
        super().__init__(world, plan.scenario.engine)
        self._forgetful: set[str] = set()

    def withdraw(self, session: str, context: str, generation: int) -> None:
        running = any(
            job.request.id.session == session and job.request.id.generation == generation
            for job in self.jobs.values()
        )
        super().withdraw(session, context, generation)
        if running:
            self._forgetful.add(session)

    def submit(self, job: SimulatedJob) -> None:
        if job.request.id.session in self._forgetful:
            self._forgetful.remove(job.request.id.session)
            return
        super().submit(job)


def bug_of(plan: WorldPlan) -> str | None:
    failure = failure_of(plan, make_engines=lambda world: ForgetfulEngines(world, plan))
    return failure.message if failure and "never heard the end" in failure.message else None


def test_an_injected_bug_is_brought_down_to_one_session_and_one_cancel(tmp_path: Path) -> None:
    scenario = replace(
        SCENARIOS["hostile"], engine=replace(SCENARIOS["hostile"].engine, start_s=0.05)
    )
    scenario = replace(scenario, down=replace(scenario.down, cut_after_s=0.0))
    plan = next(p for seed in range(40) if bug_of(p := draw(seed, scenario)))
    small = minimise(plan, lambda candidate: bug_of(candidate) is not None, shorten=False)
    (caller,) = small.callers
    (turn,) = caller.turns
    assert turn.interruption is not None
    assert [action.kind for action in turn.actions if action.kind != "text"] in ([], ["flush"])
    assert len(turn.actions) + len(turn.afterwards) <= 15
    assert (caller.down, caller.up, caller.throttles) == ((), (), ())
    file = tmp_path / "small.json"
    file.write_text(dump(small))
    assert load(file) == small
    assert bug_of(load(file)), "it still fails when it is read again"
    assert failure_of(load(file)) is None, "without the bug it holds"


def torn_seed() -> int:
    """A seed in which somebody hears a gap of half a second: a tunnel is longer than any lead."""
    strict = replace(SCENARIOS["tunnel"], gap_max_s=0.5)
    return next(seed for seed in range(40) if failure_of(draw(seed, strict)))


def test_the_command_makes_a_gap_small_and_replays_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = str(torn_seed())
    assert main(["minimise", seed, "--scenario", "tunnel", "--gap-ms", "500"]) == 0
    printed = capsys.readouterr()
    file = tmp_path / "gap.json"
    file.write_text(printed.out)
    plan = load(file)
    (caller,) = plan.callers
    assert [fault.kind for fault in caller.down] == ["stall"]
    assert caller.up == ()
    (turn,) = caller.turns
    assert len(turn.actions) <= 8, "what is said at once is joined"
    assert plan.scenario.duration_s <= 30.0, "the end of the world came nearer"
    assert main(["replay", str(file)]) == 1
    assert "heard a gap of" in capsys.readouterr().out
    file.write_text(dump(replace(plan, callers=(replace(caller, down=()),))))
    assert main(["replay", str(file)]) == 0
    assert "everything held" in capsys.readouterr().out


def test_a_seed_that_holds_is_not_minimised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["minimise", "0", "--scenario", "calm"]) == 2
    assert "does not fail so" in capsys.readouterr().err


def test_it_gives_up_after_so_many_runs(capsys: pytest.CaptureFixture[str]) -> None:
    seed = str(torn_seed())
    assert main(["minimise", seed, "--scenario", "tunnel", "--gap-ms", "500", "--runs", "0"]) == 0
    assert '"s7"' in capsys.readouterr().out


def test_every_scenario_survives_being_written_down(tmp_path: Path) -> None:
    for name, scenario in SCENARIOS.items():
        plan = draw(5, scenario)
        file = tmp_path / f"{name}.json"
        file.write_text(dump(plan))
        assert load(file) == plan


def test_a_file_that_is_no_plan_is_refused_with_its_field(tmp_path: Path) -> None:
    file = tmp_path / "no-plan.json"
    file.write_text('{"seed": "x", "scenario": {}, "callers": []}')
    with pytest.raises(ValidationError, match="seed"):
        load(file)


def test_a_description_counts_what_is_there() -> None:
    plan = draw(1, SCENARIOS["calm"])
    assert describe(plan).startswith("8 session, ")
    assert describe(replace(plan, callers=())) == "nothing, 60 s"
