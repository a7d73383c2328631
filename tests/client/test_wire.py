"""Reading and writing voice.v1 at the client's end."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.client.wire import (
    Audio,
    Cancelled,
    Chunk,
    Heard,
    Ready,
    ServerError,
    Word,
    build_message,
    full_generation,
    parse_audio,
    parse_message,
)
from gateway.errors import InvalidValue, ProtocolViolation
from gateway.wire.audio_header import AudioHeader, pack_message


def test_a_chunk_is_read_with_its_words() -> None:
    text = json.dumps(
        {
            "type": "chunk",
            "context": "a",
            "generation": 2,
            "chunk": 5,
            "text": "Hi.",
            "start": 7,
            "end": 10,
            "timestamp": 960,
            "words": [{"text": "Hi", "start": 7, "end": 9, "timestamp": 970, "duration": 4800}],
            "of_the_future": True,
        }
    )
    assert parse_message(text) == Chunk(
        "a", 2, 5, "Hi.", 7, 10, 960, (Word("Hi", 7, 9, 970, 4800),)
    )


def test_cancelled_is_read_with_what_was_heard() -> None:
    text = (
        '{"type":"cancelled","context":"a","generation":1,"open":true,'
        '"heard":{"text_offset":9,"word":"Hi","played_samples":1200,"source":"client"}}'
    )
    assert parse_message(text) == Cancelled("a", 1, Heard(9, "Hi", 1200, "client"), True)


def test_ready_needs_no_more_than_a_session() -> None:
    assert parse_message('{"type":"ready","session":"x"}') == Ready("x")


def test_a_type_of_the_future_is_skipped() -> None:
    assert parse_message('{"type":"smell","intensity":3}') is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "without a type"),
        ('{"type":7}', "without a type"),
        ('{"type":"done","context":"a"}', "'done' with a bad 'generation'"),
        ('{"type":"words","context":"a","generation":0,"chunk":0,"words":[3]}', "bad 'words.0'"),
    ],
)
def test_garbage_is_refused_with_the_field(text: str, message: str) -> None:
    with pytest.raises(ProtocolViolation, match=message):
        parse_message(text)


@given(st.text() | st.binary())
def test_garbage_raises_nothing_but_a_protocol_violation(data: str | bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        assert parse_message(data) is None


def test_audio_is_read() -> None:
    data = pack_message(AudioHeader(3, 7, 1920, 10, 19_200, True, False), [b"ab", b"c"])
    audio = parse_audio(data)
    assert audio == Audio(3, 7, 10, 19_200, 1920, True, False, (b"ab", b"c"))
    assert audio.duration_samples == 3840


def test_messages_leave_out_what_is_none() -> None:
    assert build_message("start", context="a", voice=None, speed=1.5) == (
        '{"type":"start","context":"a","speed":1.5}'
    )


def test_an_unpaired_surrogate_cannot_be_sent() -> None:
    with pytest.raises(InvalidValue, match="'text' can't be sent"):
        build_message("text", text="a\ud83d")


def test_the_error_of_a_code_is_its_class() -> None:
    error = ServerError("limit_exceeded", "too long", field="text", limit=5).exception()
    assert isinstance(error, errors.LimitExceeded)
    assert (str(error), error.field, error.limit) == ("too long", "text", 5)


def test_an_error_of_an_unknown_code_keeps_it() -> None:
    error = ServerError("out_of_tea", "no tea").exception()
    assert type(error) is errors.GatewayError
    assert error.code == "out_of_tea"
    assert errors.GatewayError.code == "internal_error"


@pytest.mark.parametrize(
    ("on_wire", "present", "full"),
    [(0, 0, 0), (1, 0, 1), (0, 65_535, 65_536), (65_535, 65_536, 65_535), (2, 131_074, 131_074)],
)
def test_a_generation_is_the_one_nearest_to_the_present(
    on_wire: int, present: int, full: int
) -> None:
    assert full_generation(on_wire, present) == full
