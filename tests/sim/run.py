"""Run a world to its end and look at what became of everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.session.states import SessionState
from gateway.settings import Settings
from tests.sim.caller import Caller
from tests.sim.engine import Engines, SimulatedEngines
from tests.sim.plan import CallerPlan, WorldPlan, draw
from tests.sim.scenario import Scenario
from tests.sim.world import World

_TEXT_SHOWN = 60
STEPS_MAX = 2_000_000
"""A world that needs more is stuck: something calls itself without time passing."""


class Unfinished(AssertionError):
    """Somebody still waits at the end: a bug, unless the world simply ended too early."""


MakeEngines = Callable[[World], Engines]


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
    make_engines: MakeEngines | None = None,
) -> Result:
    """Run ``scenario`` with ``seed``; raises AssertionError where something did not hold."""
    return run(draw(seed, scenario), settings, make_engines)


def run(
    plan: WorldPlan,
    settings: Settings | None = None,
    make_engines: MakeEngines | None = None,
) -> Result:
    """Run a world that was drawn; raises AssertionError where something did not hold."""
    world, callers, engines = play(plan, settings, make_engines)
    underruns = [u.duration_s for caller in callers for u in caller.underruns]
    return Result(
        seed=plan.seed,
        steps=world.steps,
        frames=sum(caller.checker.frames for caller in callers),
        turns_done=sum(caller.turns_done for caller in callers),
        underruns=len(underruns),
        worst_underrun_s=max(underruns, default=0.0),
        sessions_with_underrun=sum(bool(caller.underruns) for caller in callers),
        longest_queue_wait_s=engines.longest_wait_s,
    )


def play(
    plan: WorldPlan,
    settings: Settings | None = None,
    make_engines: MakeEngines | None = None,
) -> tuple[World, list[Caller], Engines]:
    """As ``run``, for whoever wants to look at the callers themselves."""
    settings = settings or Settings()
    scenario = plan.scenario
    world = World(plan.seed)
    engines: Engines
    if make_engines is not None:
        engines = make_engines(world)
    else:
        engines = SimulatedEngines(world, scenario.engine)
    callers: list[Caller] = []

    def arrive(caller: CallerPlan) -> None:
        callers.append(Caller(caller, plan, world, settings, engines))

    def drain() -> None:
        for caller in callers:
            caller.drain()

    for caller in plan.callers:
        world.at(caller.arrives_s, partial(arrive, caller))
    if scenario.drain_at_s:
        world.at(scenario.drain_at_s, drain)
    while world.now < scenario.duration_s and world.step():
        assert world.steps < STEPS_MAX, f"no end after {world.steps} steps at {world.now:.3f} s"
    check_end(callers, engines, plan)
    return world, callers, engines


def check_end(callers: list[Caller], engines: Engines, plan: WorldPlan) -> None:
    """Nobody waits for ever, and nothing is held for a session that is gone.

    Raises Unfinished if somebody waits, AssertionError if something else is wrong.
    """
    scenario = plan.scenario
    assert len(callers) == len(plan.callers)
    for caller in callers:
        if caller.connected and caller.waits:
            said = caller.turn.text[-_TEXT_SHOWN:]
            raise Unfinished(f"{caller.name} never heard the end of …{said!r}")
        if not caller.connected:
            assert caller.session.state is SessionState.CLOSED
        if caller.turn.over or not caller.connected:
            assert caller.session.state in (SessionState.READY, SessionState.CLOSED)
            assert caller.tracks_open == 0, f"{caller.name} holds {caller.tracks_open} encoders"
        if scenario.drain_at_s:
            assert caller.close_code == 1012 or not caller.connected
        worst_s = max((underrun.duration_s for underrun in caller.underruns), default=0.0)
        if scenario.gap_max_s:
            assert worst_s <= scenario.gap_max_s, f"{caller.name} heard a gap of {worst_s:.3f} s"
    if engines.unanswered or engines.queued:
        raise Unfinished(f"{engines.unanswered} chunks were never answered")
