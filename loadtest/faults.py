"""Clients that misbehave, beside those that talk: they die, stall and send garbage.

Each misdeed is one connection in a thread's hands: made, misused, and held or dropped.  None of
them may cost the server more than its own session, nor anything at all once it is gone.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import orjson

from loadtest import websocket
from loadtest.callers import Target

_TIMEOUT_S = 5.0
_HOLD_S = 3.0
_HELD_MAX = 64
_LONG_TEXT = "This text is spoken to nobody, because nobody reads what comes. " * 50


def dies_in_its_handshake(target: Target, random: Random) -> socket.socket:
    """Sends the first half of a request."""
    connection = socket.create_connection((target.host, target.port), _TIMEOUT_S)
    connection.sendall(b"GET /v1/speak HTTP/1.1\r\nHost: x\r\nUpgra")
    return connection


def speaks_no_http(target: Target, random: Random) -> socket.socket:
    """Sends noise where a request belongs."""
    connection = socket.create_connection((target.host, target.port), _TIMEOUT_S)
    connection.sendall(random.randbytes(400) + b"\r\n\r\n")
    return connection


def never_starts(target: Target, random: Random) -> socket.socket:
    """Opens a session and says nothing."""
    return _session(target)


def stops_reading(target: Target, random: Random) -> socket.socket:
    """Asks for a long speech and never reads it."""
    connection = _session(target)
    _say(connection, {"type": "start", "codec": "pcm", "sample_rate": 48000})
    _say(connection, {"type": "text", "text": _LONG_TEXT})
    _say(connection, {"type": "end"})
    return connection


def dies_as_it_listens(target: Target, random: Random) -> socket.socket:
    """Is gone with a reset in the middle of a speech."""
    connection = stops_reading(target, random)
    time.sleep(random.uniform(0.0, 0.3))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return connection


def sends_garbage(target: Target, random: Random) -> socket.socket:
    """Text that is no JSON, JSON of no type, audio, and fields of the wrong kind."""
    connection = _session(target)
    for payload in (b"{", b"[1,2]", b'{"type":"fly"}', b'{"type":"text","text":7}'):
        connection.sendall(websocket.client_frame(websocket.TEXT, payload))
    connection.sendall(websocket.client_frame(websocket.BINARY, random.randbytes(300)))
    return connection


def breaks_framing(target: Target, random: Random) -> socket.socket:
    """Bytes that are no WebSocket frames."""
    connection = _session(target)
    connection.sendall(random.randbytes(500))
    return connection


def sends_too_much(target: Target, random: Random) -> socket.socket:
    """One message beyond every limit."""
    connection = _session(target)
    connection.sendall(websocket.client_frame(websocket.TEXT, b'"' + b"x" * 400_000 + b'"'))
    return connection


MISDEEDS: Sequence[Callable[[Target, Random], socket.socket]] = (
    dies_in_its_handshake,
    speaks_no_http,
    never_starts,
    stops_reading,
    dies_as_it_listens,
    sends_garbage,
    breaks_framing,
    sends_too_much,
)


class Troublemaker:
    """Commits ``per_s`` misdeeds a second in a thread until its ``with`` block ends.

    ``committed`` counts them by name; a connection that the server refused counts as committed.
    """

    def __init__(self, target: Target, per_s: float, seed: int) -> None:
        self.committed: dict[str, int] = {}
        self._target = target
        self._interval_s = 1 / per_s
        self._random = Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Troublemaker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        held: list[tuple[float, socket.socket]] = []
        while not self._over.wait(self._interval_s):
            misdeed = self._random.choice(MISDEEDS)
            name = misdeed.__name__
            with suppress(OSError):
                connection = misdeed(self._target, self._random)
                hold_s = 0.0 if misdeed is dies_as_it_listens else _HOLD_S
                held.append((time.monotonic() + hold_s, connection))
            self.committed[name] = self.committed.get(name, 0) + 1
            while held and (held[0][0] <= time.monotonic() or len(held) > _HELD_MAX):
                held.pop(0)[1].close()
        for _, connection in held:
            connection.close()


def _session(target: Target) -> socket.socket:
    connection, _ = websocket.connect(
        target.host,
        target.port,
        target.path,
        "voice.v1",
        _TIMEOUT_S,
        headers=target.headers,
        secure=target.secure,
    )
    return connection


def _say(connection: socket.socket, message: dict[str, object]) -> None:
    connection.sendall(websocket.client_frame(websocket.TEXT, orjson.dumps(message)))
