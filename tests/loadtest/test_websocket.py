import socket
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from loadtest.websocket import BINARY, PING, TEXT, FrameReader, client_frame, connect


def _server_frame(opcode: int, payload: bytes) -> bytes:
    return Frame(Opcode(opcode), payload).serialize(mask=False)


def _received_by_a_server(data: bytes) -> list[tuple[int, bytes]]:
    server = Protocol(Side.SERVER)
    server.receive_data(data)
    return [(event.opcode, bytes(event.data)) for event in server.events_received()]


@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 65_535, 65_536, 70_000])
def test_a_server_reads_what_we_write(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))

    assert _received_by_a_server(client_frame(BINARY, payload)) == [(BINARY, payload)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_we_read_what_a_server_writes(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))

    assert list(FrameReader().receive(_server_frame(BINARY, payload))) == [(BINARY, payload)]


@given(
    payloads=st.lists(st.binary(max_size=200), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 1300), max_size=10),
)
def test_it_does_not_matter_how_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(_server_frame(BINARY, payload) for payload in payloads)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    reader = FrameReader()
    read = [frame for start, end in pairwise(edges) for frame in reader.receive(data[start:end])]

    assert read == [(BINARY, payload) for payload in payloads]


def test_what_came_with_the_handshake_is_read_first() -> None:
    whole = _server_frame(TEXT, b"ready") + _server_frame(PING, b"?")

    assert list(FrameReader(whole[:9]).receive(whole[9:])) == [(TEXT, b"ready"), (PING, b"?")]


def _answer_once(answer: bytes) -> int:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening, listening.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


def test_connecting_gives_the_socket_and_what_followed_the_handshake() -> None:
    port = _answer_once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nrest")

    connection, received = connect("127.0.0.1", port, "/", "voice.v1", 5.0)
    connection.close()

    assert received == b"rest"


def test_a_refusal_is_an_error_with_its_status() -> None:
    port = _answer_once(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    with pytest.raises(ConnectionError, match="403 Forbidden"):
        connect("127.0.0.1", port, "/", None, 5.0)


def test_a_server_that_hangs_up_is_an_error() -> None:
    port = _answer_once(b"")

    with pytest.raises(ConnectionError, match="no handshake"):
        connect("127.0.0.1", port, "/", None, 5.0)
