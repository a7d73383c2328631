"""One WebSocket of a load generator, and when its messages really arrived.

The kernel stamps what a socket takes in (SO_TIMESTAMPNS, socket(7)), as the server's write reaches
it; so arrival times do not depend on how soon this process reads.  Over TLS there is no such stamp:
the time of reading stands in for it, and a generator that reads late makes the server look late.
"""

from __future__ import annotations

import socket
import ssl
import time
from struct import Struct

from loadtest import websocket

_SO_TIMESTAMPNS = 35  # linux/asm-generic/socket.h; Python does not name it
_TIMESPEC = Struct("@qq")
_RECEIVE_BYTES = 262_144
_NANO = 1_000_000_000


def clock_difference_ns() -> int:
    """The real clock less the monotonic one.

    Take it anew for each round of reading, as the system's clock may be slewed meanwhile.
    """
    return time.time_ns() - time.monotonic_ns()


class Line:
    """A connected socket that never blocks; ``received`` came with its handshake.

    ``delay_s`` is how long what was read last had waited in the kernel, ``at_s`` when it arrived
    (monotonic clock).
    """

    __slots__ = ("_reader", "_secure", "at_s", "connection", "delay_s")

    def __init__(self, connection: socket.socket, received: bytes = b"") -> None:
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        connection.setblocking(False)
        self.connection = connection
        self.at_s = 0.0
        self.delay_s = 0.0
        self._secure = isinstance(connection, ssl.SSLSocket)
        self._reader = websocket.FrameReader(received)

    def early(self) -> list[tuple[int, bytes]]:
        """Messages that came together with the handshake."""
        self.at_s = time.monotonic()
        return list(self._reader.receive(b""))

    def read(self, difference_ns: int) -> list[tuple[int, bytes]]:
        """Opcode and payload of each message that is complete; none if nothing came.

        ``difference_ns`` is from ``clock_difference_ns``.  Raises ConnectionError at the end of
        the stream, OSError if it broke.  Pings are answered here and not told.
        """
        try:
            data, ancillary = self._receive()
        except (BlockingIOError, ssl.SSLWantReadError):
            self.delay_s = 0.0
            return []
        if not data:
            raise ConnectionError("the server closed the connection")
        now_ns = time.time_ns()
        stamp_ns = now_ns
        for _, kind, value in ancillary:
            if kind == _SO_TIMESTAMPNS:
                whole, nanoseconds = _TIMESPEC.unpack_from(value)
                stamp_ns = whole * _NANO + nanoseconds
        self.at_s = (stamp_ns - difference_ns) / _NANO
        self.delay_s = (now_ns - stamp_ns) / _NANO
        messages = []
        for opcode, payload in self._reader.receive(data):
            if opcode == websocket.PING:
                self.send(websocket.PONG, payload)
            else:
                messages.append((opcode, payload))
        return messages

    def say(self, text: str) -> None:
        """Send a text message; what a client sends fits into the socket's buffer, else OSError."""
        self.send(websocket.TEXT, text.encode())

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame; raises OSError if it does not fit or the connection is gone."""
        self.connection.sendall(websocket.client_frame(opcode, payload))

    def close(self) -> None:
        """Close without a word."""
        self.connection.close()

    def cut(self) -> None:
        """Break the connection as a lost network does: a reset, and no close frame."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        if self._secure:
            return self._receive_secure(), []
        data, ancillary, _, _ = self.connection.recvmsg(_RECEIVE_BYTES, 64)
        return data, ancillary

    def _receive_secure(self) -> bytes:
        """All TLS records that are there: epoll knows nothing of those that were read ahead."""
        data = self.connection.recv(_RECEIVE_BYTES)
        try:
            while data and (more := self.connection.recv(_RECEIVE_BYTES)):
                data += more
        except ssl.SSLWantReadError:
            pass
        return data
