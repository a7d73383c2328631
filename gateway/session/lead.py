"""How much audio the listener's buffer should hold: as little as the network allows.  Pure.

Reports tell how much later than by the fastest way something came (playout.py, receiver.py).  Of
each ``BLOCK_S`` seconds in which reports came, the worst lateness counts:

    worst  ← worst  + (w - worst) / n               w: the block's worst; n: blocks so far
    spread ← spread + (2·max(0, w - worst) - spread) / n
    target = step + max(worst + SPREAD_GAIN · spread, this block's w and the last's)
                                                    within lead_min_s … lead_max_s
    after an underrun of g seconds:  target = max(1.5 · target, target + g)

``step`` is the length of a message, by which the lead swings below the target.  ``n`` starts at
``PRIOR_BLOCKS``, as if such blocks had been seen as make the target ``lead_start_s``, and stops at
``lead_memory_s``: a running mean at first, an exponential one later.

Why so.  WebRTC's NetEq takes a high quantile of a histogram of delays.  That needs many samples:
the stall that is passed once in thousands of messages can't be observed in the life of a session,
it has to be inferred.  The worst of a block is what extreme value theory extrapolates from (Gumbel,
1958): its far quantile lies at location + k · scale, and mean and mean deviation, kept as TCP keeps
those of its round trip (Jacobson, 1988; RFC 6298), stand for both.  Only deviations upwards count
(doubled, as half of them are), so that a network calmer than expected doesn't look like a lively
one.  One bad block is enough to raise the target, and at once (quick to grow); only time that was
seen to be quiet lowers it (slow to shrink): seconds without reports prove nothing, so a client that
never reports stays at ``lead_start_s``.  An underrun says that the need is larger than was thought,
but not by how much, so it multiplies.

The lead costs no latency, as playout begins with the prebuffer; it costs audio that a cancel throws
away.

The engine's slack is another matter.  Audio that comes late from the engine is not there to be
sent, whatever the target; what helps is to ask for it earlier.  So short slack raises
``request_ahead_s``, and quiet blocks let it fall back.
"""

from __future__ import annotations

import math

from gateway.settings import PacingSettings

BLOCK_S = 2.0
SPREAD_GAIN = 10.0
"""Measured on exponential stalls of 80 ms every 8 s (docs/pacing.md)."""
PRIOR_BLOCKS = 8.0
_UNDERRUN_FACTOR = 1.5
_SEEN_MAX_S = 1.0
"""Two reports show what lies between them, if no more than this does."""
_SLACK_MIN_S = 0.25
"""A window that comes with less to spare shows that it was asked for too late…"""
_SLACK_GAIN = 2.0
"""…by this many times what was missing."""


class Lead:
    """The target lead of one session; it outlives contexts and cancels, as the network does."""

    __slots__ = (
        "_ahead_max_s",
        "_ahead_min_s",
        "_block_before_s",
        "_block_s",
        "_block_worst_s",
        "_blocks",
        "_blocks_max",
        "_max_s",
        "_min_s",
        "_seen_at",
        "_step_s",
        "request_ahead_s",
        "spread_s",
        "target_s",
        "worst_s",
    )

    def __init__(self, pacing: PacingSettings, queued_audio_s_max: float = math.inf) -> None:
        self._min_s = pacing.lead_min_s
        self._max_s = pacing.lead_max_s
        self._step_s = pacing.message_duration_max_ms / 1000
        self._blocks = PRIOR_BLOCKS
        self._blocks_max = max(PRIOR_BLOCKS, pacing.lead_memory_s / BLOCK_S)
        self._seen_at: float | None = None
        self._block_s = self._block_worst_s = self._block_before_s = 0.0
        self.target_s = self._within(pacing.lead_start_s)
        """Seconds that the listener should hold after a message was sent."""
        self.worst_s = max(0.0, self.target_s - self._step_s) / (1 + SPREAD_GAIN)
        """Mean of the blocks' worst lateness, in seconds."""
        self.spread_s = self.worst_s
        """Mean deviation from it."""
        self._ahead_max_s = queued_audio_s_max
        self._ahead_min_s = min(pacing.request_ahead_s, queued_audio_s_max)
        self.request_ahead_s = self._ahead_min_s
        """The next chunk is asked for when the listener and our queue hold less than this."""

    def receive_lateness(self, late_s: float, now: float) -> None:
        """A report came: something was ``late_s`` >= 0 later than by the fastest way."""
        seen_s = 0.0 if self._seen_at is None else min(now - self._seen_at, _SEEN_MAX_S)
        self._seen_at = now
        self._block_s += seen_s
        self._block_worst_s = max(self._block_worst_s, min(late_s, self._max_s))
        if self._block_s >= BLOCK_S:
            self._close_block()
        likely_s = self.worst_s + SPREAD_GAIN * self.spread_s
        seen_s = max(self._block_worst_s, self._block_before_s)
        self.target_s = self._within(self._step_s + max(likely_s, seen_s))

    def receive_underrun(self, gap_s: float) -> None:
        """The network left the listener in silence for ``gap_s``."""
        wanted_s = self._within(max(self.target_s * _UNDERRUN_FACTOR, self.target_s + gap_s))
        self.spread_s += (wanted_s - self.target_s) / SPREAD_GAIN
        self.target_s = wanted_s

    def receive_slack(self, slack_s: float) -> None:
        """Audio came from the engine ``slack_s`` before it was needed; negative: too late."""
        if slack_s < _SLACK_MIN_S:
            wanted_s = self._ahead_min_s + _SLACK_GAIN * (_SLACK_MIN_S - slack_s)
            self.request_ahead_s = min(self._ahead_max_s, max(self.request_ahead_s, wanted_s))

    def _close_block(self) -> None:
        weight = 1 / (self._blocks + 1)
        self._blocks = min(self._blocks + 1, self._blocks_max)
        above_s = max(0.0, self._block_worst_s - self.worst_s)
        self.spread_s += (2 * above_s - self.spread_s) * weight
        self.worst_s += (self._block_worst_s - self.worst_s) * weight
        self._block_before_s = self._block_worst_s
        self._block_s = self._block_worst_s = 0.0
        surplus_s = self.request_ahead_s - self._ahead_min_s
        self.request_ahead_s = self._ahead_min_s + surplus_s * (1 - weight)

    def _within(self, target_s: float) -> float:
        return max(self._min_s, min(self._max_s, target_s))
