"""Make a failing world small: take away whatever it fails without.

The method is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
Input", 2002), from the outside in (Misherghi and Su, "HDD", 2006): first sessions, then their
answers, then single messages, interruptions and faults, then pauses.  Afterwards the figures of the
scenario are tried at their simplest, and the end of the world earlier.  All of it is repeated until
nothing more can go.

The result is 1-minimal: without any one of the things that are left, it no longer fails in the same
place.  It need not be the smallest there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.sim.networks import Fault, NetworkFaults
from tests.sim.plan import Action, CallerPlan, TurnPlan, WorldPlan
from tests.sim.players import Player
from tests.sim.scenario import EngineFaults

T = TypeVar("T")
Key = tuple[str | int, ...]
"""A thing in a plan: its kind, the caller's name, and where it is."""

Fails = Callable[[WorldPlan], bool]
Change = Callable[[WorldPlan], WorldPlan]
_DIGITS = 3


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """A 1-minimal part of ``items``, in order, for which ``fails`` holds.

    It must hold for ``items`` itself.
    """
    if fails([]):
        return []
    parts = 2
    while len(items) > 1:
        size = -(-len(items) // parts)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items = rest
                parts = max(2, parts - 1)
                break
        else:
            if parts >= len(items):
                break
            parts = min(len(items), 2 * parts)
    return items


def minimise(
    plan: WorldPlan,
    fails: Fails,
    tell: Callable[[str], None] = lambda line: None,
    *,
    shorten: bool = True,
) -> WorldPlan:
    """The smallest world found for which ``fails`` holds, as it does for ``plan``.

    ``fails`` says whether the failure is still the one that was meant; it decides when to give up
    by saying no.  ``shorten``: the world may end earlier; not if the failure is that somebody still
    waits at its end.
    """
    known: dict[WorldPlan, bool] = {}

    def check(candidate: WorldPlan) -> bool:
        if candidate not in known:
            known[candidate] = fails(candidate)
        return known[candidate]

    before = None
    while before != plan:
        before = plan
        for kinds in _LEVELS:
            plan = _drop_most(plan, kinds, check)
            tell(f"{'/'.join(kinds):34} {describe(plan)}, after {len(known)} runs")
        plan = _simplify(plan, (*_SIMPLER, *(_SHORTER if shorten else ())), check)
    return plan


def describe(plan: WorldPlan) -> str:
    """How large a plan is."""
    things = [key[0] for key in _things(plan)]
    counts = {kind: things.count(kind) for kind in dict.fromkeys(things)}
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{listed or 'nothing'}, {plan.scenario.duration_s:g} s"


# ── what can go ────────────────────────────────────────────────────────────────────────────────

_LEVELS = (("session",), ("turn",), ("message", "cancel", "fault", "cut"), ("pause",))


def _things(plan: WorldPlan) -> Iterator[Key]:
    for caller in plan.callers:
        name = caller.name
        yield ("session", name)
        if caller.cut_after_s is not None:
            yield ("cut", name)
        if caller.arrives_s:
            yield ("pause", name, "arrival")
        for where in ("down", "up", "throttles"):
            for index in range(len(getattr(caller, where))):
                yield ("fault", name, where, index)
        for number, turn in enumerate(caller.turns):
            yield ("turn", name, number)
            if turn.interruption is not None:
                yield ("cancel", name, number)
            if turn.pause_s:
                yield ("pause", name, number)
            for where in ("actions", "afterwards"):
                for index, action in enumerate(getattr(turn, where)):
                    yield ("message", name, number, where, index)
                    if action.after_s:
                        yield ("pause", name, number, where, index)


def _drop_most(plan: WorldPlan, kinds: tuple[str, ...], check: Fails) -> WorldPlan:
    things = [key for key in _things(plan) if key[0] in kinds]

    def without_others(kept: Sequence[Key]) -> WorldPlan:
        return drop(plan, frozenset(things) - frozenset(kept))

    return without_others(ddmin(things, lambda kept: check(without_others(kept))))


def drop(plan: WorldPlan, gone: frozenset[Key]) -> WorldPlan:
    """``plan`` without these things; a pause that is gone is 0."""
    if not gone:
        return plan
    callers = [c for c in plan.callers if ("session", c.name) not in gone]
    return replace(plan, callers=tuple(_drop_in_caller(caller, gone) for caller in callers))


def _drop_in_caller(caller: CallerPlan, gone: frozenset[Key]) -> CallerPlan:
    name = caller.name

    def kept(where: str, faults: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(f for i, f in enumerate(faults) if ("fault", name, where, i) not in gone)

    return replace(
        caller,
        arrives_s=0.0 if ("pause", name, "arrival") in gone else caller.arrives_s,
        cut_after_s=None if ("cut", name) in gone else caller.cut_after_s,
        down=kept("down", caller.down),
        up=kept("up", caller.up),
        throttles=kept("throttles", caller.throttles),
        turns=tuple(
            _drop_in_turn(turn, (name, number), gone)
            for number, turn in enumerate(caller.turns)
            if ("turn", name, number) not in gone
        ),
    )


def _drop_in_turn(turn: TurnPlan, where: tuple[str, int], gone: frozenset[Key]) -> TurnPlan:
    def kept(field: str, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        return tuple(
            replace(action, after_s=0.0) if ("pause", *where, field, i) in gone else action
            for i, action in enumerate(actions)
            if ("message", *where, field, i) not in gone
        )

    return replace(
        turn,
        pause_s=0.0 if ("pause", *where) in gone else turn.pause_s,
        interruption=None if ("cancel", *where) in gone else turn.interruption,
        actions=kept("actions", turn.actions),
        afterwards=kept("afterwards", turn.afterwards),
    )


# ── what can be simpler ────────────────────────────────────────────────────────────────────────


def _simplify(plan: WorldPlan, changes: Sequence[Change], check: Fails) -> WorldPlan:
    for candidate_of in changes:
        candidate = candidate_of(plan)
        if candidate != plan and check(candidate):
            plan = candidate
    return plan


def _with_network(**calm: float | str) -> Change:
    def change(plan: WorldPlan) -> WorldPlan:
        scenario = plan.scenario
        down, up = (_replaced(link, calm) for link in (scenario.down, scenario.up))
        return replace(plan, scenario=replace(scenario, down=down, up=up))

    return change


def _replaced(link: NetworkFaults, fields: dict[str, float | str]) -> NetworkFaults:
    return replace(link, **fields)  # type: ignore[arg-type]


def _with_calm_drawing(plan: WorldPlan) -> WorldPlan:
    """What was drawn from these is in the plan; without them it is shorter to read."""
    scenario = plan.scenario
    down, up = (
        NetworkFaults(
            delay_s=link.delay_s,
            jitter_s=link.jitter_s,
            bandwidth_bps=link.bandwidth_bps,
            trace=link.trace,
        )
        for link in (scenario.down, scenario.up)
    )
    calm = replace(scenario, habits=type(scenario.habits)(), down=down, up=up)
    return replace(plan, scenario=replace(calm, sessions=len(plan.callers)))


def _with_engine(plan: WorldPlan) -> WorldPlan:
    return replace(plan, scenario=replace(plan.scenario, engine=EngineFaults()))


def _with_plain_players(plan: WorldPlan) -> WorldPlan:
    return replace(plan, callers=tuple(replace(c, player=Player()) for c in plan.callers))


def _without_drain(plan: WorldPlan) -> WorldPlan:
    return replace(plan, scenario=replace(plan.scenario, drain_at_s=0.0))


def _shorter(factor: float) -> Change:
    def change(plan: WorldPlan) -> WorldPlan:
        shorter_s = round(plan.scenario.duration_s * factor, 1)
        return replace(plan, scenario=replace(plan.scenario, duration_s=max(1.0, shorter_s)))

    return change


def _joined(plan: WorldPlan) -> WorldPlan:
    """Texts that follow one another at once are one."""

    def actions(drawn: tuple[Action, ...]) -> tuple[Action, ...]:
        joined: list[Action] = []
        for action in drawn:
            follows = joined and not action.after_s
            if follows and action.kind == joined[-1].kind == "text":
                joined[-1] = replace(joined[-1], text=joined[-1].text + action.text)
            else:
                joined.append(action)
        return tuple(joined)

    def turn(t: TurnPlan) -> TurnPlan:
        return replace(t, actions=actions(t.actions), afterwards=actions(t.afterwards))

    callers = (replace(c, turns=tuple(map(turn, c.turns))) for c in plan.callers)
    return replace(plan, callers=tuple(callers))


def _rounded(plan: WorldPlan) -> WorldPlan:
    def fault(f: Fault) -> Fault:
        return replace(f, at_s=round(f.at_s, _DIGITS), lasts_s=round(f.lasts_s, _DIGITS))

    def actions(drawn: tuple[Action, ...]) -> tuple[Action, ...]:
        return tuple(replace(a, after_s=round(a.after_s, _DIGITS)) for a in drawn)

    def turn(t: TurnPlan) -> TurnPlan:
        cancel = t.interruption
        if cancel is not None:
            cancel = replace(cancel, after_s=round(cancel.after_s, _DIGITS))
        return TurnPlan(
            round(t.pause_s, _DIGITS), actions(t.actions), cancel, actions(t.afterwards)
        )

    def caller(c: CallerPlan) -> CallerPlan:
        return replace(
            c,
            arrives_s=round(c.arrives_s, _DIGITS),
            turns=tuple(map(turn, c.turns)),
            down=tuple(map(fault, c.down)),
            up=tuple(map(fault, c.up)),
        )

    return replace(plan, callers=tuple(map(caller, plan.callers)))


_SIMPLER: tuple[Change, ...] = (
    _with_calm_drawing,
    _with_network(jitter_s=0.0),
    _with_network(bandwidth_bps=0.0),
    _with_network(trace=""),
    _with_engine,
    _with_plain_players,
    _without_drain,
    _joined,
    _rounded,
)
_SHORTER: tuple[Change, ...] = (_shorter(0.25), _shorter(0.5), _shorter(0.75))
