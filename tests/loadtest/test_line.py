import socket
import time
from collections.abc import Iterator

import pytest

from loadtest.line import Line, clock_difference_ns
from loadtest.websocket import PING, PONG, TEXT, client_frame


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    listening = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listening.getsockname())
    theirs = listening.accept()[0]
    yield ours, theirs
    for one in (ours, theirs, listening):
        one.close()


def _frame(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, len(payload))) + payload


def _read(line: Line) -> list[tuple[int, bytes]]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        messages = line.read(clock_difference_ns())
        if messages:
            return messages
    raise AssertionError("nothing came")


def test_the_kernel_says_when_a_message_came(pair: tuple[socket.socket, socket.socket]) -> None:
    line = Line(pair[0])
    before = time.monotonic()
    pair[1].sendall(_frame(TEXT, b"hello"))
    sent = time.monotonic()
    time.sleep(0.05)

    assert _read(line) == [(TEXT, b"hello")]
    # The kernel starts to stamp packets a moment after it was asked to; then reading counts.
    assert before - 0.01 <= line.at_s <= sent + 0.2
    assert line.read(clock_difference_ns()) == []


def test_pings_are_answered_and_not_told(pair: tuple[socket.socket, socket.socket]) -> None:
    line = Line(pair[0])
    pair[1].sendall(_frame(PING, b"?") + _frame(TEXT, b"x"))

    assert _read(line) == [(TEXT, b"x")]
    pair[1].settimeout(5)
    assert len(pair[1].recv(100)) == len(client_frame(PONG, b"?"))


def test_what_came_with_the_handshake_is_told_first(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    line = Line(pair[0], _frame(TEXT, b"ready"))

    assert line.early() == [(TEXT, b"ready")]
    assert line.early() == []


def test_the_end_of_the_stream_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    line = Line(pair[0])
    pair[1].close()

    with pytest.raises(ConnectionError, match="the server closed"):
        _read(line)


def test_a_cut_is_a_reset(pair: tuple[socket.socket, socket.socket]) -> None:
    Line(pair[0]).cut()
    pair[1].settimeout(5)

    with pytest.raises(ConnectionResetError):
        pair[1].recv(1)
