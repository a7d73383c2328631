from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ClientError, InvalidValue, LimitExceeded, Overloaded, Unauthorized
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import deepgram
from gateway.wire.base import Handshake, Hangup, Reply
from gateway.wire.deepgram import DeepgramDialect, DeepgramV1, DeepgramV2
from tests.wire.scripts import (
    LOCKED,
    Talk,
    audio,
    cancelled,
    done,
    failed,
    handshake_of,
    let_in,
    refusals,
    started,
)

V1, V2 = DeepgramDialect(DeepgramV1), DeepgramDialect(DeepgramV2)


def shake(**query: str) -> Handshake:
    return handshake_of(query={"model": "aura-2-thalia-en", **query})


def talk_of(dialect: DeepgramDialect, **query: str) -> Talk:
    adapter = let_in(dialect, shake(**query), Settings())
    (start,) = adapter.open()
    assert isinstance(start, events.Start)
    assert start.context == "speech"
    return Talk(adapter)


def opened(dialect: DeepgramDialect) -> Talk:
    talk = talk_of(dialect)
    talk.hear(started("speech"))
    return talk


FLUSHED = events.Flushed("speech", 0)


# ── version 1 ──────────────────────────────────────────────────────────────────────────────────


def test_livekit_s_turn_is_metadata_audio_and_flushed() -> None:
    talk = talk_of(V1)
    (metadata,) = talk.hear(started("speech"))
    assert (metadata["type"], metadata["model_name"]) == ("Metadata", "v")
    assert metadata["request_id"]
    for word in ("One ", "two. "):
        assert talk.say(type="Speak", text=word) == [events.Text("speech", word)]
    assert talk.say(type="Flush") == [events.Flush("speech")]
    sound, flushed = talk.hear(audio("speech", 0, b"ab", b"cd"), FLUSHED)
    assert sound == b"abcd"
    assert flushed == {"type": "Flushed", "sequence_id": 0}
    assert talk.say(type="KeepAlive") == []
    assert talk.say(type="Close") == [events.Close()]
    assert talk.hear(done("speech")) == [Hangup(1000)]


def test_pipecat_s_clear_is_answered_in_sequence() -> None:
    talk = opened(V1)
    assert talk.say(type="Clear") == [events.Cancel("speech")]
    said = talk.hear(FLUSHED, cancelled("speech", is_open=True), FLUSHED)
    assert [(each["type"], each["sequence_id"]) for each in said] == [
        ("Flushed", 0),
        ("Cleared", 1),
        ("Flushed", 2),
    ]


def test_a_warning_has_both_spellings_and_an_error_names_what_is_wrong() -> None:
    talk = opened(V1)
    (warning,) = talk.hear(events.Warned("rate_limited", "slow"))
    assert warning["warn_msg"] == warning["description"] == "slow"
    with pytest.raises(ClientError, match="expected one of Speak"):
        talk.say(type="Dance")
    (problem,) = talk.hear(failed(InvalidValue("text: 7", field="text")))
    assert (problem["type"], problem["err_msg"], problem["err_code"]) == (
        "Error",
        "text: 7",
        "invalid_value",
    )


@pytest.mark.parametrize("dialect", [V1, V2])
def test_a_socket_without_a_voice_closes(dialect: DeepgramDialect) -> None:
    problem, hangup = talk_of(dialect).hear(failed(InvalidValue("voice: none"), "speech"))
    assert (problem["type"], hangup.code) == ("Error", 1008)


@pytest.mark.parametrize(
    "query", [{"encoding": "mp3"}, {"sample_rate": "7"}, {"sample_rate": "x"}, {"speed": "-1"}]
)
def test_what_is_wrong_with_the_query_is_named(query: dict[str, str]) -> None:
    with pytest.raises(InvalidValue) as caught:
        talk_of(V1, **query)
    assert caught.value.field == next(iter(query))


def test_the_query_chooses_voice_encoding_and_speed() -> None:
    adapter = let_in(V1, shake(encoding="mulaw", speed="1.5"), Settings())
    (start,) = adapter.open()
    assert isinstance(start, events.Start)
    assert (start.voice, start.codec, start.sample_rate, start.speed) == (
        "aura-2-thalia-en",
        "pcmu",
        8000,
        1.5,
    )


@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"authorization": "Token right"}},
        {"headers": {"authorization": "token right"}},
        {"headers": {"authorization": "Bearer right"}},
        {"subprotocols": ["token", "right"]},
        {"subprotocols": ["bearer", "right"]},
    ],
)
@pytest.mark.parametrize("dialect", [V1, V2])
def test_the_key_may_come_in_every_place(shown: dict[str, Any], dialect: DeepgramDialect) -> None:
    handshake = handshake_of(**shown)
    assert let_in(dialect, handshake)
    chosen = dialect.choose_subprotocol(handshake)
    assert chosen == (handshake.subprotocols[0] if handshake.subprotocols else None)


def test_a_wrong_key_is_refused_in_their_form() -> None:
    with pytest.raises(Unauthorized):
        let_in(V1, handshake_of(headers={"authorization": "Token wrong"}))
    problem, hangup = refusals(V1.refuse(Unauthorized("wrong"), shake(), LOCKED))
    assert (problem["type"], problem["err_code"], hangup.code) == ("Error", "unauthorized", 1008)
    assert refusals(V1.refuse(Overloaded("full"), shake(), LOCKED))[1].code == 1011


def test_their_clients_are_told_from_ours() -> None:
    theirs = deepgram.is_deepgrams
    assert theirs(handshake_of(headers={"authorization": "Token k"}))
    assert theirs(handshake_of(subprotocols=["token", "k"]))
    assert theirs(shake())
    assert not theirs(handshake_of(headers={"authorization": "Bearer k"}))
    assert not theirs(handshake_of(query={"model": "m"}, subprotocols=["voice.v1"]))


@pytest.mark.parametrize(("ours", "theirs"), [(1000, 1000), (1012, 1000), (4408, 1011)])
def test_close_codes_are_those_that_clients_know(ours: int, theirs: int) -> None:
    assert talk_of(V1).adapter.end(ours, "")[0] == theirs


# ── version 2 ──────────────────────────────────────────────────────────────────────────────────


def test_a_turn_of_version_2() -> None:
    talk = talk_of(V2)
    assert talk.hear(started("speech"))[0]["type"] == "Connected"
    talk.say(type="Speak", text="One two. ")
    talk.say(type="Flush")
    begun, sound, metadata, flushed = talk.hear(audio("speech", 0, b"a", b"b"), FLUSHED)
    assert sound == b"ab"
    assert (metadata["audio_duration_ms"], metadata["input_character_count"]) == (40, 9)
    ids = {begun["speech_id"], metadata["speech_id"], flushed["speech_id"]}
    assert len(ids) == 1
    assert begun["speech_id"].startswith("dg_sp_")
    assert talk.say(type="Close") == [events.Close()]
    whole, hangup = talk.hear(done("speech"))
    assert (whole["total_audio_duration_ms"], whole["total_input_character_count"]) == (40, 9)
    assert hangup == Hangup(1000)


def test_an_interrupt_tells_what_was_spoken_of_this_turn() -> None:
    talk = opened(V2)
    talk.say(type="Speak", text="One. ")
    talk.say(type="Flush")
    talk.hear(audio("speech", 0, b"a"), FLUSHED)
    talk.say(type="Speak", text="Two three.")
    offset = {"type": "time_ms", "value": 500}
    assert talk.say(type="Interrupt", playback_offset=offset) == [events.Cancel("speech", 24_000)]
    heard = events.Heard(8, "Two", 24_000, "client")
    (told,) = talk.hear(events.Cancelled("speech", 1, heard, True))
    assert (told["audio_played_ms"], told["text_spoken"], told["text_remaining"]) == (
        500,
        "Two",
        " three.",
    )
    # Offsets go on from the beginning of the session, ours from that of the generation.
    talk.say(type="Speak", text="Next.")
    late = {"type": "time_ms", "value": 520}
    assert talk.say(type="Interrupt", playback_offset=late) == [events.Cancel("speech", 24_000)]
    earlier = {"type": "time_ms", "value": 100}
    (warning,) = talk.say(type="Interrupt", playback_offset=earlier)
    assert isinstance(warning, Reply)
    assert b"INVALID_INTERRUPT_OFFSET" in warning.message.encode()  # type: ignore[union-attr]


def test_pipecat_s_interrupt_without_an_offset_tells_no_text() -> None:
    talk = opened(V2)
    talk.say(type="Speak", text="One two.")
    assert talk.say(type="Interrupt") == [events.Cancel("speech")]
    (told,) = talk.hear(cancelled("speech", is_open=True))
    assert "text_spoken" not in told


def test_what_can_t_be_done_is_answered_at_once() -> None:
    talk = opened(V2)
    (nothing,) = talk.say(type="Interrupt")
    (speed,) = talk.say(type="Configure", speed=1.2)
    assert isinstance(nothing, Reply)
    assert isinstance(speed, Reply)
    assert "NO_ACTIVE_SPEECH" in str(nothing.message)
    assert "ConfigureFailure" in str(speed.message)
    assert talk.hear(events.Warned("w", "m"))[0]["type"] == "Warning"
    fatal = events.Failed(LimitExceeded("idle"), fatal=True)
    assert [type(each) for each in talk.hear(fatal)] == [dict, Hangup]


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "media_type", "begin"),
    [
        ({}, "audio/mpeg", b"ab"),
        ({"encoding": "linear16"}, "audio/wav", b"RIFF"),
        ({"encoding": "linear16", "container": "none"}, "audio/l16", b"ab"),
        ({"encoding": "opus"}, "audio/ogg", b"OggS"),
    ],
)
def test_requests_choose_encoding_and_container(
    query: dict[str, str], media_type: str, begin: bytes
) -> None:
    order = deepgram.read_speech(shake(**query), b'{"text":"Hi."}', Settings())
    assert order.body.media_type == media_type
    said = [started("speech", "opus"), audio("speech", 0, b"ab", b"cd"), done("speech", 1500)]
    data = b"".join(data for each in said for data in order.body.send(each))
    assert data.startswith(begin)


def test_requests_without_text_are_refused() -> None:
    with pytest.raises(InvalidValue) as caught:
        deepgram.read_speech(shake(), b'{"text":"  "}', Settings())
    refusal = deepgram.refuse(caught.value)
    assert (refusal.status, refusal.headers["dg-error"]) == (400, "invalid_value")
