"""What receiver reports tell about a listener: the way to it, its clock, where its playout is.

A report says "I had played P" when it was made; it arrives an unknown time later:

    ours       s ──────────┬───────────── r ─────────►     s: message n was sent
                 ╲ down    │            ╱ up               r: report "n arrived, P played" came
    listener      n ──── report ───────╱──────────────►

*Round trip*: r - s is the round trip and how long message n had been there when the report was
made.  The least of the last 10 to 20 s has little of the latter (minimum filter).

*Playout*: of all lines P(t) through recent reports the most advanced one belongs to the report that
was least delayed (the clock filter of NTP, RFC 5905, section 10; Cristian's algorithm).  It is the
playout point less the fastest way up; the others are late by what they lie behind it.  So one line
answers three questions:

    position(t)               what a message said that arrives at t: the listener's own words
    position(t) + rtt / 2     what sounds at t, give or take rtt / 2
    position(t) + rtt         what will sound when a message arrives that is sent at t

*Drift*: the slope of that envelope, taken as the chord between two blocks of reports as far apart
as playout went on (Moon, Skelly and Towsley, INFOCOM 1999, fit the envelope; its chord is enough
for a slope that is constant, and costs nothing), bounded, and followed by a first-order loop.

Limits: a way up that becomes slower for good is taken for a slower listener until the window of
``_WINDOW_S`` has passed.  An asymmetric way shifts the playout point by half of the asymmetry; it
shifts neither pacing nor what was heard.  Pure; seconds of the loop, media samples at 48 kHz.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from gateway.media import MEDIA_RATE, seconds

DRIFT_MAX = 0.001
"""No sound card's clock is off by more than 1,000 ppm; common ones by less than 100."""
OPEN_LOOP_DRIFT = 0.0002
"""A listener that does not report is taken to play too fast by this, so that drift can't starve it;
one that is too slow by as much then gathers 1.4 s in an hour without a pause."""
OUTPUT_LATENCY_MAX_SAMPLES = 2 * MEDIA_RATE
_ROUND_TRIP_MAX_S = 5.0
_ROUND_TRIP_KEPT_S = 10.0
_WINDOW_S = 3.0
_FIXES_MAX = 16
_BEHIND_MAX_S = 0.3
"""A report that lies so far behind the line is no late report, but a listener that had paused."""
_BLOCK_S = 2.0
_CHORD_MIN_S = 8.0
_JITTER_SETTLED = 32
"""Messages after which the listener's average of its interarrival jitter means something."""
_USUAL_OVER = 64
"""Messages over which the usual jitter rises."""
_CHORD_TRUSTED_S = 60.0


class Listener:
    """What is known of a session's listener and outlives its contexts."""

    __slots__ = (
        "_least_before_s",
        "_least_s",
        "_turn_at",
        "drift",
        "output_latency_samples",
        "round_trip_s",
        "usual_jitter_s",
    )

    def __init__(self) -> None:
        self.round_trip_s: float | None = None
        """The fastest way there and back, of late; None before any was measured."""
        self.drift = OPEN_LOOP_DRIFT
        """How much faster than ours its clock runs, as a fraction."""
        self.output_latency_samples = 0
        """What its device holds: handed over, not yet heard."""
        self.usual_jitter_s: float | None = None
        """Its interarrival jitter when nothing stalls; None before it can be told."""
        self._least_s = self._least_before_s = math.inf
        self._turn_at = -math.inf

    @property
    def rate(self) -> float:
        """Media samples that it plays in one of our seconds."""
        return MEDIA_RATE * (1 + self.drift)

    def receive_round_trip(self, sample_s: float, now: float) -> None:
        """A way there and back took at most ``sample_s``."""
        if now >= self._turn_at:
            self._least_before_s, self._least_s = self._least_s, math.inf
            self._turn_at = now + _ROUND_TRIP_KEPT_S
        self._least_s = min(self._least_s, max(0.0, sample_s), _ROUND_TRIP_MAX_S)
        self.round_trip_s = min(self._least_s, self._least_before_s)

    def receive_slope(self, slope: float, span_s: float) -> None:
        """Over ``span_s`` of unbroken playout its clock gained ``slope``."""
        bounded = max(-DRIFT_MAX, min(DRIFT_MAX, slope))
        self.drift += min(1.0, span_s / _CHORD_TRUSTED_S) * (bounded - self.drift)

    def receive_jitter(self, jitter_s: float, messages: int) -> None:
        """Its interarrival jitter after so many more ``messages``: a stall raises it for a while,
        so the usual one falls at once and rises slowly."""
        before_s = self.usual_jitter_s
        if before_s is None:
            before_s = jitter_s
        risen_s = (jitter_s - before_s) * min(1.0, messages / _USUAL_OVER)
        self.usual_jitter_s = min(jitter_s, before_s + risen_s)

    def receive_output_latency(self, samples: int) -> None:
        """The device holds so much; what no device holds is bounded."""
        self.output_latency_samples = min(samples, OUTPUT_LATENCY_MAX_SAMPLES)


class ClockFilter:
    """Where an unbroken playout is, from reports of which each is late by an unknown time.

    A *fix* is (arrival, media seconds played - arrival): constant, if no report were late and no
    clock drifted.
    """

    __slots__ = ("_block", "_block_until", "_first", "_fixes", "_listener", "position_samples")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._fixes: deque[tuple[float, float]] = deque(maxlen=_FIXES_MAX)
        self.position_samples = 0
        """``position`` above, at the newest report."""
        self.clear()

    def clear(self) -> None:
        """Playout paused, or begins anew: earlier reports say nothing about it."""
        self._fixes.clear()
        self._first: tuple[float, float] | None = None
        self._block: tuple[float, float] | None = None
        self._block_until = math.inf

    def receive(self, played_samples: int, now: float) -> float:
        """A listener that was playing had played so much; returns how late the report was, in s."""
        fix = seconds(played_samples) - now
        fixes = self._fixes
        fixes.append((now, fix))
        while fixes[0][0] < now - _WINDOW_S:
            fixes.popleft()
        drift = self._listener.drift
        best = max(value + drift * (now - then) for then, value in fixes)
        late_s = best - fix
        if late_s > _BEHIND_MAX_S:
            self.clear()
            fixes.append((now, fix))
            best = fix
        self.position_samples = round((best + now) * MEDIA_RATE)
        self._follow_drift(fix, now)
        return late_s

    def _follow_drift(self, fix: float, now: float) -> None:
        if self._block is None or fix > self._block[1]:
            self._block = (now, fix)
        if self._block_until == math.inf:
            self._block_until = now + _BLOCK_S
        if now < self._block_until:
            return
        self._block_until = now + _BLOCK_S
        block, self._block = self._block, None
        if self._first is None:
            self._first = block
            return
        span_s = block[0] - self._first[0]
        if span_s >= _CHORD_MIN_S:
            self._listener.receive_slope((block[1] - self._first[1]) / span_s, span_s)


@dataclass(slots=True)
class _Sent:
    number: int
    at: float
    end_samples: int


class SentLog:
    """When each message left, until a report says that it arrived."""

    __slots__ = ("_acknowledged", "_arrived", "_jitter_samples", "_listener", "_log")

    KEPT = 256
    """Of a client that never reports; others acknowledge within seconds."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._log: deque[_Sent] = deque(maxlen=self.KEPT)
        self._acknowledged: _Sent | None = None
        self._arrived = 0
        self._jitter_samples: int | None = None

    def add(self, number: int, end_samples: int, now: float) -> None:
        """A message left whose last frame is ``number`` and ends at ``end_samples``."""
        self._log.append(_Sent(number, now, end_samples))

    @property
    def acknowledged(self) -> int:
        """The newest frame that is known to have arrived; -1 before any."""
        return self._acknowledged.number if self._acknowledged else -1

    @property
    def oldest_at(self) -> float | None:
        """When the oldest message left that is not known to have arrived."""
        return self._log[0].at if self._log else None

    def acknowledge(self, number: int, jitter_samples: int | None) -> tuple[float | None, float]:
        """Frames up to ``number`` arrived; returns when the newest left, and the stall in seconds.

        The first is None if nothing new arrived.  The stall is inferred from the listener's
        interarrival jitter J, an average over messages of |D|, the change of the transit time:

            J_i = J_(i-1) + (|D_i| - J_(i-1)) / 16    ⟹    Σ|D| ≥ 16 · (J_n - J_0 · (15/16)ⁿ)

        Less the changes that we made ourselves, as our spacing of messages is known, and those
        which are usual: a device that takes 100 ms at a time adds some 50 ms to each |D|, and all
        of them together are no stall.  Halved, as a stall changes the transit time twice: when it
        begins and when it ends.
        """
        newest, count, ours_s = None, 0, 0.0
        before = self._acknowledged
        while self._log and self._log[0].number <= number:
            newest = self._log.popleft()
            if before is not None:
                spacing_s = newest.at - before.at
                ours_s += abs(spacing_s - seconds(newest.end_samples - before.end_samples))
            before = newest
            count += 1
        self._acknowledged = before
        self._arrived += count
        jitter_before, self._jitter_samples = self._jitter_samples, jitter_samples
        if newest is None or jitter_samples is None or jitter_before is None:
            return (newest.at if newest else None), 0.0
        moved_s = seconds(16 * jitter_samples) - seconds(16 * jitter_before) * (15 / 16) ** count
        usual_s = count * (self._listener.usual_jitter_s or 0.0)
        if self._arrived >= _JITTER_SETTLED:
            self._listener.receive_jitter(seconds(jitter_samples), count)
        return newest.at, max(0.0, moved_s - ours_s - usual_s) / 2
