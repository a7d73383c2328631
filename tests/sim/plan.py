"""A world as plain data: everything that chance decided, drawn ahead from a seed.

    seed, scenario ──draw──► WorldPlan ──run──► Result, or an AssertionError
                              ▲     │
                              └─────┴── JSON, and what a minimiser takes away

Each session draws from generators of its own, so that taking one away, or pacing it differently,
changes no other.  What stays chance while the world runs is the jitter of single messages and which
chunks the engine loses: both depend on the seed, the session's name and a count.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from tests.sim.networks import Fault, draw_faults
from tests.sim.players import PLAYERS, Player, Throttle
from tests.sim.scenario import CallerHabits, Scenario

_SENTENCES = (
    "Well, that is a good question.",
    "The train leaves at 12:30, and it costs $5.20.",
    "Yes.",
    "I would not do that if I were you, because Dr. Smith said so!",
    "There are three reasons: time, money, and patience.",
    "Look at **this** list:\n- one\n- two\n",
    "Nobody knows… do you?",
)
_LLM_PAUSE_S = 1.0
_AFTER_CANCEL_S = 0.5
_INTERRUPT_WITHIN_S = 8.0

ActionKind = Literal["text", "flush", "end", "unknown context", "start again"]


@dataclass(frozen=True, slots=True)
class Action:
    """A message that a client sends ``after_s`` the one before it."""

    kind: ActionKind
    after_s: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Interruption:
    """A cancel, so long after the turn began; whether the client says what it played."""

    after_s: float
    tells: bool


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One answer in one context."""

    pause_s: float
    """After the answer before it is over."""
    actions: tuple[Action, ...]
    interruption: Interruption | None = None
    afterwards: tuple[Action, ...] = ()
    """What is said instead of the rest, if the interruption came before the end."""


@dataclass(frozen=True, slots=True)
class CallerPlan:
    """One session."""

    name: str
    arrives_s: float
    player: Player
    turns: tuple[TurnPlan, ...]
    down: tuple[Fault, ...] = ()
    up: tuple[Fault, ...] = ()
    throttles: tuple[Throttle, ...] = ()
    cut_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """All of it.  ``scenario``'s habits and numbers of sessions have been used up by drawing."""

    seed: int
    scenario: Scenario
    callers: tuple[CallerPlan, ...]


_JSON = TypeAdapter(WorldPlan)


def dump(plan: WorldPlan) -> str:
    """The plan as JSON, defaults left out."""
    return _JSON.dump_json(plan, indent=1, exclude_defaults=True).decode()


def load(path: Path) -> WorldPlan:
    """Read what ``dump`` wrote; raises pydantic's ValidationError, which names the field."""
    return _JSON.validate_json(path.read_bytes())


# ── drawing ────────────────────────────────────────────────────────────────────────────────────


def draw(seed: int, scenario: Scenario) -> WorldPlan:
    """The world of ``seed``."""
    names = [f"s{number}" for number in range(scenario.sessions)]
    return WorldPlan(seed, scenario, tuple(_caller(seed, name, scenario) for name in names))


def _caller(seed: int, name: str, scenario: Scenario) -> CallerPlan:
    def chance(of: str) -> random.Random:
        return random.Random(f"{seed}/{name}/{of}")

    habits, life_s = chance("habits"), scenario.duration_s
    player = PLAYERS[habits.choice(scenario.habits.players)]
    cut_after_s = scenario.down.cut_after_s
    return CallerPlan(
        name=name,
        arrives_s=habits.uniform(0, scenario.arrivals_over_s),
        player=player,
        turns=tuple(
            _turn(habits, scenario.habits, first=number == 0)
            for number in range(scenario.habits.turns)
        ),
        down=draw_faults(scenario.down, life_s, chance("down")),
        up=draw_faults(scenario.up, life_s, chance("up")),
        throttles=_throttles(player, life_s, chance("tab")),
        cut_after_s=chance("cut").expovariate(1 / cut_after_s) if cut_after_s else None,
    )


def _throttles(player: Player, life_s: float, chance: random.Random) -> tuple[Throttle, ...]:
    if not player.throttle_every_s:
        return ()
    throttles = []
    at_s = chance.expovariate(1 / player.throttle_every_s)
    while at_s < life_s:
        lasts_s = chance.expovariate(1 / player.throttle_s)
        throttles.append(Throttle(at_s, lasts_s))
        at_s += lasts_s + chance.expovariate(1 / player.throttle_every_s)
    return tuple(throttles)


def _turn(chance: random.Random, habits: CallerHabits, *, first: bool) -> TurnPlan:
    text = " ".join(chance.choices(_SENTENCES, k=chance.randint(1, habits.sentences_max)))
    turn = TurnPlan(
        pause_s=0.0 if first else chance.expovariate(1.0),
        actions=tuple(_tokens(chance, habits, text, chance.expovariate(1 / habits.first_token_s))),
    )
    if chance.random() >= habits.cancel_rate:
        return turn
    return replace(
        turn,
        interruption=Interruption(chance.uniform(0, _INTERRUPT_WITHIN_S), chance.random() < 0.5),
        afterwards=tuple(_tokens(chance, habits, "Very well. As you like.", _AFTER_CANCEL_S)),
    )


def _tokens(chance: random.Random, habits: CallerHabits, text: str, pause_s: float) -> list[Action]:
    actions = []
    while text:
        size = chance.randint(1, 9)
        actions.append(Action("text", pause_s, text[:size]))
        text = text[size:]
        if chance.random() < habits.flush_rate:
            actions.append(Action("flush"))
        if chance.random() < habits.mistake_rate:
            mistakes: tuple[ActionKind, ...] = ("unknown context", "start again")
            actions.append(Action(chance.choice(mistakes)))
        pause_s = chance.expovariate(habits.tokens_per_s)
        if chance.random() < habits.stall_rate:
            pause_s += chance.expovariate(1 / _LLM_PAUSE_S)
    return [*actions, Action("end", pause_s)]
