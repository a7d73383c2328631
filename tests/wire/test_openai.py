from __future__ import annotations

import base64

import orjson
import pytest

from gateway.errors import ClientError, GatewayError, InvalidValue, Overloaded, Unauthorized
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import openai
from gateway.wire.base import Order
from tests.wire.scripts import audio, done, handshake_of, started


def order_of(**fields: object) -> Order:
    request = {"model": "tts-1", "voice": "alloy", "input": "Hi.", **fields}
    return openai.read_speech(handshake_of(), orjson.dumps(request), Settings())


def answer(order: Order, codec: events.CodecName) -> bytes:
    said = [started("speech", codec), audio("speech", 0, b"ab", b"cd"), done("speech", 1500)]
    return b"".join(data for each in said for data in order.body.send(each))


@pytest.mark.parametrize(
    ("form", "media_type", "codec", "begin"),
    [
        ("mp3", "audio/mpeg", "mp3", b"abcd"),
        ("aac", "audio/aac", "aac", b"abcd"),
        ("flac", "audio/flac", "flac", b"abcd"),
        ("opus", "audio/ogg", "opus", b"OggS"),
        ("wav", "audio/wav", "pcm", b"RIFF"),
        ("pcm", "audio/pcm", "pcm", b"abcd"),
    ],
)
def test_every_format_has_its_type(
    form: str, media_type: str, codec: events.CodecName, begin: bytes
) -> None:
    order = order_of(response_format=form)
    assert (order.body.media_type, order.start.codec) == (media_type, codec)
    assert order.start.sample_rate == 24_000
    assert answer(order, codec).startswith(begin)


def test_livekit_s_server_sent_events() -> None:
    order = order_of(response_format="pcm", stream_format="sse")
    assert order.body.media_type == "text/event-stream"
    delta, end = [orjson.loads(line[6:]) for line in answer(order, "pcm").split(b"\n\n")[:-1]]
    assert delta["type"] == "speech.audio.delta"
    assert base64.b64decode(delta["audio"]) == b"abcd"
    assert end == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 3, "output_tokens": 50, "total_tokens": 53},
    }


def test_a_voice_may_be_an_object_and_a_speed_is_brought_into_our_range() -> None:
    order = order_of(voice={"id": "af_heart"}, speed=0.25, instructions="softly")
    assert (order.start.voice, order.start.speed) == ("af_heart", 0.5)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": " "}, "input"),
        ({"input": ""}, "input"),
        ({"input": 7}, "input"),
        ({"speed": 5}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "xml"}, "stream_format"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        order_of(**fields)
    assert caught.value.field == field


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ClientError):
        openai.read_speech(handshake_of(), b"{", Settings())


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidValue("voice: none", field="voice"), 400, "invalid_request_error"),
        (Unauthorized("no key"), 401, "invalid_request_error"),
        (Overloaded("full", retry_after_s=2), 503, "server_error"),
    ],
)
def test_errors_have_openai_s_form(error: GatewayError, status: int, kind: str) -> None:
    refusal = openai.refuse(error)
    problem = orjson.loads(refusal.body)["error"]
    assert (refusal.status, problem["type"], problem["message"]) == (status, kind, error.message)
    assert refusal.headers.get("retry-after") == (None if status < 500 else "2")
