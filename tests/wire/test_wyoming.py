from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import InvalidValue, LimitExceeded, ProtocolViolation
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import wyoming
from gateway.wire.base import Hangup, Reply, Voices
from tests.wire.scripts import audio, done, failed, started
from tests.wire.test_cartesia import Facts

VOICES = Voices((Facts("a"), Facts("b")), "b")


class Talk:
    """An adapter, events as (type, data, payload)."""

    def __init__(self) -> None:
        self.adapter = wyoming.WyomingAdapter(Settings(), lambda: VOICES)
        self.refusing = False

    def say(self, kind: str, **data: object) -> list[Any]:
        made = []
        message = orjson.dumps({"type": kind, "data": data})
        for each in self.adapter.receive(message):
            made.append(each)
            if isinstance(each, events.Start):
                refusal = failed(InvalidValue("voice: none"), each.context)
                self.hear(refusal if self.refusing else started(each.context))
        return made

    def hear(self, *said: events.ServerEvent) -> list[Any]:
        return [unpack(each) for event in said for each in self.adapter.send(event)]


def unpack(message: Any) -> Any:
    if isinstance(message, Hangup):
        return message
    line, _, rest = message.partition(b"\n")
    header = orjson.loads(line)
    size = header.get("data_length", 0)
    data = orjson.loads(rest[:size]) if size else {}
    assert len(rest) == size + header.get("payload_length", 0)
    return header["type"], data, rest[size:]


def kinds(said: list[Any]) -> list[str]:
    return [each[0] for each in said]


def test_describe_names_the_default_voice_first() -> None:
    (reply,) = Talk().say("describe")
    assert isinstance(reply, Reply)
    kind, info, _ = unpack(reply.message)
    assert kind == "info"
    assert [voice["name"] for voice in info["tts"][0]["voices"]] == ["b", "a"]
    assert info["tts"][0]["supports_synthesize_streaming"]


def test_ping_is_answered() -> None:
    (reply,) = Talk().say("ping", text="x")
    assert unpack(reply.message) == ("pong", {"text": "x"}, b"")


def test_a_text_at_once() -> None:
    talk = Talk()
    start, text, end = talk.say("synthesize", text="Hi.", voice={"name": "a"})
    assert (start.voice, text.text, type(end)) == ("a", "Hi.", events.End)
    said = talk.hear(audio(start.context, 0, b"ab"), audio(start.context, 1, b"cd"))
    said += talk.hear(done(start.context))
    assert kinds(said) == ["audio-start", "audio-chunk", "audio-chunk", "audio-stop"]
    assert said[2][1] == {"rate": 24_000, "width": 2, "channels": 1, "timestamp": 20}
    assert [each[2] for each in said] == [b"", b"ab", b"cd", b""]


def test_a_text_in_chunks_ignores_its_repetition() -> None:
    talk = Talk()
    (start,) = talk.say("synthesize-start", voice={"language": "de"})
    assert start.language == "de"
    assert talk.say("synthesize-chunk", text="Guten Ta")[0].text == "Guten Ta"
    assert talk.say("synthesize", text="Guten Tag.") == []
    assert talk.say("synthesize-stop") == [events.End(start.context)]
    assert talk.say("synthesize-chunk", text="late") == []
    said = talk.hear(done(start.context))
    assert kinds(said) == ["audio-start", "audio-stop", "synthesize-stopped"]


def test_audio_has_no_name_so_only_one_text_is_spoken_at_a_time() -> None:
    talk = Talk()
    (start, *_) = talk.say("synthesize", text="One.")
    for kind in ("synthesize", "synthesize-start"):
        with pytest.raises(ProtocolViolation, match="wait"):
            talk.say(kind, text="Two.")
    talk.hear(done(start.context))
    assert talk.say("synthesize", text="Two.")


def test_a_refused_text_is_an_error_and_the_next_one_may_come() -> None:
    talk = Talk()
    talk.refusing = True
    assert [type(each) for each in talk.say("synthesize", text="Hi.")] == [events.Start]
    talk.refusing = False
    assert len(talk.say("synthesize", text="Hi.")) == 3


def test_an_error_ends_nothing_unless_it_is_fatal() -> None:
    talk = Talk()
    (start,) = talk.say("synthesize-start")
    assert kinds(talk.hear(failed(InvalidValue("x"), start.context))) == ["error"]
    assert talk.say("synthesize-chunk", text="more")
    fatal = events.Failed(LimitExceeded("idle"), fatal=True)
    assert isinstance(talk.hear(fatal)[1], Hangup)
    assert talk.adapter.end(1000, "bye") == (1000, "bye")
    assert list(talk.adapter.open()) == []


def test_data_may_be_in_the_header_or_behind_it() -> None:
    line = b'{"type":"synthesize","data":{"text":"a"},"data_length":18,"payload_length":2}'
    header, lengths = wyoming.read_header(line, 100)
    assert lengths == wyoming.Lengths(18, 2)
    joined = orjson.loads(wyoming.join(header, b'{"voice":{"x":1}}'))
    assert joined == {"type": "synthesize", "data": {"text": "a", "voice": {"x": 1}}}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'{"type":7}',
        b'{"type":"x","data_length":-1}',
        b'{"type":"x","payload_length":"9"}',
    ],
)
def test_a_header_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wyoming.read_header(line, 100)


def test_an_event_that_is_too_long_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        wyoming.read_header(b'{"type":"x","data_length":60,"payload_length":60}', 100)


@pytest.mark.parametrize(("data", "more"), [([1], b""), ("x", b""), ({}, b"[]"), ({}, b"{")])
def test_data_that_is_no_object_is_refused(data: object, more: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wyoming.join({"type": "x", "data": data}, more)


def test_who_can_t_come_in_is_told_why() -> None:
    assert unpack(wyoming.refuse(InvalidValue("full")))[:2] == (
        "error",
        {"text": "full", "code": "invalid_value"},
    )
