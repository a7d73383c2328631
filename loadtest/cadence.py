"""When each audio message is due, seen from the listener's side of the wire.  Pure.

The gateway sends what keeps the listener's buffer at its target (gateway/session/pacer.py and
playout.py), so each message has a due time that follows from its timestamp alone:

    lead    0 … prebuffer          target - step … target
            burst at the start │ one message each time the lead fell by ``step``
            ▲ anchor: the listener begins to sound

    due = anchor + (timestamp - preskip) / 48,000 - (target - step)

The anchor is when the message arrived that filled the prebuffer; the way over the wire is in both,
so it cancels out.  Due times are absolute: a session that is late by the same time with every
message is late, though its messages come evenly.  A listener that ran dry has a new anchor when it
begins to sound again; that it ran dry is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gateway.media import media_samples, seconds
from loadtest.statistics import Values


@dataclass(frozen=True, slots=True)
class Cadence:
    """The gateway's pacing settings and the codec's pre-skip; media time in samples at 48 kHz."""

    lead_target_s: float
    step_s: float
    prebuffer_samples: int
    preskip_samples: int

    def offset_s(self, timestamp_samples: int) -> float:
        """When a message that begins at this timestamp is due, after the anchor; 0 in the burst."""
        audible_s = seconds(timestamp_samples - self.preskip_samples)
        return max(0.0, audible_s - self.lead_target_s + self.step_s)


class Arrival(NamedTuple):
    """An audio message as a listener got it: when (monotonic clock), and what its header says.

    A named tuple, because one is made for each message while others arrive.
    """

    at_s: float
    timestamp_samples: int
    duration_samples: int

    @property
    def end_samples(self) -> int:
        """Media time at which its last frame ends."""
        return self.timestamp_samples + self.duration_samples


class Player:
    """A listener that plays without a pause as long as it has anything to play."""

    __slots__ = ("_anchor_s", "_anchor_samples", "_cadence", "_received")

    def __init__(self, cadence: Cadence) -> None:
        self._cadence = cadence
        self._anchor_s: float | None = None
        self._anchor_samples = 0
        self._received = 0

    @property
    def playing(self) -> bool:
        """Whether it sounds, as far as arrivals have told it."""
        return self._anchor_s is not None

    def played_samples(self, now: float) -> int:
        """Media time that sounds at ``now``, without the pre-skip."""
        if self._anchor_s is None:
            return self._anchor_samples
        elapsed = max(0, media_samples(now - self._anchor_s))
        return min(self._received, self._anchor_samples + elapsed)

    def runs_dry_before(self, now: float) -> bool:
        """Whether it plays and has nothing left at ``now``."""
        if self._anchor_s is None:
            return False
        return now >= self._anchor_s + seconds(self._received - self._anchor_samples)

    def receive(self, arrival: Arrival) -> float | None:
        """Take a message; returns how late it is in seconds, None if it was not due at any time.

        That is so while nothing sounds: at the start, and after the buffer ran dry.
        """
        cadence = self._cadence
        if self.runs_dry_before(arrival.at_s):
            self._anchor_s = None
            self._anchor_samples = self._received
        late_s = None
        if self._anchor_s is not None:
            ahead_s = seconds(self._received - self._anchor_samples)
            offset_s = ahead_s - cadence.lead_target_s + cadence.step_s
            if offset_s > 0:
                late_s = arrival.at_s - self._anchor_s - offset_s
        self._received = max(self._received, arrival.end_samples - cadence.preskip_samples)
        waiting = self._received - self._anchor_samples
        if self._anchor_s is None and waiting >= cadence.prebuffer_samples:
            self._anchor_s = arrival.at_s
        return late_s


@dataclass(frozen=True, slots=True)
class Course:
    """How one session went in a window: seconds of audio, lateness of its messages, dry moments."""

    audio_s: float
    messages: int
    lateness_s: Values
    underruns: int


def course(arrivals: Sequence[Arrival], cadence: Cadence, begin_s: float, end_s: float) -> Course:
    """Play ``arrivals``, in order and from the first, and tell what happened in the window.

    Lateness is negative for a message that came early; messages without a due time are left out.
    """
    player = Player(cadence)
    samples = messages = underruns = 0
    lateness = []
    for arrival in arrivals:
        inside = begin_s <= arrival.at_s < end_s
        underruns += inside and player.runs_dry_before(arrival.at_s)
        late_s = player.receive(arrival)
        if inside:
            samples += arrival.duration_samples
            messages += 1
            if late_s is not None:
                lateness.append(late_s)
    return Course(seconds(samples), messages, np.asarray(lateness, np.float64), underruns)
