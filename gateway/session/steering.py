"""What reports and the engine's slack change: target lead, deadlines, how early to ask.  Pure.

One for each generation of a context; what was learned of the network and the listener stays with
the session (``Surroundings.lead`` and ``.listener``).
"""

from __future__ import annotations

from gateway.media import seconds
from gateway.session.events import Report
from gateway.session.playout import Playout
from gateway.session.speech import Surroundings
from gateway.synthesis import EncodedRendering
from gateway.trace import Event

RESCHEDULE_MIN_S = 0.02
"""A deadline that moved by less is not worth a new place in the engine's queue."""


class Steering:
    """The closed loop around one playout model."""

    __slots__ = ("_around", "_deadline", "_delivered_s", "_playout", "_ran_dry", "underruns")

    def __init__(self, around: Surroundings, playout: Playout, underruns: int) -> None:
        """``underruns`` is how many the client had told of before this generation."""
        self._around = around
        self._playout = playout
        self._ran_dry = False
        self._deadline = 0.0
        self._delivered_s = 0.0
        self.underruns = underruns

    def receive_requested(self, deadline: float) -> None:
        """A chunk was asked for, to sound at ``deadline``."""
        self._deadline, self._delivered_s = deadline, 0.0

    def receive_ran_dry(self) -> None:
        """We had nothing to send: the listener's next underrun is no fault of the network."""
        self._ran_dry = True

    def receive_rendered(self, rendered: EncodedRendering, queued_s: float, now: float) -> None:
        """Audio came; learn how early.  Before the first of a talkspurt nothing is due."""
        self._delivered_s = seconds(rendered.end_samples - rendered.position_samples)
        dry_at = self._playout.dry_at
        if dry_at is not None:
            self._around.lead.receive_slack(dry_at + queued_s - now)
        elif self._ran_dry:
            self._around.lead.receive_slack(0.0)

    def receive_report(self, report: Report, context: str, now: float) -> None:
        """Let the playout model, and what it shows of the network, follow a report."""
        lead, listener = self._around.lead, self._around.listener
        if report.output_latency_samples is not None:
            listener.receive_output_latency(report.output_latency_samples)
        starved = report.underruns is not None and report.underruns > self.underruns
        if report.underruns is not None:
            self.underruns = report.underruns
        observed = self._playout.receive_report(report, now, starved=starved)
        if observed is not None:
            if starved and not self._ran_dry:
                lead.receive_underrun(observed.gap_s)
            self._ran_dry = self._ran_dry and not starved
            lead.receive_lateness(
                observed.late_s,
                now,
                usual_s=listener.usual_jitter_s,
                round_trip_s=listener.round_trip_s,
            )
        self._around.trace.add(
            now,
            Event.REPORT,
            context=context,
            lead_s=self._playout.lead_s(now),
            target_s=lead.target_s,
            round_trip_s=listener.round_trip_s,
        )

    def moved_deadline(self, queued_s: float) -> float | None:
        """When the first sample of the chunk in flight is due, if that is not what was told."""
        dry_at = self._playout.dry_at
        if dry_at is None:
            return None
        deadline = dry_at + queued_s - self._delivered_s
        if abs(deadline - self._deadline) <= RESCHEDULE_MIN_S:
            return None
        self._deadline = deadline
        return deadline

    def heard_samples(self, now: float) -> int:
        """What had left the loudspeaker when the client sent what arrives ``now``."""
        return max(0, self._playout.told(now) - self._around.listener.output_latency_samples)
