"""What one end of a session sent and the other end has not acknowledged: enough to send it again.

    number      1    2    3    4    5    6    7
    ────────────┬────┬────┬────┬────┬────┬────┬──►
                └─ forgotten ─┘└──── kept ────┘
                     acknowledged = 3        sent = 7      since(5) → 6, 7

Messages are numbered from 1 in the order in which they were sent, text and binary alike.  The other
end counts what it takes; its count is the acknowledgement (cumulative, as TCP's).  After a cut each
end says its count and is sent the rest, so that every message arrives exactly once and in order,
whatever the network lost or delivered before.

Memory is bounded by ``bytes_max``.  A peer that lets the log grow beyond it can't be served any
more: the log is emptied, and nothing is kept until that peer acknowledges again.  A peer that never
acknowledges so costs nothing in the long run.

Both ends of ``voice.v1`` use this file.  Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque

from gateway.errors import ProtocolViolation, ResumeRefused

MESSAGE_OVERHEAD_BYTES = 64
"""What an object and its place in the queue cost beside the message's own bytes."""

Message = str | bytes


class MessageLog:
    """The messages of one direction of one session."""

    __slots__ = ("_first", "_kept", "_lapsed", "acknowledged", "bytes_max", "sent", "size_bytes")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.sent = 0
        """Number of the newest message."""
        self.acknowledged = 0
        """Number of the newest message that the other end says it has."""
        self.size_bytes = 0
        """What is kept costs this much (a character counts as a byte)."""
        self._kept: deque[Message] = deque()
        self._first = 1
        """Number of the oldest message that is kept, or of the next one if none is."""
        self._lapsed = False

    @property
    def complete(self) -> bool:
        """Whether everything that was not acknowledged is kept."""
        return not self._lapsed and self._first <= self.acknowledged + 1

    def append(self, message: Message) -> None:
        """``message`` is sent now."""
        self.sent += 1
        if self._lapsed:
            self._first = self.sent + 1
            return
        self._kept.append(message)
        self.size_bytes += len(message) + MESSAGE_OVERHEAD_BYTES
        if self.size_bytes > self.bytes_max:
            self._lapse()

    def acknowledge(self, received: int) -> None:
        """The other end has taken ``received`` messages in all; an old figure changes nothing.

        Raises ProtocolViolation if so many were never sent.
        """
        if received > self.sent:
            raise ProtocolViolation(
                f"received: {received} messages are acknowledged, but {self.sent} were sent",
                field="received",
                limit=self.sent,
            )
        if received <= self.acknowledged:
            return
        self.acknowledged = received
        self._lapsed = False
        while self._first <= received:
            self.size_bytes -= len(self._kept.popleft()) + MESSAGE_OVERHEAD_BYTES
            self._first += 1

    def check_since(self, received: int) -> None:
        """Raises ResumeRefused if ``since(received)`` would."""
        if received > self.sent:
            raise ResumeRefused(
                f"received: {received} messages can't have been taken, {self.sent} were sent",
                field="received",
                limit=self.sent,
            )
        if received + 1 < self._first:
            raise ResumeRefused(
                f"received: the messages after {received} are no longer kept, only those after "
                f"{self._first - 1}; open a new session",
                field="received",
                limit=self._first - 1,
            )

    def since(self, received: int) -> tuple[Message, ...]:
        """The messages after the first ``received``; raises ResumeRefused if they are not kept."""
        self.check_since(received)
        kept = tuple(self._kept)
        return kept[received + 1 - self._first :]

    def _lapse(self) -> None:
        self._lapsed = True
        self._kept.clear()
        self.size_bytes = 0
        self._first = self.sent + 1
