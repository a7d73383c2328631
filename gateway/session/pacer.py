"""Which frames leave when.

Frames wait here until the listener needs them.  While its lead is below the target, which lead.py
moves, frames leave at once; then one message leaves each time the lead has fallen by that message's
duration:

    lead
    target ─┬──╲──┬──╲──┬──╲──     each step: one message of up to ``message_duration_max``
            │   ╲ │   ╲ │   ╲
    t-msg   │    ╲│    ╲│    ╲
            ▲ burst of the start

What is in flight is bounded by this, never by the socket: a socket swallows megabytes, that is
minutes of speech, before it pushes back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.media import seconds

MARKER, LAST = 1, 2
_FRAMES_PER_MESSAGE_MAX = 255


@dataclass(slots=True)
class Packet:
    """Contiguous frames that leave in one message."""

    sequence_number: int
    timestamp_samples: int
    marker: bool
    last: bool
    payloads: tuple[bytes, ...]


class Pacer:
    """The queue between the encoder and the socket, for one generation of one context."""

    __slots__ = (
        "_frame_samples",
        "_frames_per_message",
        "_queue",
        "_refill_at_s",
        "_step_s",
        "_talkspurt_open",
        "sequence_number",
    )

    def __init__(
        self, frame_samples: int, lead_target_s: float, message_duration_max_s: float
    ) -> None:
        frames = int(message_duration_max_s / seconds(frame_samples) + 1e-9)
        self._frame_samples = frame_samples
        self._frames_per_message = min(_FRAMES_PER_MESSAGE_MAX, max(1, frames))
        self._step_s = seconds(frame_samples * self._frames_per_message)
        self.set_target(lead_target_s)
        self._queue: deque[tuple[bytes, int]] = deque()
        self._talkspurt_open = False
        self.sequence_number = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def queued_s(self) -> float:
        """Seconds of audio that wait here."""
        return seconds(len(self._queue) * self._frame_samples)

    def set_target(self, lead_target_s: float) -> None:
        """The lead that the listener should have after a message left; at least one message."""
        self._refill_at_s = max(0.0, lead_target_s - self._step_s)

    def push(self, payloads: list[bytes], ends_talkspurt: bool) -> None:
        """Queue encoded frames; the last one ends the talkspurt if ``ends_talkspurt``."""
        for payload in payloads:
            self._queue.append((payload, 0 if self._talkspurt_open else MARKER))
            self._talkspurt_open = True
        if ends_talkspurt and self._talkspurt_open:
            assert self._queue, "the end of a talkspurt must come with or before its last frame"
            payload, flags = self._queue[-1]
            self._queue[-1] = (payload, flags | LAST)
            self._talkspurt_open = False

    def due_at(self, lead_s: float, now: float) -> float | None:
        """When the next message should leave; None if nothing waits."""
        if not self._queue:
            return None
        return now + max(0.0, lead_s - self._refill_at_s)

    def take(self, lead_s: float) -> Packet | None:
        """The next message, if the lead leaves room for it now."""
        if not self._queue or lead_s > self._refill_at_s + 1e-9:
            return None
        return self._take()

    def _take(self) -> Packet:
        payload, flags = self._queue.popleft()
        marker = bool(flags & MARKER)
        payloads = [payload]
        while self._queue and len(payloads) < self._frames_per_message and not flags & LAST:
            if self._queue[0][1] & MARKER:
                break
            payload, flags = self._queue.popleft()
            payloads.append(payload)
        packet = Packet(
            sequence_number=self.sequence_number,
            timestamp_samples=self.sequence_number * self._frame_samples,
            marker=marker,
            last=bool(flags & LAST),
            payloads=tuple(payloads),
        )
        self.sequence_number += len(payloads)
        return packet
