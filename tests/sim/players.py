"""Listeners: how their devices play, and what they tell.

All of them have the one jitter buffer of gateway/client/jitter_buffer.py.  What differs is its
clock, when a message gets to it, and its reports:

    socket ──► waits for the next callback, or for a throttled tab ──► JitterBuffer ──► loudspeaker
                                                            report ◄──┘  (later by the latency)

A device that asks for audio every ``callback_s`` takes that much at once.  What comes between two
callbacks is therefore as good as what comes at the second: handing messages over only at callbacks
gives the same gaps, without a second model of playing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """A tab in the background runs its timers and handlers only every ``every_s`` for a while."""

    at_s: float
    lasts_s: float
    every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Player:
    """A kind of listener."""

    clock_ppm: float = 0.0
    """Its clock against ours: 200 = it plays 0.02 % too fast."""
    callback_s: float = 0.0
    """The device asks for audio this often; 0 = at any time."""
    output_latency_s: float = 0.0
    """From the device's callback to the ear."""
    report_every_s: float = 0.25
    """0 = it never reports."""
    report_late_s: float = 0.0
    """A report says what was so this long ago."""
    throttle_every_s: float = 0.0
    """Mean time between times in the background; 0 = never."""
    throttle_s: float = 0.0

    @property
    def clock_factor(self) -> float:
        """Media seconds that it plays in one of ours."""
        return 1 + self.clock_ppm / 1e6


PLAYERS: Mapping[str, Player] = {
    "ideal": Player(),
    "slow": Player(clock_ppm=-200),
    "fast": Player(clock_ppm=200),
    "cheap": Player(clock_ppm=1000, callback_s=0.02),
    "worklet": Player(callback_s=128 / 48_000, output_latency_s=0.03),
    "bursty": Player(callback_s=0.1, output_latency_s=0.1),
    "bluetooth": Player(clock_ppm=-60, callback_s=0.04, output_latency_s=0.18),
    "rare": Player(clock_ppm=200, report_every_s=2.0),
    "late": Player(report_late_s=0.3),
    "throttled": Player(throttle_every_s=10.0, throttle_s=4.0),
    "silent": Player(report_every_s=0.0),
    "silent-slow": Player(clock_ppm=-200, report_every_s=0.0),
    "silent-fast": Player(clock_ppm=200, report_every_s=0.0),
}


@dataclass(frozen=True, slots=True)
class Handover:
    """When what has come to the client gets to its jitter buffer."""

    player: Player
    throttles: tuple[Throttle, ...] = ()
    began_at: float = 0.0

    def due_at(self, now: float) -> float:
        """The time at which something that arrived at ``now`` is seen; what came first is first."""
        at = now
        for throttle in self.throttles:
            start = self.began_at + throttle.at_s
            if start <= now < start + throttle.lasts_s:
                awake = start + throttle.every_s * math.ceil((now - start) / throttle.every_s)
                at = max(at, min(awake, start + throttle.lasts_s))
        if self.player.callback_s:
            # The small tolerance keeps a message that comes at a callback from waiting for the next
            # one because of how times are rounded.
            callbacks = math.ceil((at - self.began_at) / self.player.callback_s - 1e-9)
            at = max(at, self.began_at + callbacks * self.player.callback_s)
        return at
