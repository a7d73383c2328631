"""What a simulated world is like: every fault and every figure in one place.

A scenario is data.  ``SCENARIOS`` names those that the tests and the command line run; a seed
decides everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """One direction of a TCP connection: in order, nothing lost, sometimes late."""

    delay_s: float = 0.02
    jitter_s: float = 0.002
    stall_every_s: float = 0.0
    """Mean time between stalls; 0 = never."""
    stall_s: float = 0.0
    """Mean length of a stall, after which everything comes at once."""
    cut_after_s: float = 0.0
    """Mean life of a connection; 0 = it is never cut."""


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
    report_every_s: float = 0.25
    """0 = a client that never reports."""
    clock_spread: float = 0.0
    """Loudspeakers run up to this much too fast or too slow."""
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


CALM = Scenario()
_WIFI = NetworkFaults(delay_s=0.015, jitter_s=0.01, stall_every_s=8.0, stall_s=0.08)

SCENARIOS: Mapping[str, Scenario] = {
    "calm": CALM,
    "wifi": replace(CALM, down=_WIFI, up=_WIFI, habits=CallerHabits(clock_spread=0.001)),
    "barge-in": replace(CALM, habits=CallerHabits(cancel_rate=0.7, stall_rate=0.01, turns=4)),
    "silent-clients": replace(CALM, habits=CallerHabits(report_every_s=0.0, flush_rate=0.02)),
    "hostile": replace(
        CALM,
        down=replace(_WIFI, cut_after_s=20.0),
        engine=EngineFaults(failure_rate=0.1),
        habits=CallerHabits(mistake_rate=0.02, cancel_rate=0.3, flush_rate=0.02, stall_rate=0.01),
    ),
    "overload": replace(
        CALM,
        sessions=16,
        duration_s=240.0,
        engine=EngineFaults(lanes=1, start_s=0.05, real_time_factor=0.12),
    ),
    "drain": replace(CALM, drain_at_s=4.0),
}
