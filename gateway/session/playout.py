"""The listener's jitter buffer as we see it from here: the only place where the two clocks meet.

Media time advances at about 48,000 samples a second of wall time while the listener plays:

    wall      now₀                     now                    dry_at
    ──────────┼────────────────────────┼──────────────────────┼────────►
    media     anchor                   played                 sent
              └── where playout was ──►└───────── lead ──────►┘

``played(now)`` is what will sound at the listener when a message arrives that is sent now (by the
fastest way).  So the lead is what the listener's buffer holds, whatever the way costs, and a
message that is sent before ``dry_at`` and not held up comes in time.

*Open loop*, the model is just that: playout begins when the prebuffer has been sent (or the
talkspurt ended before that), stops when it has played what was sent, and runs a little fast, which
errs to the safe side.  *Closed loop*, each report moves the line (receiver.py says how).

No report is trusted further than physics goes:

* nobody plays before it was sent, nor faster than a clock may run: with the line of a listener that
  plays everything at once and 1,000 ppm too fast as the upper bound, no lie draws audio faster than
  in real time;
* a report that was overtaken (a lower sequence number) is ignored, and one that is late lies behind
  the line and does not move it;
* one that goes back, or does not get on, says that the listener paused: believed, at its own cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.media import MEDIA_RATE, seconds
from gateway.session.events import Report
from gateway.session.receiver import DRIFT_MAX, ClockFilter, Listener, SentLog

_FASTEST = MEDIA_RATE * (1 + DRIFT_MAX)
_REPEATED_S = 0.1
"""Two equal reports within this time say nothing new."""
_FIRST_WAIT_MAX_S = 0.5
_GAP_MAX_S = 2.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What a report showed of the network, in seconds.

    ``late_s``: how much later than by the fastest way something came; ``gap_s``: how long the
    listener was silent inside a talkspurt.
    """

    late_s: float
    gap_s: float


class Playout:
    """Estimates what one generation's listener has played; all positions are media samples."""

    __slots__ = (
        "_anchor_s",
        "_anchor_samples",
        "_filter",
        "_greedy_s",
        "_greedy_samples",
        "_line_s",
        "_line_samples",
        "_listener",
        "_log",
        "_number",
        "_open_loop",
        "_prebuffer_samples",
        "_rate",
        "_reported_at",
        "_reported_samples",
        "_segment_samples",
        "ended",
        "sent",
    )

    def __init__(self, prebuffer_samples: int, listener: Listener) -> None:
        self._prebuffer_samples = prebuffer_samples
        self._listener = listener
        self._rate = listener.rate
        self._filter = ClockFilter(listener)
        self._log = SentLog(listener)
        self._anchor_s: float | None = None
        self._anchor_samples = 0
        # The listener's own position, as a message says that arrives now.
        self._line_s = 0.0
        self._line_samples = 0
        # What it could have played at most.
        self._greedy_s = 0.0
        self._greedy_samples = 0
        self._segment_samples = 0
        self._open_loop = True
        self._number = -1
        self._reported_samples = 0
        self._reported_at = -math.inf
        self.sent = 0
        self.ended = False

    # ── what can be asked ──────────────────────────────────────────────────────────────────────

    @property
    def playing(self) -> bool:
        """Whether the listener is thought to be sounding."""
        return self._anchor_s is not None

    @property
    def dry_at(self) -> float | None:
        """The last moment for the next message; None while the listener is not playing."""
        if self._anchor_s is None:
            return None
        return self._anchor_s + (self.sent - self._anchor_samples) / self._rate

    def played(self, now: float) -> int:
        """Media time that will sound when a message arrives that is sent ``now``."""
        if self._anchor_s is None:
            return self._anchor_samples
        elapsed = max(0, round((now - self._anchor_s) * self._rate))
        return min(self.sent, self._anchor_samples + elapsed)

    def told(self, now: float) -> int:
        """What the listener had played when it sent what arrives ``now``: a cancel."""
        most = self._anchor_samples if self._anchor_s is None else self.sent
        return min(most, self._line_samples + max(0, round((now - self._line_s) * MEDIA_RATE)))

    def playout_point(self, now: float) -> tuple[int, int]:
        """Media time that leaves the listener's buffer at ``now``, and how far off it may be."""
        half = round((self._listener.round_trip_s or 0.0) / 2 * MEDIA_RATE)
        return min(self.sent, self.told(now) + half), half

    def lead_s(self, now: float) -> float:
        """Seconds that the listener's buffer will hold when a message arrives that is sent now."""
        return seconds(self.sent - self.played(now))

    # ── what happens ───────────────────────────────────────────────────────────────────────────

    def receive_sent(
        self, end_samples: int, ended: bool, now: float, number: int | None = None
    ) -> None:
        """Everything before ``end_samples`` has been sent; ``ended`` if a talkspurt ends there.

        ``number`` is the last frame's sequence number.
        """
        assert end_samples >= self.sent, "media time runs backwards"
        self.handle_timer(now)
        if self._most(now) >= self.sent:
            self._greedy_s, self._greedy_samples = now, self.sent
        if number is not None:
            self._log.add(number, end_samples, now)
            self._number = number
        self.sent = end_samples
        self.ended = ended
        if self._anchor_s is None and self._may_begin:
            self._begin(now)

    def handle_timer(self, now: float) -> None:
        """Move to ``now``: a listener that has played everything stops."""
        dry_at = self.dry_at
        if dry_at is not None and now >= dry_at:
            self._anchor_s = None
            self._anchor_samples = self.sent

    def receive_report(
        self, report: Report, now: float, *, starved: bool = False
    ) -> Observed | None:
        """The listener tells what it has played; ``starved``: it ran dry since it told so last.

        Returns None if the report says nothing new.
        """
        before = self.told(now)
        played = max(0, min(report.played_samples, self._most(now)))
        stall_s = self._receive_number(report, now)
        if stall_s is None:
            return None
        stands = played == self._reported_samples
        if stands and not starved and now - self._reported_at < _REPEATED_S:
            return None
        back = played < self._reported_samples
        self._reported_samples, self._reported_at = played, now
        if played >= self.sent:
            self._stop(now)
        elif starved or stands or back or self._silent(report, played):
            self._restart(played, now)
        else:
            stall_s = max(stall_s, self._follow(played, now))
            if report.sequence_number == self._log.acknowledged:
                stall_s = max(stall_s, self._overdue_s(now))
        gap_s = min(seconds(max(0, before - played)), _GAP_MAX_S) if starved else 0.0
        return Observed(stall_s, gap_s)

    # ── the line ───────────────────────────────────────────────────────────────────────────────

    def _receive_number(self, report: Report, now: float) -> float | None:
        """Note what arrived; returns the stall that shows in it, None for an overtaken report."""
        number = report.sequence_number
        if number is None or number > self._number:
            return 0.0  # it numbers nothing, or lies: nobody has got what was not sent
        if number < self._log.acknowledged:
            return None
        sent_at, stall_s = self._log.acknowledge(number, report.jitter_samples)
        if sent_at is not None:
            self._listener.receive_round_trip(now - sent_at, now)
        return stall_s

    def _begin(self, now: float) -> None:
        """Open loop: the listener begins to sound."""
        self._segment_samples = self._anchor_samples
        self._filter.clear()
        self._open_loop = True
        self._set_line(now, self._anchor_samples, self._anchor_samples)
        self._line_s += self._listener.round_trip_s or 0.0

    def _stop(self, now: float) -> None:
        """It has played everything."""
        self._filter.clear()
        self._set_line(now, self.sent, self.sent)
        self._anchor_s = None

    def _restart(self, played: int, now: float) -> None:
        """It does not play, or has just begun again: at the earliest it goes on at once."""
        may_go_on = self._anchor_s is not None
        self._filter.clear()
        self._set_line(now, played, played)
        if not may_go_on and not self._may_begin:
            self._anchor_s = None

    def _follow(self, played: int, now: float) -> float:
        """It plays; returns how late something was, in seconds."""
        clock = self._filter
        late_up_s = clock.receive(played, now)
        position = min(clock.position_samples, self.sent)
        trip_s = self._listener.round_trip_s
        if trip_s is None and self._open_loop and self._anchor_s is not None:
            # A client that names no numbers: all of its first delay may have been on the way.
            trip_s = seconds(self.played(now) - position)
            trip_s = max(0.0, min(_FIRST_WAIT_MAX_S, trip_s))
            self._listener.receive_round_trip(trip_s, now)
        trip_s = trip_s or 0.0
        self._open_loop = False
        self._rate = self._listener.rate
        ahead = position + round(trip_s * self._rate)
        self._set_line(now, min(ahead, self._most(now)), position)
        return late_up_s

    def _overdue_s(self, now: float) -> float:
        """How late the oldest message is that had not come when a report was made.

        The report itself may have been late instead, which is as bad a sign.
        """
        oldest_at = self._log.oldest_at
        if oldest_at is None:
            return 0.0
        return now - (self._listener.round_trip_s or 0.0) - oldest_at

    def _silent(self, report: Report, played: int) -> bool:
        """Whether nothing was being played when the report was made."""
        return report.depth_samples == 0 or played <= self._segment_samples

    def _set_line(self, now: float, played: int, told: int) -> None:
        self._anchor_s, self._anchor_samples = now, played
        self._line_s, self._line_samples = now, told

    def _most(self, now: float) -> int:
        """What a listener could have played that plays everything at once and too fast."""
        elapsed = round((now - self._greedy_s) * _FASTEST)
        return min(self.sent, self._greedy_samples + elapsed)

    @property
    def _may_begin(self) -> bool:
        """Whether a silent listener holds enough to begin to sound."""
        waiting = self.sent - self._anchor_samples
        return waiting > 0 and (self.ended or waiting >= self._prebuffer_samples)
