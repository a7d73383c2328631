"""What a session remembers of its transport, so that another transport can take its place.

    client's messages ──► received ──────────────► told by ``resumed`` and ``ack``
    our messages ───────► log ◄── acknowledged ──  told by the client's ``report`` and ``ack``

Both counts run over the whole session, whatever carried the messages.

The log is bounded.  A client that acknowledges and is suddenly silent is most likely gone, though
its socket is still open: what is sent meanwhile must all be kept.  So audio is held back once the
log is three quarters full, until acknowledgements have emptied it by half.  A client that speaks
but no longer acknowledges is not waited for: its log overflows, and it can't resume.

Pure: ``now`` is an argument.
"""

from __future__ import annotations

from gateway.wire.message_log import Message, MessageLog

ACK_INTERVAL_S = 1.0
"""We acknowledge no more often than this."""


class Resumption:
    """The counts of one session, and what it may have to send again."""

    __slots__ = ("_told", "_told_at", "acknowledges", "holds", "log", "received")

    def __init__(self, bytes_max: int) -> None:
        self.log = MessageLog(bytes_max)
        self.received = 0
        """Messages that were taken from the client."""
        self.acknowledges = False
        """Whether the client has ever acknowledged anything."""
        self.holds = False
        """Whether audio should wait until the client acknowledges."""
        self._told = 0
        self._told_at = float("-inf")

    def record(self, message: Message) -> None:
        """``message`` is sent now, or will be once there is a transport again."""
        self.log.append(message)
        if self.acknowledges and self.log.size_bytes > self.log.bytes_max * 3 // 4:
            self.holds = True

    def receive_message(self) -> None:
        """A message of the client was taken; what it says comes after this."""
        self.received += 1
        self.holds = False

    def receive_acknowledgement(self, received: int) -> None:
        """The client has taken ``received`` of our messages; raises ProtocolViolation."""
        self.log.acknowledge(received)
        self.acknowledges = True
        self.holds = self.holds and self.log.size_bytes > self.log.bytes_max // 2

    def acknowledge_at(self) -> float | None:
        """When the client should be told what was taken; None if there is nothing new to tell."""
        if not self.acknowledges or self.received == self._told:
            return None
        return self._told_at + ACK_INTERVAL_S

    def acknowledge(self, now: float) -> int:
        """The client is told now: the count to tell."""
        self._told = self.received
        self._told_at = now
        return self._told
