import orjson
import pytest

from gateway.errors import (
    ClientError,
    EngineCrashed,
    InvalidValue,
    LimitExceeded,
    Overloaded,
    ProtocolViolation,
)
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.audio_header import unpack_message
from gateway.wire.voice_v1 import decode, encode

SETTINGS = Settings()


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ('{"type":"start"}', events.Start("default")),
        (
            '{"type":"start","context":"a","voice":"v","language":"de","speed":2,"codec":"pcm",'
            '"sample_rate":8000,"bitrate":6000,"frame_duration_ms":60,"from_the_future":1}',
            events.Start("a", "v", "de", 2.0, "pcm", 8000, 6000, 60),
        ),
        ('{"type":"text","text":"hi"}', events.Text("default", "hi")),
        ('{"type":"text","context":"é","text":""}', events.Text("é", "")),
        ('{"type":"flush"}', events.Flush("default")),
        ('{"type":"end"}', events.End("default")),
        ('{"type":"cancel"}', events.Cancel(None)),
        ('{"type":"cancel","context":"a","played_samples":7}', events.Cancel("a", 7)),
        ('{"type":"cancel","fade_ms":20}', events.Cancel(None, None, 20)),
        (
            '{"type":"report","played_samples":1,"output_latency_samples":9}',
            events.Report("default", 1, output_latency_samples=9),
        ),
        (
            '{"type":"report","played_samples":1,"context_number":65535}',
            events.Report("default", 1, context_number=65_535),
        ),
        (
            '{"type":"report","played_samples":1,"generation":2,"depth_samples":3,"underruns":4,'
            '"sequence_number":5,"jitter_samples":6}',
            events.Report("default", 1, 2, 3, 4, 5, 6),
        ),
        ('{"type":"close"}', events.Close()),
    ],
)
def test_every_message_is_read(message: str, event: events.ClientEvent) -> None:
    assert decode(message, SETTINGS) == event


@pytest.mark.parametrize(
    ("message", "error", "words", "field"),
    [
        ("", ProtocolViolation, "no valid JSON", None),
        ("{", ProtocolViolation, "no valid JSON", None),
        ("[]", ProtocolViolation, "no JSON object", None),
        ("17", ProtocolViolation, "no JSON object", None),
        ("{}", ProtocolViolation, "expected one of start, text", "type"),
        ('{"type":"dance"}', ProtocolViolation, "expected one of start, text", "type"),
        ('{"type":1}', ProtocolViolation, "expected one of start, text", "type"),
        ('{"type":"text"}', InvalidValue, "text: field required", "text"),
        ('{"type":"text","text":5}', InvalidValue, "valid string", "text"),
        ('{"type":"start","speed":9}', InvalidValue, "less than or equal to 2", "speed"),
        ('{"type":"start","speed":NaN}', InvalidValue, "speed", "speed"),
        ('{"type":"start","codec":"mp3"}', InvalidValue, "'opus'", "codec"),
        ('{"type":"start","sample_rate":"8000"}', InvalidValue, "8000", "sample_rate"),
        ('{"type":"start","context":""}', InvalidValue, "at least 1", "context"),
        ('{"type":"cancel","fade_ms":21}', InvalidValue, "less than or equal to 20", "fade_ms"),
        ('{"type":"report","played_samples":-1}', InvalidValue, "or equal to 0", "played_samples"),
        ('{"type":"report","played_samples":1.5}', InvalidValue, "integer", "played_samples"),
    ],
)
def test_a_mistake_is_named(
    message: str, error: type[ClientError], words: str, field: str | None
) -> None:
    with pytest.raises(error) as caught:
        decode(message, SETTINGS)
    assert words in caught.value.message
    assert caught.value.field == field


def test_a_limit_of_a_field_is_told() -> None:
    with pytest.raises(InvalidValue) as caught:
        decode('{"type":"start","speed":9}', SETTINGS)
    assert caught.value.limit == 2.0


def test_a_long_context_id_is_refused() -> None:
    with pytest.raises(LimitExceeded) as caught:
        decode('{"type":"flush","context":"%s"}' % ("x" * 65), SETTINGS)
    assert (caught.value.field, caught.value.limit) == ("context", 64)


def test_binary_messages_are_not_taken() -> None:
    with pytest.raises(ProtocolViolation, match="binary"):
        decode(b'{"type":"flush"}', SETTINGS)


@pytest.mark.parametrize(
    "message", ['{"type":"text","text":"\ud800"}', '{"type":"text","text":"\\ud800"}']
)
def test_an_unpaired_surrogate_is_refused(message: str) -> None:
    with pytest.raises(ProtocolViolation):
        decode(message, SETTINGS)


def test_audio_is_binary() -> None:
    audio = events.Audio("c", 3, 70_000, 12, 11_520, 960, True, False, (b"ab", b"cde"))
    message = encode(audio, SETTINGS)
    assert isinstance(message, bytes)
    header, payloads = unpack_message(message)
    assert payloads == [b"ab", b"cde"]
    assert (header.context_number, header.generation) == (3, 70_000 % 65_536)
    assert (header.sequence_number, header.timestamp) == (12, 11_520)
    assert (header.marker, header.last) == (True, False)


WORD = events.Word("Hi", 0, 2, 0, 4800)
CODEC = events.CodecOptions("opus", 24_000, 32_000, 20)


@pytest.mark.parametrize(
    ("event", "kind", "fields"),
    [
        (events.Ready("s", "v"), "ready", {"session": "s", "protocol": "voice.v1"}),
        (
            events.Started("c", 1, 0, "v", "en", 1.0, CODEC, 312),
            "started",
            {"context_number": 1, "codec": "opus", "bitrate": 32_000, "preskip_samples": 312},
        ),
        (
            events.ChunkStarted("c", 0, 2, "Hi", 0, 2, 96, (WORD,)),
            "chunk",
            {
                "timestamp": 96,
                "words": [{"text": "Hi", "start": 0, "end": 2, "timestamp": 0, "duration": 4800}],
            },
        ),
        (events.WordsTimed("c", 0, 2, ()), "words", {"chunk": 2, "words": []}),
        (events.Done("c", 0, 480, 1, 2), "done", {"duration_samples": 480, "text_offset": 2}),
        (
            events.Cancelled("c", 1, events.Heard(2, "Hi", 99, "client"), True),
            "cancelled",
            {
                "generation": 1,
                "open": True,
                "heard": {
                    "text_offset": 2,
                    "word": "Hi",
                    "played_samples": 99,
                    "source": "client",
                },
            },
        ),
        (events.Warned("w", "m", limit=5), "warning", {"code": "w", "message": "m", "limit": 5}),
        (
            events.Failed(EngineCrashed("gone"), "c"),
            "error",
            {"code": "engine_crashed", "message": "gone", "fatal": False, "context": "c"},
        ),
        (
            events.Failed(Overloaded("busy", retry_after_s=2.5), fatal=True),
            "error",
            {"code": "overloaded", "message": "busy", "fatal": True, "retry_after_s": 2.5},
        ),
    ],
)
def test_every_event_is_written(
    event: events.ServerEvent, kind: str, fields: dict[str, object]
) -> None:
    message = orjson.loads(encode(event, SETTINGS))
    assert message["type"] == kind
    assert fields.items() <= message.items()


def test_fields_without_a_value_are_left_out_of_errors() -> None:
    message = orjson.loads(encode(events.Failed(EngineCrashed("gone")), SETTINGS))
    assert message.keys() == {"type", "code", "message", "fatal"}
