"""What a simulated world is like: every fault and every figure in one place.

A scenario is data.  ``SCENARIOS`` names those that the tests and the command line run; a seed
decides everything else (tests/sim/plan.py).  Networks are in tests/sim/networks.py, listeners in
tests/sim/players.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.sim.networks import (
    CALM_LINK,
    CROWDED_WIFI,
    MOBILE,
    NARROW,
    STALLED_TCP,
    TUNNEL,
    WIFI,
    NetworkFaults,
)


@dataclass(frozen=True, slots=True)
class EngineFaults:
    """The engine's speed and its failures."""

    lanes: int = 2
    start_s: float = 0.002
    real_time_factor: float = 0.01
    block_s: float = 0.1
    failure_rate: float = 0.0
    """Share of chunks that fail after some audio."""


@dataclass(frozen=True, slots=True)
class CallerHabits:
    """What clients do."""

    first_token_s: float = 0.3
    tokens_per_s: float = 50.0
    stall_rate: float = 0.0
    """Chance after each token that the LLM pauses for about a second."""
    cancel_rate: float = 0.0
    """Chance that a turn is interrupted."""
    flush_rate: float = 0.0
    """Chance after each token of a flush."""
    mistake_rate: float = 0.0
    """Chance after each token of an illegal message."""
    players: tuple[str, ...] = ("ideal",)
    """Which of ``players.PLAYERS`` there are; each session has one of them."""
    sentences_max: int = 6
    """Sentences of the longest answer."""
    turns: int = 2


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world."""

    sessions: int = 8
    arrivals_over_s: float = 3.0
    duration_s: float = 60.0
    down: NetworkFaults = field(default_factory=NetworkFaults)
    up: NetworkFaults = field(default_factory=NetworkFaults)
    engine: EngineFaults = field(default_factory=EngineFaults)
    habits: CallerHabits = field(default_factory=CallerHabits)
    drain_at_s: float = 0.0
    """When the gateway begins to drain; 0 = never."""
    gap_max_s: float = 0.0
    """A world in which a listener hears a longer gap has failed; 0 = gaps are only counted."""


CALM = Scenario()
EVERYBODY = ("ideal", "slow", "fast", "cheap", "worklet", "bursty", "bluetooth", "rare", "late")


def _over(link: NetworkFaults) -> Scenario:
    return replace(CALM, down=link, up=link, habits=CallerHabits(players=EVERYBODY))


SCENARIOS: Mapping[str, Scenario] = {
    "calm": CALM,
    "wifi": _over(WIFI),
    "wifi-crowded": _over(CROWDED_WIFI),
    "mobile": _over(MOBILE),
    "stalled-tcp": _over(STALLED_TCP),
    "narrow": replace(CALM, down=NARROW),
    "tunnel": replace(CALM, down=TUNNEL),
    "recorded": _over(replace(CALM_LINK, delay_s=0.0, jitter_s=0.0, trace="walk.json")),
    "players": replace(CALM, habits=CallerHabits(players=(*EVERYBODY, "throttled", "silent"))),
    "barge-in": replace(CALM, habits=CallerHabits(cancel_rate=0.7, stall_rate=0.01, turns=4)),
    "silent-clients": replace(CALM, habits=CallerHabits(players=("silent",), flush_rate=0.02)),
    "hostile": replace(
        CALM,
        down=replace(CROWDED_WIFI, cut_after_s=20.0),
        up=STALLED_TCP,
        engine=EngineFaults(failure_rate=0.1),
        habits=CallerHabits(
            mistake_rate=0.02,
            cancel_rate=0.3,
            flush_rate=0.02,
            stall_rate=0.01,
            players=(*EVERYBODY, "throttled", "silent"),
        ),
    ),
    "overload": replace(
        CALM,
        sessions=16,
        duration_s=240.0,
        engine=EngineFaults(lanes=1, start_s=0.05, real_time_factor=0.12),
    ),
    "drain": replace(CALM, drain_at_s=4.0),
}
