from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.errors import (
    InvalidValue,
    LimitExceeded,
    Overloaded,
    ProtocolViolation,
    SynthesisError,
)
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import cartesia
from gateway.wire.base import Hangup, Voices
from tests.wire.scripts import (
    LOCKED,
    Talk,
    audio,
    chunk,
    done,
    failed,
    handshake_of,
    let_in,
    refusals,
)

VOICE = {"mode": "id", "id": "v"}
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
DIALECT = cartesia.CartesiaDialect()


def talk_of() -> Talk:
    return Talk(let_in(DIALECT, handshake_of(), Settings()))


def push(talk: Talk, text: str, context: str = "c", **more: Any) -> list[Any]:
    fields = {"voice": VOICE, "output_format": RAW, "continue": True, **more}
    return talk.say(context_id=context, transcript=text, **fields)


def test_a_context_is_spoken_with_its_word_times() -> None:
    talk = talk_of()
    start, text = push(talk, "Hello ", add_timestamps=True)
    assert (start.voice, start.codec, start.sample_rate) == ("v", "pcm", 24_000)
    assert start.lead_s == math.inf
    assert text == events.Text("c", "Hello ")
    assert push(talk, "there.") == [events.Text("c", "there.")]
    assert push(talk, "", **{"continue": False}) == [events.End("c")]
    told, sound, end = talk.hear(
        chunk("c", "Hello there.", 0, 0.5), audio("c", 0, b"ab", b"cd"), done("c")
    )
    assert told["word_timestamps"] == {
        "words": ["Hello", "there"],
        "start": [0.0, 0.5],
        "end": [0.5, 1.0],
    }
    assert (sound["type"], sound["status_code"], sound["done"]) == ("chunk", 206, False)
    assert base64.b64decode(sound["data"]) == b"abcd"
    assert (end["type"], end["done"]) == ("done", True)
    assert {each["context_id"] for each in (told, sound, end)} == {"c"}


def test_livekit_ends_with_a_space_and_pipecat_s_sentences_stand_alone() -> None:
    talk = talk_of()
    assert [type(each) for each in push(talk, "One.", max_buffer_delay_ms=0)] == [
        events.Start,
        events.Text,
        events.Flush,
    ]
    assert push(talk, "Two.", max_buffer_delay_ms=0)[1] == events.Flush("c")
    assert talk.hear(events.Flushed("c", 0)) == []  # the client did not ask for it
    assert push(talk, " ", **{"continue": False}) == [events.Text("c", " "), events.End("c")]


def test_a_delay_is_how_long_a_clause_may_wait() -> None:
    assert push(talk_of(), "x", max_buffer_delay_ms=500)[0].stall_timeout_s == 0.5
    assert push(talk_of(), "x")[0].stall_timeout_s is None


def test_flushes_are_counted_and_answered_in_order() -> None:
    talk = talk_of()
    push(talk, "One.", flush=True)
    push(talk, "", flush=True)
    first, second = talk.hear(events.Flushed("c", 0), events.Flushed("c", 0))
    assert (first["type"], first["flush_id"], second["flush_id"]) == ("flush_done", 1, 2)


def test_nothing_is_said_of_a_cancelled_context_and_its_name_is_free() -> None:
    talk = talk_of()
    push(talk, "One.")
    made = []
    for each in talk.adapter.receive('{"context_id":"c","cancel":true}'):
        made.append(each)
        assert talk.hear(audio("c", 0, b"late"), done("c")) == []
    assert made == [events.Cancel("c"), events.End("c")]
    assert talk.say(context_id="c", cancel=True) == []
    assert type(push(talk, "Again.")[0]) is events.Start


def test_an_ended_context_takes_no_more_text_while_it_is_spoken() -> None:
    talk = talk_of()
    push(talk, "One.", **{"continue": False})
    with pytest.raises(ProtocolViolation, match="choose another"):
        push(talk, "Two.")
    (problem,) = talk.hear(failed(ProtocolViolation("context_id: no", field="context_id")))
    assert (problem["context_id"], problem["done"], problem["status_code"]) == ("c", False, 400)
    assert talk.hear(done("c"))[0]["done"]


def test_a_refused_context_is_forgotten_and_a_failure_of_an_open_one_is_not() -> None:
    talk = Talk(talk_of().adapter, answers=False)
    made = []
    for each in talk.adapter.receive('{"context_id":"c","transcript":"Hi"}'):
        made.append(each)
        (problem,) = talk.hear(failed(InvalidValue("voice: none", field="voice"), "c"))
    assert [type(each) for each in made] == [events.Start]
    assert (problem["error_code"], problem["param"]) == ("invalid_value", "voice")
    again = talk_of()
    push(again, "One.")
    again.hear(failed(SynthesisError("no sound"), "c"))
    assert push(again, "Two.") == [events.Text("c", "Two.")]


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"transcript": "x"}, ProtocolViolation, "context_id"),
        ({"context_id": "c"}, ProtocolViolation, "transcript"),
        ({"context_id": "c" * 300, "transcript": "x"}, LimitExceeded, "context_id"),
        ({"context_id": 7, "transcript": "x"}, InvalidValue, "context_id"),
        ({"context_id": "c", "transcript": 7}, InvalidValue, "transcript"),
        (
            {"context_id": "c", "transcript": "x", "output_format": {"sample_rate": 7}},
            InvalidValue,
            "output_format.sample_rate",
        ),
        (
            {"context_id": "c", "transcript": "x", "voice": {"mode": "embedding"}},
            InvalidValue,
            "voice.mode",
        ),
    ],
)
def test_what_is_wrong_is_named(fields: Any, error: type[Exception], field: str) -> None:
    with pytest.raises(error) as caught:
        talk_of().say(**fields)
    assert caught.value.field == field  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "speed"),
    [
        ({"generation_config": {"speed": 0.1}}, 0.5),
        ({"speed": "fast"}, 1.25),
        ({"speed": -0.5}, 0.75),
        ({}, 1.0),
    ],
)
def test_every_scale_of_speed_is_taken(fields: Any, speed: float) -> None:
    assert push(talk_of(), "x", **fields)[0].speed == speed


def test_the_sdk_s_format_is_float_unless_it_names_one() -> None:
    start = talk_of().say(context_id="c", transcript="x")[0]
    assert (start.codec, start.sample_rate) == ("pcm_f32", 44_100)
    mp3 = push(talk_of(), "x", output_format={"container": "mp3", "sample_rate": 44_100})[0]
    assert (mp3.codec, mp3.bitrate) == ("mp3", 128_000)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer right"}, {}),
        ({"x-api-key": "right"}, {}),
        ({}, {"api_key": "right"}),
    ],
)
def test_the_key_may_come_in_every_place(headers: Any, query: Any) -> None:
    assert let_in(DIALECT, handshake_of(headers=headers, query=query))
    assert DIALECT.choose_subprotocol(handshake_of()) is None


def test_who_may_not_come_in_is_told_why_and_a_gateway_that_goes_away_closes_cleanly() -> None:
    problem, hangup = refusals(DIALECT.refuse(Overloaded("full"), handshake_of(), LOCKED))
    assert (problem["error_code"], hangup) == ("overloaded", Hangup(1013, "overloaded"))
    adapter = talk_of().adapter
    assert adapter.end(1012, "restart") == (1000, "restart")
    assert adapter.end(1011, "") == (1011, "")
    fatal = events.Failed(LimitExceeded("idle", limit=300), fatal=True)
    assert talk_of().hear(fatal)[1] == Hangup(1000, "limit_exceeded")


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────


def test_files_and_events_answer_requests() -> None:
    body = b'{"transcript":"Hi.","output_format":{"container":"wav","sample_rate":8000,'
    order = cartesia.read_bytes(handshake_of(), body + b'"encoding":"pcm_mulaw"}}', Settings())
    assert (order.start.codec, order.body.media_type) == ("pcmu", "audio/wav")
    assert b"".join(order.body.send(audio("c", 0, b"ab")))[:4] == b"RIFF"
    request = b'{"transcript":"Hi.","add_timestamps":true}'
    order = cartesia.read_sse(handshake_of(), request, Settings())
    said = [chunk("c", "Hi.", 0, 0.5), audio("c", 0, b"ab"), done("c")]
    lines = b"".join(data for each in said for data in order.body.send(each)).split(b"\n\n")
    assert [line.split(b"\n")[0] for line in lines[:-1]] == [
        b"event: timestamps",
        b"event: chunk",
        b"event: done",
    ]
    with pytest.raises(InvalidValue):
        cartesia.read_bytes(handshake_of(), b'{"transcript":" "}', Settings())
    assert cartesia.refuse(InvalidValue("x", field="f")).status == 400


@dataclass(frozen=True)
class Facts:
    id: str
    gender: str = "female"
    name: str = "N"
    language: str = "en-us"
    engine: str = "e"
    description: str = ""


VOICES = Voices((*tuple(Facts(each) for each in "abcde"), Facts("m", "male")), "a")


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({}, "abcdem", False),
        ({"limit": "2"}, "ab", True),
        ({"limit": "2", "starting_after": "b"}, "cd", True),
        ({"starting_after": "m"}, "", False),
        ({"limit": "2", "ending_before": "d"}, "bc", True),
        ({"ending_before": "c"}, "ab", False),
        ({"gender": "masculine"}, "m", False),
        ({"q": "EN-US"}, "abcdem", False),
    ],
)
def test_voices_come_page_by_page(query: dict[str, str], ids: str, more: bool) -> None:
    page: Any = cartesia.list_voices(handshake_of(query=query), VOICES)
    assert ("".join(each["id"] for each in page["data"]), page["has_more"]) == (ids, more)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"starting_after": "nobody"}])
def test_a_page_that_does_not_exist_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        cartesia.list_voices(handshake_of(query=query), VOICES)
