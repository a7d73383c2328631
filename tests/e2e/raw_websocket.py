"""A WebSocket client (RFC 6455) without manners: it sends any bytes, and reads only when told to.

A proper client library refuses to do what hostile clients do: break frames, leave closes
unanswered, take nothing from the socket.  Blocking; use it from a thread beside an event loop.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MASK = b"\x00\x00\x00\x00"
"""A mask of zeros is legal, and leaves the payload as it is."""


class Frame(NamedTuple):
    """One frame of the gateway."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int(struct.unpack("!H", self.payload[:2])[0])

    @property
    def json(self) -> dict[str, object]:
        """The object of a text frame."""
        assert self.opcode == TEXT, self
        message: dict[str, object] = orjson.loads(self.payload)
        return message


def build_frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as clients send it (section 5.2)."""
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        header = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    return header + _MASK + payload


class RawWebSocket:
    """An open WebSocket; ``receive_buffer_bytes`` makes the kernel hold almost nothing for us."""

    def __init__(
        self, url: str, *, receive_buffer_bytes: int | None = None, timeout_s: float = 10.0
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            # Before connecting: the window is offered in the handshake.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect((parts.hostname, parts.port))
        self._received = b""
        self.send_bytes(upgrade_request(url))
        status = self._read_until(b"\r\n\r\n").split(b"\r\n", 1)[0]
        assert b" 101 " in status, status

    # ── sending ────────────────────────────────────────────────────────────────────────────────

    def send_bytes(self, data: bytes) -> None:
        """Anything at all."""
        self.socket.sendall(data)

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """One frame."""
        self.send_bytes(build_frame(opcode, payload, fin=fin))

    def say(self, **message: object) -> None:
        """One JSON message."""
        self.send(TEXT, orjson.dumps(message))

    # ── receiving ──────────────────────────────────────────────────────────────────────────────

    def receive(self) -> Frame:
        """The next frame; EOFError once the gateway has hung up, or cut the connection."""
        first, second = self._read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._read(8))
        return Frame(first & 0x0F, self._read(size))

    def frames(self) -> Iterator[Frame]:
        """Frames until the gateway has hung up; pings are answered, but no close is."""
        with contextlib.suppress(EOFError):
            while True:
                frame = self.receive()
                if frame.opcode == PING:
                    self.send(PONG, frame.payload)
                yield frame

    def hear(self, kind: str) -> dict[str, object]:
        """The next JSON message of this type; what comes before it is dropped."""
        for frame in self.frames():
            if frame.opcode == TEXT and frame.json["type"] == kind:
                return frame.json
        raise AssertionError(f"the gateway hung up before {kind!r}")

    def close_code(self) -> int | None:
        """Read to the end; returns the code of the close frame, None if there was none."""
        code = None
        for frame in self.frames():
            if frame.opcode == CLOSE:
                code = frame.close_code
        return code

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            self._fill()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._fill()
        data, _, self._received = self._received.partition(end)
        return data

    def _fill(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._received += data

    # ── leaving ────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close the TCP connection without a close frame."""
        self.socket.close()

    def reset(self) -> None:
        """Leave with a TCP reset, as a crashed machine or a firewall does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> RawWebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def upgrade_request(url: str) -> bytes:
    """The request of the opening handshake (section 4.1)."""
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: voice.v1",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def resident_bytes(pid: int) -> int:
    """Physical memory of a process (RSS), from /proc."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
