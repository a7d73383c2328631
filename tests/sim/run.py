"""Run a world to its end and look at what became of everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.session.states import SessionState
from gateway.settings import Settings
from tests.sim.caller import Caller
from tests.sim.engine import Engines, SimulatedEngines
from tests.sim.scenario import Scenario
from tests.sim.world import World

STEPS_MAX = 2_000_000
"""A world that needs more is stuck: something calls itself without time passing."""


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one run."""

    seed: int
    steps: int
    frames: int
    turns_done: int
    underruns: int
    worst_underrun_s: float
    sessions_with_underrun: int
    longest_queue_wait_s: float


def simulate(
    seed: int,
    scenario: Scenario,
    settings: Settings | None = None,
    make_engines: Callable[[World], Engines] | None = None,
) -> Result:
    """Run ``scenario`` with ``seed``; raises AssertionError where something did not hold."""
    settings = settings or Settings()
    world = World(seed)
    engines: Engines = SimulatedEngines(world, scenario.engine)
    if make_engines is not None:
        engines = make_engines(world)
    callers: list[Caller] = []

    def arrive(number: int) -> None:
        callers.append(Caller(f"s{number}", world, scenario, settings, engines))

    def drain() -> None:
        for caller in callers:
            caller.drain()

    for number in range(scenario.sessions):
        when = world.random.uniform(0, scenario.arrivals_over_s)
        world.at(when, partial(arrive, number))
    if scenario.drain_at_s:
        world.at(scenario.drain_at_s, drain)
    while world.now < scenario.duration_s and world.step():
        assert world.steps < STEPS_MAX, f"no end after {world.steps} steps at {world.now:.3f} s"
    check_end(callers, engines, scenario)
    underruns = [u.duration_s for caller in callers for u in caller.underruns]
    return Result(
        seed=seed,
        steps=world.steps,
        frames=sum(caller.checker.frames for caller in callers),
        turns_done=sum(caller.turns_done for caller in callers),
        underruns=len(underruns),
        worst_underrun_s=max(underruns, default=0.0),
        sessions_with_underrun=sum(bool(caller.underruns) for caller in callers),
        longest_queue_wait_s=engines.longest_wait_s,
    )


def check_end(callers: list[Caller], engines: Engines, scenario: Scenario) -> None:
    """Nobody waits for ever, and nothing is held for a session that is gone."""
    assert len(callers) == scenario.sessions
    for caller in callers:
        if caller.connected:
            assert caller.turns_left == 0, f"{caller.name} still waits for an answer"
            assert caller.turn.over, f"{caller.name} never heard the end of {caller.turn.text!r}"
            assert caller.session.state is SessionState.READY
        else:
            assert caller.session.state is SessionState.CLOSED
        assert caller.tracks_open == 0, f"{caller.name} holds {caller.tracks_open} encoders"
        if scenario.drain_at_s:
            assert caller.close_code == 1012 or not caller.connected
    assert not engines.unanswered, f"{engines.unanswered} chunks were never answered"
    assert engines.queued == 0
