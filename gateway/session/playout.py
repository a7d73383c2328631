"""The listener's jitter buffer as we see it from here: the only place where the two clocks meet.

Media time advances at 48,000 samples a second of wall time while the listener plays:

    wall      now₀                     now                    dry_at
    ──────────┼────────────────────────┼──────────────────────┼────────►
    media     anchor                   played                 sent
              └── where playout was ──►└───────── lead ──────►┘

Open loop: playout is assumed to begin when the prebuffer has been sent (or the talkspurt ended
before that), and to stop when it has played what was sent.  A receiver report moves the anchor, so
that clock drift, network delay and underruns that we did not foresee are corrected.

The estimate is early by the one-way delay: we think that the listener is further than it is, so
``dry_at`` errs to the safe side.
"""

from __future__ import annotations

from gateway.media import MEDIA_RATE, seconds


class Playout:
    """Estimates what one context's listener has played; all positions are media samples."""

    __slots__ = ("_anchor_s", "_anchor_samples", "_prebuffer_samples", "ended", "sent")

    def __init__(self, prebuffer_samples: int) -> None:
        self._prebuffer_samples = prebuffer_samples
        self._anchor_s: float | None = None
        self._anchor_samples = 0
        self.sent = 0
        self.ended = False

    @property
    def playing(self) -> bool:
        """Whether the listener is thought to be sounding."""
        return self._anchor_s is not None

    @property
    def dry_at(self) -> float | None:
        """When the listener will have played all that was sent; None while it is not playing."""
        if self._anchor_s is None:
            return None
        return self._anchor_s + seconds(self.sent - self._anchor_samples)

    def played(self, now: float) -> int:
        """Media time that is sounding at ``now``."""
        if self._anchor_s is None:
            return self._anchor_samples
        elapsed = max(0, round((now - self._anchor_s) * MEDIA_RATE))
        return min(self.sent, self._anchor_samples + elapsed)

    def lead_s(self, now: float) -> float:
        """Seconds that were sent and have not sounded yet."""
        return seconds(self.sent - self.played(now))

    def receive_sent(self, end_samples: int, ended: bool, now: float) -> None:
        """Everything before ``end_samples`` has been sent; ``ended`` if a talkspurt ends there."""
        assert end_samples >= self.sent, "media time runs backwards"
        self.handle_timer(now)
        self.sent = end_samples
        self.ended = ended
        if self._anchor_s is None and self._may_begin:
            self._anchor_s = now

    def receive_report(self, played_samples: int, now: float) -> None:
        """The listener says that it has played ``played_samples``.

        It outweighs what we thought: a listener that we believed dry may still hold audio.
        """
        self._anchor_samples = max(0, min(played_samples, self.sent))
        may_go_on = self._anchor_s is not None and self._anchor_samples < self.sent
        self._anchor_s = now if may_go_on or self._may_begin else None

    def handle_timer(self, now: float) -> None:
        """Move to ``now``: a listener that has played everything stops."""
        dry_at = self.dry_at
        if dry_at is not None and now >= dry_at:
            self._anchor_s = None
            self._anchor_samples = self.sent

    @property
    def _may_begin(self) -> bool:
        """Whether a silent listener holds enough to begin to sound."""
        waiting = self.sent - self._anchor_samples
        return waiting > 0 and (self.ended or waiting >= self._prebuffer_samples)
