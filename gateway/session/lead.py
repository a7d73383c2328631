"""How much audio the listener's buffer should hold: as little as the network allows.  Pure.

Reports tell how much later than by the fastest way something came (playout.py, receiver.py):

    target = step + usual + need                    within lead_min_s … lead_max_s
    need  ≥  the worst lateness of the last lead_memory_s
    need  ≥  lead_start_s - step, and six round trips     unless nothing came _LIVELY_S late
                                                          for lead_quiet_after_s
    lateness that exceeds the need, or an underrun: need ≥ GROWTH · (what was needed)

    need    ┌──────── lead_memory_s ────────╲
            │                                ╲__      quick to grow, slow to shrink
    ────────┘ stall                             ╲____

``step`` is the length of a message, by which the lead swings below the target.  ``usual`` is what
varies from message to message all the time, as with a device that takes much at a time: the mean
change of the transit time.  It adds to a stall, as it goes on while one ends.

Why so.  While a path stalls nothing arrives, so what is held when a stall begins must outlast it.
A quantile of delays (WebRTC's NetEq) or mean and deviation (Jacobson, 1988) describe many samples;
the stall that one message in a thousand meets is seen a few times in the life of a session, and
its like comes again: so the greatest of late is what counts.  One that is longer than all before
says that the need is larger than was thought, but not by how much, so it multiplies.  Before
anything was seen, the stalls of an ordinary Wi-Fi are expected (docs/simulation.md has a
measurement), or on a long way those of TCP, whose timers follow the round trip.  What tells a wire
from a Wi-Fi in a good minute is that nothing at all comes late.

Time is the time in which reports came: seconds without any prove nothing, so a client that never
reports stays at ``lead_start_s``.

The lead costs no latency, as playout begins with the prebuffer; it costs audio that a cancel throws
away.

The engine's slack is another matter.  Audio that comes late from the engine is not there to be
sent, whatever the target; what helps is to ask for it earlier.  So short slack raises
``request_ahead_s``, and time lets it fall back.
"""

from __future__ import annotations

import math
from collections import deque

from gateway.settings import PacingSettings

GROWTH = 1.5
_LIVELY_S = 0.03
"""A path on which anything comes so late is no quiet one; jitter on a wire is some milliseconds."""
_GRAIN_S = 0.01
"""Latenesses are rounded up to this, which bounds how many have to be remembered."""
_SHRINKS_OVER_S = 20.0
"""Time constant with which the target follows a need that became less."""
_ROUND_TRIPS = 6.0
"""A segment that is lost twice at the end of a burst comes after some six: a probe after two (RFC
8985), then the timer of as much, doubled (RFC 6298)."""
_SEEN_MAX_S = 1.0
"""Two reports show what lies between them, if no more than this does."""
_SLACK_MIN_S = 0.25
"""A window that comes with less to spare shows that it was asked for too late…"""
_AHEAD_GROWTH_MAX = 4 / 3
"""More pulls synthesis forward while lanes are busy: with 10 s instead of 3, 200 sessions on two
cores had their messages 28 ms late at p99 instead of 8."""
_SLACK_GAIN = 2.0
"""…by this many times what was missing…"""
_SLACK_FORGOTTEN_S = 60.0
"""…and is forgotten with this time constant."""


class Lead:
    """The target lead of one session; it outlives contexts and cancels, as the network does."""

    __slots__ = (
        "_ahead_max_s",
        "_ahead_min_s",
        "_expected_s",
        "_level_s",
        "_lively_at",
        "_max_s",
        "_memory_s",
        "_min_s",
        "_quiet_after_s",
        "_reported_at",
        "_seen_s",
        "_step_s",
        "_usual_s",
        "_worst",
        "need_s",
        "request_ahead_s",
    )

    def __init__(self, pacing: PacingSettings, queued_audio_s_max: float = math.inf) -> None:
        self._min_s = pacing.lead_min_s
        self._max_s = pacing.lead_max_s
        self._memory_s = pacing.lead_memory_s
        self._quiet_after_s = pacing.lead_quiet_after_s
        self._step_s = pacing.message_duration_max_ms / 1000
        self._expected_s = max(0.0, pacing.lead_start_s - self._step_s)
        self._reported_at: float | None = None
        self._seen_s = self._lively_at = 0.0
        # (when it was seen, lateness): the worst first, and after each the worst that came later.
        self._worst: deque[tuple[float, float]] = deque()
        self._usual_s = 0.0
        self._level_s = self.need_s = self._expected_s
        """What the listener should hold when a stall begins, in seconds, besides the usual."""
        self._ahead_max_s = min(queued_audio_s_max, _AHEAD_GROWTH_MAX * pacing.request_ahead_s)
        self._ahead_min_s = min(pacing.request_ahead_s, queued_audio_s_max)
        self.request_ahead_s = self._ahead_min_s
        """The next chunk is asked for when the listener and our queue hold less than this."""

    @property
    def target_s(self) -> float:
        """Seconds that the listener should hold after a message was sent."""
        return max(self._min_s, min(self._max_s, self._step_s + self._usual_s + self.need_s))

    @property
    def stalls_remembered(self) -> int:
        """How many latenesses may still count; at most ``lead_max_s`` in steps of 10 ms."""
        return len(self._worst)

    def receive_lateness(
        self,
        late_s: float,
        now: float,
        *,
        usual_s: float | None = None,
        round_trip_s: float | None = None,
    ) -> None:
        """A report came: something was ``late_s`` >= 0 later than by the fastest way.

        ``usual_s`` is the mean change of the transit time from message to message; None: unknown,
        and so is how much of ``round_trip_s`` is the device's and not the way's.
        """
        seen_s = 0.0 if self._reported_at is None else min(now - self._reported_at, _SEEN_MAX_S)
        self._reported_at = now
        self._seen_s += seen_s
        self._usual_s = usual_s or 0.0
        self._remember(late_s if late_s <= self.need_s else GROWTH * late_s)
        worst_s = self._worst_s()
        surplus_s = max(0.0, self._level_s - worst_s)
        self._level_s = worst_s + surplus_s * math.exp(-seen_s / _SHRINKS_OVER_S)
        self.need_s = self._level_s
        if self._seen_s - self._lively_at < self._quiet_after_s:
            self._level_s = max(self._level_s, self._expected_s)
            self.need_s = self._level_s
            if usual_s is not None and round_trip_s is not None:
                way_s = round_trip_s - 2 * usual_s
                self.need_s = max(self.need_s, _ROUND_TRIPS * way_s)
        ahead_s = self.request_ahead_s - self._ahead_min_s
        self.request_ahead_s = self._ahead_min_s + ahead_s * math.exp(-seen_s / _SLACK_FORGOTTEN_S)

    def receive_underrun(self, gap_s: float) -> None:
        """The network left the listener in silence for ``gap_s``, in spite of what it held."""
        self._remember(GROWTH * (self.need_s + gap_s))
        self._level_s = max(self._level_s, self._worst_s())
        self.need_s = max(self.need_s, self._level_s)

    def receive_slack(self, slack_s: float) -> None:
        """Audio came from the engine ``slack_s`` before it was needed; negative: too late."""
        if slack_s < _SLACK_MIN_S:
            wanted_s = self._ahead_min_s + _SLACK_GAIN * (_SLACK_MIN_S - slack_s)
            self.request_ahead_s = min(self._ahead_max_s, max(self.request_ahead_s, wanted_s))

    def _remember(self, late_s: float) -> None:
        if late_s < _LIVELY_S:
            return
        self._lively_at = self._seen_s
        late_s = _GRAIN_S * math.ceil(min(late_s, self._max_s) / _GRAIN_S - 1e-9)
        while self._worst and self._worst[-1][1] <= late_s:
            self._worst.pop()
        self._worst.append((self._seen_s, late_s))

    def _worst_s(self) -> float:
        while self._worst and self._worst[0][0] <= self._seen_s - self._memory_s:
            self._worst.popleft()
        return self._worst[0][1] if self._worst else 0.0
