"""The least WebSocket client (RFC 6455) that a load generator needs: cheap to read with.

A full client costs as much per message as the server that it should measure.  This one trusts the
server on loopback: no fragmented messages, no extensions, and an answer 101 is not checked further.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from struct import Struct

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

_FINAL = 0x80
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_SHORT = Struct("!H")
_LONG = Struct("!Q")
_HEAD_BYTES_MAX = 65_536


def connect(
    host: str,
    port: int,
    path: str,
    subprotocol: str | None,
    timeout_s: float,
    *,
    headers: Sequence[str] = (),
    secure: bool = False,
) -> tuple[socket.socket, bytes]:
    """Open a connection; returns its socket and what the server sent after the handshake.

    ``headers`` are whole lines; ``secure``: over TLS, with the server's certificate checked.
    Raises ConnectionError if the answer is not 101, OSError if there is none.
    """
    connection = socket.create_connection((host, port), timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            context = ssl.create_default_context()
            connection = context.wrap_socket(connection, server_hostname=host)
        connection.sendall(_request(host, port, path, subprotocol, headers))
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(_HEAD_BYTES_MAX)
            if not part or len(received) > _HEAD_BYTES_MAX:
                raise ConnectionError(f"no handshake from {host}:{port}: {received[:200]!r}")
            received += part
        head, _, rest = received.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0]
        if b" 101" not in status:
            raise ConnectionError(f"{host}:{port} refused the WebSocket: {status.decode()}")
    except BaseException:
        connection.close()
        raise
    return connection, rest


def client_frame(opcode: int, payload: bytes) -> bytes:
    """One final frame, masked as a client's must be (RFC 6455, section 5.3)."""
    mask = os.urandom(4)
    size = len(payload)
    if size < _LENGTH_16:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FINAL | opcode, _MASKED | _LENGTH_16)) + _SHORT.pack(size)
    else:
        head = bytes((_FINAL | opcode, _MASKED | _LENGTH_64)) + _LONG.pack(size)
    repeated = mask * (size // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")
    return head + mask + number.to_bytes(size, "big")


class FrameReader:
    """Cuts a server's byte stream into frames."""

    __slots__ = ("_kept",)

    def __init__(self, received: bytes = b"") -> None:
        self._kept = received

    def receive(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of every frame that ``data`` completes.

        Iterate to the end: what is left is kept only then.
        """
        data = self._kept + data if self._kept else data
        position, end = 0, len(data)
        while end - position >= 2:
            size = data[position + 1]
            start = position + 2
            if size == _LENGTH_16:
                start += 2
                if start > end:
                    break
                (size,) = _SHORT.unpack_from(data, start - 2)
            elif size == _LENGTH_64:
                start += 8
                if start > end:
                    break
                (size,) = _LONG.unpack_from(data, start - 8)
            if start + size > end:
                break
            yield data[position] & 0x0F, data[start : start + size]
            position = start + size
        self._kept = data[position:]


def _request(
    host: str, port: int, path: str, subprotocol: str | None, headers: Sequence[str]
) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
