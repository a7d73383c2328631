"""The binary audio message, byte by byte."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.wire.audio_header import HEADER_BYTES, AudioHeader, pack_message, unpack_message

HEADER = AudioHeader(
    context_number=0x0201,
    generation=0x0403,
    frame_duration_samples=960,
    sequence_number=0x08070605,
    timestamp=0x0C0B0A09,
    marker=True,
)


def test_the_layout_is_that_of_the_protocol() -> None:
    assert pack_message(HEADER, [b"\xaa\xbb"]) == bytes.fromhex(
        "11 01 0102 0304 c003 05060708 090a0b0c 0200 aabb"
    )


def test_the_flags_are_marker_and_last() -> None:
    flags = [
        pack_message(HEADER._replace(marker=marker, last=last), [b"x"])[0]
        for marker in (False, True)
        for last in (False, True)
    ]
    assert flags == [0x10, 0x12, 0x11, 0x13]


def test_several_frames_follow_one_header() -> None:
    assert pack_message(HEADER, [b"a", b"bc"])[HEADER_BYTES:] == b"\x01\x00a\x02\x00bc"
    assert pack_message(HEADER, [b"a", b"bc"])[1] == 2


def test_the_generation_is_sent_modulo_65536() -> None:
    data = pack_message(HEADER._replace(generation=65_539), [b"x"])
    assert unpack_message(data)[0].generation == 3


def test_no_frame_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="0 frames"):
        pack_message(HEADER, [])
    with pytest.raises(AssertionError, match="256 frames"):
        pack_message(HEADER, [b"x"] * 256)


@given(
    header=st.builds(
        AudioHeader,
        st.integers(0, 65_535),
        st.integers(0, 65_535),
        st.sampled_from([960, 1920, 2880]),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.booleans(),
        st.booleans(),
    ),
    payloads=st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=8),
)
def test_what_is_packed_is_unpacked(header: AudioHeader, payloads: list[bytes]) -> None:
    assert unpack_message(pack_message(header, payloads)) == (header, payloads)
    assert unpack_message(memoryview(pack_message(header, payloads))) == (header, payloads)


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_a_protocol_violation(data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        header, payloads = unpack_message(data)
        assert pack_message(header, payloads)[1:] == data[1:]


@given(st.data(), st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_message_that_is_cut_anywhere_is_refused(
    data: st.DataObject, payloads: list[bytes]
) -> None:
    message = pack_message(HEADER, payloads)
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(ProtocolViolation):
        unpack_message(message[:cut])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x11\x01", "2 bytes, fewer than its header of 16"),
        (b"\x21" + pack_message(HEADER, [b"x"])[1:], "version 2; this end speaks 1"),
        (b"\x11\x00" + bytes(14), "without a frame"),
        (pack_message(HEADER._replace(frame_duration_samples=961), [b"x"]), "961 is none of"),
        (pack_message(HEADER, [b"x"]) + b"y", "1 bytes follow the last of 1 frames"),
        (pack_message(HEADER, [b"x", b""]), "frame 2 of 2 is empty"),
        (pack_message(HEADER, [b"x", b"abc"])[:-2], "frame 2 of 2 is cut off: 2 bytes"),
        (pack_message(HEADER, [b"x", b"abc"])[:19], "ends before frame 2 of 2"),
    ],
)
def test_a_broken_message_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolViolation, match=message):
        unpack_message(data)
