"""Frames over a real socket pair."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.engine.espeak_frames import AUDIO, CANCEL, HEADER, SPEAK, Channel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_frame_arrives_as_it_was_sent(ends):
    Channel(ends[0].fileno()).send(SPEAK, 7, b"hello")
    frame = Channel(ends[1].fileno()).receive(1.0)
    assert (frame.kind, frame.serial, frame.payload) == (SPEAK, 7, b"hello")


def test_the_header_is_twelve_bytes_little_endian(ends):
    Channel(ends[0].fileno()).send(AUDIO, 0x01020304, b"ab")
    assert ends[1].recv(64) == b"\x12\0\0\0\x04\x03\x02\x01\x02\0\0\0ab"


def test_frames_that_arrive_together_are_taken_one_by_one(ends):
    sender, receiver = Channel(ends[0].fileno()), Channel(ends[1].fileno())
    sender.send(SPEAK, 1, b"a")
    sender.send(CANCEL, 1)
    assert receiver.receive(1.0).payload == b"a"
    assert receiver.receive(1.0).kind == CANCEL
    assert receiver.receive_nowait() is None


def test_a_frame_that_arrives_byte_by_byte_is_whole_in_the_end(ends):
    receiver = Channel(ends[1].fileno())
    for byte in HEADER.pack(SPEAK, 3, 4) + b"text"[:-1]:
        ends[0].send(bytes([byte]))
        assert receiver.receive_nowait() is None
    ends[0].send(b"t")
    frame = receiver.receive_nowait()
    assert frame is not None
    assert frame.payload == b"text"


def test_a_frame_larger_than_the_socket_takes_gets_through(ends):
    payload = os.urandom(3_000_000)
    sender = threading.Thread(target=Channel(ends[0].fileno()).send, args=(AUDIO, 1, payload))
    sender.start()
    assert Channel(ends[1].fileno()).receive(5.0).payload == payload
    sender.join()


def test_a_peer_that_reads_nothing_times_out(ends):
    with pytest.raises(TimeoutError):
        Channel(ends[0].fileno()).send(AUDIO, 1, bytes(3_000_000), 0.02)


def test_a_peer_that_says_nothing_times_out(ends):
    with pytest.raises(TimeoutError):
        Channel(ends[0].fileno()).receive(0.02)


def test_a_closed_peer_is_the_end_for_both_directions(ends):
    channel = Channel(ends[0].fileno())
    ends[1].close()
    with pytest.raises(EOFError):
        channel.receive(1.0)
    with pytest.raises(EOFError):
        channel.receive_nowait()
    with pytest.raises(EOFError):
        channel.send(SPEAK, 1, b"hello")


def test_a_peer_that_closed_on_unread_data_is_the_end_too(ends):
    channel = Channel(ends[0].fileno())
    channel.send(SPEAK, 1, b"never read")
    ends[1].close()
    with pytest.raises(EOFError):  # the kernel answers with ECONNRESET
        channel.receive(1.0)


def test_an_absurd_length_is_found_out(ends):
    ends[1].send(HEADER.pack(SPEAK, 1, 2**31))
    with pytest.raises(AssertionError, match="lost step"):
        Channel(ends[0].fileno()).receive(1.0)
