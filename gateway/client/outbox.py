"""The client's messages on their way: which wait, which were handed to a socket, which arrived.

    put ──► [wait] ──take──► [handed to the socket] ──acknowledge──► forgotten
                ▲                      │
                └────────rewind────────┘  after a cut: all that the gateway has not taken

Whoever puts a message may be cancelled or disconnected meanwhile; the message is sent all the same,
once, in the order in which all were put.  Pure.
"""

from __future__ import annotations

from collections import deque

from gateway.wire.message_log import MessageLog


class Outbox:
    """The messages of one session; ``keeps`` is False if it can't be resumed anyway."""

    __slots__ = ("_keeps", "_log", "_waiting", "taken")

    def __init__(self, bytes_max: int, *, keeps: bool) -> None:
        self._log = MessageLog(bytes_max)
        self._keeps = keeps
        self._waiting: deque[str] = deque()
        self.taken = 0
        """Number of the newest message that was handed to a socket."""

    def put(self, message: str) -> int:
        """Queue ``message``; returns its number."""
        self._log.append(message)
        self._waiting.append(message)
        return self._log.sent

    def take(self) -> str | None:
        """The next message to send, or None."""
        if not self._waiting:
            return None
        self.taken += 1
        if not self._keeps:
            self._log.acknowledge(self.taken)
        return self._waiting.popleft()

    def acknowledge(self, received: int) -> None:
        """The gateway has taken ``received`` messages; raises ProtocolViolation if it can't."""
        self._log.acknowledge(received)

    def rewind(self, received: int) -> None:
        """A new socket: whatever comes after ``received`` is to be sent, again or at last.

        Raises ResumeRefused if it is no longer kept.
        """
        self._waiting = deque(str(message) for message in self._log.since(received))
        self._log.acknowledge(received)
        self.taken = received
