from __future__ import annotations

import base64
import math
from typing import Any

import orjson
import pytest

from gateway.errors import InvalidValue, LimitExceeded, Overloaded, SynthesisError, Unauthorized
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import elevenlabs_http
from gateway.wire.base import Handshake, Hangup
from gateway.wire.elevenlabs import ElevenLabsDialect, ManyStreams, SingleStream
from tests.wire.scripts import (
    LOCKED,
    Talk,
    audio,
    cancelled,
    chunk,
    done,
    failed,
    handshake_of,
    let_in,
    refusals,
    settings_of,
)

SINGLE, MANY = ElevenLabsDialect(SingleStream), ElevenLabsDialect(ManyStreams)


def shake(headers: Any = (), **query: str) -> Handshake:
    query = {"output_format": "pcm_24000", **query}
    return handshake_of(parameters={"voice_id": "v"}, query=query, headers=dict(headers))


def single(settings: Settings | None = None, **query: str) -> Talk:
    return Talk(let_in(SINGLE, shake(**query), settings or Settings()))


def many(settings: Settings | None = None, **query: str) -> Talk:
    return Talk(let_in(MANY, shake(**query), settings or Settings()))


def kinds(made: list[Any]) -> list[str]:
    return [type(each).__name__ for each in made]


# ── one stream ─────────────────────────────────────────────────────────────────────────────────


def test_the_sdk_s_conversation_is_spoken_and_the_socket_closes_after_it() -> None:
    talk = single()
    opened = talk.say(
        text=" ",
        try_trigger_generation=True,
        voice_settings=None,
        generation_config={"chunk_length_schedule": [50]},
    )
    assert kinds(opened) == ["Start"]
    assert (opened[0].voice, opened[0].codec, opened[0].lead_s) == ("v", "pcm", math.inf)
    assert talk.say(text="Hello there. ") == [events.Text("stream", "Hello there. ")]
    assert talk.say(text=" ") == [events.Text("stream", " ")]
    assert talk.say(text="") == [events.End("stream")]
    assert talk.say(text="too late") == []
    talk.hear(chunk("stream", "Hello there.", 0, 0.5))
    first, last, final, hangup = talk.hear(audio("stream", 0, b"ab", b"cd"), done("stream"))
    assert base64.b64decode(first["audio"]) == b"abcd"
    assert "".join(first["alignment"]["chars"] + last["alignment"]["chars"]) == "Hello there. "
    assert first["normalizedAlignment"] == first["alignment"]
    assert final == {"isFinal": True, "audio": None}
    assert hangup == Hangup(1000)


def test_a_lone_space_is_no_speech_and_a_flush_is_one() -> None:
    talk = single()
    talk.say(text=" ")
    assert talk.say(text=" ") == []
    said = talk.say(text="Hi", flush=True)
    assert said == [events.Text("stream", "Hi"), events.Flush("stream")]


def test_an_error_is_told_before_the_socket_closes() -> None:
    talk = single()
    problem, hangup = talk.hear(failed(InvalidValue("voice: none", field="voice"), "stream"))
    assert problem == {"message": "voice: none", "error": "invalid_value", "code": 1008}
    assert hangup == Hangup(1008, "voice: none")


def test_the_nearest_speed_and_the_language_are_taken() -> None:
    start = single(language_code="de").say(text=" ", voice_settings={"speed": 9})[0]
    assert (start.speed, start.language) == (2.0, "de")


@pytest.mark.parametrize(
    "query",
    [{"output_format": "mp3"}, {"inactivity_timeout": "181"}, {"inactivity_timeout": "soon"}],
)
def test_what_is_wrong_with_the_query_is_named(query: dict[str, str]) -> None:
    with pytest.raises(InvalidValue) as caught:
        single(**query)
    assert caught.value.field == next(iter(query))


def test_silence_is_bounded_as_the_client_asks() -> None:
    assert single().adapter.idle_timeout_s == 20
    assert many(inactivity_timeout="180").adapter.idle_timeout_s == 180


@pytest.mark.parametrize("spelling", ["xi-api-key", "xi_api_key", "authorization"])
@pytest.mark.parametrize("dialect", [SINGLE, MANY])
def test_the_key_may_come_with_the_first_message(spelling: str, dialect: Any) -> None:
    right = let_in(dialect, shake())
    assert kinds(list(right.receive(f'{{"text":"a","{spelling}":"right"}}')))[0] == "Start"
    for key in (f'"{spelling}":"wrong"', '"seed":1'):
        wrong = let_in(dialect, shake())
        with pytest.raises(Unauthorized):
            list(wrong.receive(f'{{"text":"a",{key}}}'))


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"xi-api-key": "right"}, {}),
        ({"authorization": "Bearer right"}, {}),
        ({}, {"authorization": "right"}),
        ({}, {"authorization": "Bearer right"}),
        ({}, {"xi-api-key": "right"}),
    ],
)
def test_the_key_may_come_with_the_handshake(headers: Any, query: dict[str, str]) -> None:
    talk = Talk(let_in(SINGLE, shake(headers, **query)))
    assert kinds(talk.say(text=" ")) == ["Start"]


def test_a_wrong_key_ends_the_socket_even_of_many_streams() -> None:
    talk = Talk(let_in(MANY, shake()))
    problem, hangup = talk.hear(failed(Unauthorized("the API key is wrong", field="api_key")))
    assert (problem["error"], hangup.code) == ("unauthorized", 1008)
    assert refusals(MANY.refuse(Unauthorized("no"), shake(), LOCKED))[1].code == 1008


# ── many ───────────────────────────────────────────────────────────────────────────────────────


def test_livekit_s_conversation() -> None:
    talk = many(auto_mode="true", sync_alignment="true")
    assert kinds(talk.say(text=" ", context_id="c")) == ["Start"]
    sentence = talk.say(text="One two. ", context_id="c", flush=True)
    assert sentence == [events.Text("c", "One two. "), events.Flush("c")]
    assert talk.say(text="", context_id="c", flush=True) == [events.Flush("c")]
    assert talk.say(context_id="c", close_context=True) == [events.End("c")]
    talk.hear(chunk("c", "One two.", 1, 0.5, start=0))
    message, final = talk.hear(audio("c", 100, b"a"), done("c"))
    assert message["alignment"]["charStartTimesMs"][0] == 1000  # absolute
    assert final == {"isFinal": True, "contextId": "c", "context_id": "c"}


def test_pipecat_s_conversation() -> None:
    talk = many(auto_mode="true")
    talk.say(text=" ", context_id="c")
    # Sentences come without a space between them and without a flush.
    assert talk.say(text="One.", context_id="c") == [events.Text("c", "One. "), events.Flush("c")]
    assert talk.say(text="Two.", context_id="c") == [events.Text("c", "Two. "), events.Flush("c")]
    assert talk.say(text="") == []
    assert talk.say(text="", context_id="c") == []
    assert talk.say(context_id="c", flush=True) == [events.Flush("c")]
    assert talk.say(context_id="c", close_context=True) == [events.End("c")]
    clock = 0.0
    for number, text in enumerate(("One.", "Two.")):
        talk.hear(chunk("c", text, number * 0.5, 0.5))
        (message,) = talk.hear(audio("c", number * 25, *[b"x"] * 25))
        told = message["alignment"]
        assert clock + told["charStartTimesMs"][0] == number * 500
        clock += told["charStartTimesMs"][-1] + told["charDurationsMs"][-1]
    assert clock == 1000


def test_pipecat_s_interruption_of_unfinished_text_silences_it() -> None:
    talk = many(auto_mode="true")
    talk.say(text=" ", context_id="c")
    talk.say(text="One.", context_id="c")
    close = talk.say(context_id="c", close_context=True)
    assert close == [events.Cancel("c"), events.End("c")]
    assert talk.hear(cancelled("c", is_open=True)) == []
    (final,) = talk.hear(done("c", 0, 0))
    assert final["isFinal"]


def test_a_second_close_silences_what_was_to_drain() -> None:
    talk = many()
    talk.say(text="One. ", context_id="c", flush=True)
    assert talk.say(context_id="c", close_context=True) == [events.End("c")]
    assert talk.say(context_id="c", close_context=True) == [events.Cancel("c")]
    (final,) = talk.hear(cancelled("c", is_open=False))
    assert final["contextId"] == "c"
    assert talk.hear(audio("c", 1, b"late")) == []
    assert talk.say(context_id="c", close_context=True) == []


def test_words_of_a_sentence_may_come_one_by_one() -> None:
    talk = many(auto_mode="false")
    talk.say(text=" ", context_id="c")
    assert talk.say(text="One ", context_id="c") == [events.Text("c", "One ")]
    assert talk.say(text="two. ", context_id="c", flush=True)[1] == events.Flush("c")


def test_nothing_but_text_opens_a_context() -> None:
    talk = many()
    for fields in ({"flush": True}, {"close_context": True}, {"text": ""}, {}):
        assert talk.say(context_id="new", **fields) == []
    assert talk.say(text="Hi")[0].context == "default"
    assert talk.say(text="Hi", contextId="other")[0].context == "other"


def test_a_refused_context_does_not_disturb_the_others() -> None:
    talk = Talk(let_in(MANY, shake(), Settings()), answers=False)
    made = []
    for each in talk.adapter.receive('{"text":"Hi","context_id":"c"}'):
        made.append(each)
        problem = talk.hear(failed(InvalidValue("voice: none", field="voice"), "c"))
    assert kinds(made) == ["Start"]
    assert problem == [
        {"error": "voice: none", "code": "invalid_value", "contextId": "c", "context_id": "c"}
    ]
    assert kinds(talk.say(text="Hi", context_id="c"))[0] == "Start"  # may try again


def test_a_failure_keeps_an_open_context_and_a_wrong_field_names_its_context() -> None:
    talk = many()
    talk.say(text="Hi", context_id="c")
    assert talk.hear(failed(SynthesisError("no sound"), "c"))[0]["contextId"] == "c"
    assert talk.say(text="more", context_id="c") == [events.Text("c", "more")]
    with pytest.raises(InvalidValue):
        talk.say(text=7, context_id="c")
    assert talk.hear(failed(InvalidValue("text: 7", field="text")))[0]["contextId"] == "c"
    with pytest.raises(LimitExceeded):
        talk.say(text="x", context_id="c" * 300)


def test_close_socket_closes_once_all_is_sent() -> None:
    talk = many()
    talk.say(text="Hi. ", context_id="c", flush=True)
    assert talk.say(close_socket=True) == [events.Close()]
    assert talk.say(close_socket=True) == []
    assert talk.hear(done("c"))[-1] == Hangup(1000)
    assert many().say(close_socket=True) == [events.Close(), Hangup(1000)]


@pytest.mark.parametrize(
    ("setting", "sync", "first"), [("chunk", "true", 500), ("context", "false", 1000)]
)
def test_a_setting_decides_the_zero_of_all_times(setting: str, sync: str, first: int) -> None:
    settings = settings_of(wires={"elevenlabs_alignment": setting})
    talk = many(settings, sync_alignment=sync)
    talk.say(text="One two", context_id="c")
    talk.hear(chunk("c", "One.", 0, 0.5), audio("c", 0, *[b"x"] * 25))
    talk.hear(chunk("c", "Two.", 1, 0.5))
    (message,) = talk.hear(audio("c", 50, b"x"))
    assert message["alignment"]["charStartTimesMs"][0] == first


def test_opus_is_a_valid_ogg_stream() -> None:
    talk = many(output_format="opus_48000_32")
    talk.say(text="Hi", context_id="c")
    first, *_ = talk.hear(audio("c", 0, b"\xf8\xff\xfe", b"\xf8\xff\xfe"))
    assert base64.b64decode(first["audio"])[:4] == b"OggS"


def test_close_codes_are_those_that_clients_know() -> None:
    adapter = many().adapter
    assert adapter.end(1000, "bye") == (1000, "bye")
    assert adapter.end(4408, "slow") == (1008, "slow")


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────


def test_timed_lines_join_to_one_alignment() -> None:
    order = elevenlabs_http.read_timed_stream(shake(), b'{"text":"Hi you."}', Settings())
    assert (order.text, order.start.codec, order.start.voice) == ("Hi you.", "pcm", "v")
    whole = elevenlabs_http.read_timed(shake(), b'{"text":"Hi you."}', Settings())
    said = [chunk("c", "Hi you.", 0, 0.5), audio("c", 0, b"ab"), done("c")]
    lines = b"".join(data for each in said for data in order.body.send(each)).splitlines()
    body = b"".join(data for each in said for data in whole.body.send(each))
    told = [orjson.loads(line) for line in lines]
    assert orjson.loads(body)["alignment"]["characters"] == [
        each for line in told if line["alignment"] for each in line["alignment"]["characters"]
    ]
    assert b"".join(base64.b64decode(line["audio_base64"]) for line in told) == b"ab"


@pytest.mark.parametrize("body", [b'{"text":"  "}', b'{"text":7}', b"{}", b'{"text":""}'])
def test_requests_without_text_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidValue) as caught:
        elevenlabs_http.read_speech(shake(), body, Settings())
    refusal = elevenlabs_http.refuse(caught.value)
    assert refusal.status == 422
    assert b'"loc":["body","text"]' in refusal.body


def test_errors_that_pass_tell_when_to_try_again() -> None:
    refusal = elevenlabs_http.refuse(Overloaded("full", retry_after_s=1.2))
    assert (refusal.status, refusal.headers) == (503, {"retry-after": "2"})
    assert b'"message":"full"' in elevenlabs_http.refuse_voices(Overloaded("full")).body
