"""``voice.v1``, our native protocol: JSON text messages and binary audio (docs/protocol.md).

Pure translation between messages and the session's events.  Unknown fields are
ignored, so that newer clients work with older gateways; a wrong type or range names its field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, TypeAdapter

from gateway import __version__
from gateway.errors import (
    GatewayError,
    LimitExceeded,
    ProtocolViolation,
)
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.audio_header import GENERATION_MODULUS, AudioHeader, pack_message
from gateway.wire.base import (
    Acknowledge,
    Authorize,
    FromClient,
    Handshake,
    Hangup,
    Resume,
    ToClient,
)
from gateway.wire.reading import Message, validate

SUBPROTOCOL = "voice.v1"
key_may_follow = False
DEFAULT_CONTEXT = "default"

_SAMPLES_MAX = 2**40
_MESSAGES_MAX = 2**53
_SECRET_CHARS_MAX = 128


def choose_subprotocol(handshake: Handshake) -> str | None:
    """``voice.v1`` if it was offered; a client that offers nothing at all is let in too."""
    return SUBPROTOCOL if SUBPROTOCOL in handshake.subprotocols else None


def adapt(handshake: Handshake, settings: Settings, _: Authorize) -> VoiceV1:
    """The adapter of a client; raises ProtocolViolation if it speaks only other subprotocols."""
    offered = handshake.subprotocols
    if offered and SUBPROTOCOL not in offered:
        raise ProtocolViolation(
            f"none of the subprotocols {', '.join(offered)} is spoken here; offer {SUBPROTOCOL}",
            field="Sec-WebSocket-Protocol",
            limit=SUBPROTOCOL,
        )
    return VoiceV1(settings)


def refuse(error: GatewayError, _: Handshake, settings: Settings) -> Iterable[ToClient]:
    """A fatal ``error``, then the close."""
    yield encode(events.Failed(error, fatal=True), settings)
    yield Hangup(error.close_code, error.code)


class VoiceV1:
    """Translates one message to one event and back; it remembers nothing."""

    __slots__ = ("_settings",)
    idle_timeout_s = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open(self) -> Iterable[FromClient]:
        """A client begins by itself."""
        return ()

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """As ``decode``; a report may acknowledge as well."""
        kind, fields = _read(message, self._settings)
        received = fields.pop("received", None) if kind == "report" else None
        event = _EVENTS[kind](**fields)
        return (event,) if received is None else (Acknowledge(received), event)

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """As ``encode``."""
        return (encode(event, self._settings),)

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """The session's close codes are this protocol's."""
        return code, reason


class _InContext(Message):
    context: str = Field(DEFAULT_CONTEXT, min_length=1)


class _Start(_InContext):
    type: Literal["start"]
    voice: str | None = Field(None, min_length=1, max_length=256)
    language: str | None = Field(None, min_length=1, max_length=64)
    speed: float = Field(1.0, ge=0.5, le=2.0, allow_inf_nan=False)
    codec: Literal["opus", "pcm", "pcmu", "pcma"] | None = None
    sample_rate: Literal[8000, 12000, 16000, 24000, 48000] | None = None
    bitrate: int | None = Field(None, ge=6000, le=256_000)
    frame_duration_ms: Literal[20, 40, 60] | None = None
    paced: bool = True


class _Text(_InContext):
    type: Literal["text"]
    text: str


class _Flush(_InContext):
    type: Literal["flush"]


class _End(_InContext):
    type: Literal["end"]


class _Cancel(Message):
    type: Literal["cancel"]
    context: str | None = Field(None, min_length=1)
    played_samples: int | None = Field(None, ge=0, le=_SAMPLES_MAX)
    fade_ms: int = Field(0, ge=0, le=20)


class _Report(_InContext):
    type: Literal["report"]
    played_samples: int = Field(ge=0, le=_SAMPLES_MAX)
    generation: int | None = Field(None, ge=0)
    depth_samples: int | None = Field(None, ge=0, le=_SAMPLES_MAX)
    underruns: int | None = Field(None, ge=0)
    sequence_number: int | None = Field(None, ge=0)
    jitter_samples: int | None = Field(None, ge=0, le=_SAMPLES_MAX)
    output_latency_samples: int | None = Field(None, ge=0, le=_SAMPLES_MAX)
    context_number: int | None = Field(None, ge=0, le=0xFFFF)
    received: int | None = Field(None, ge=0, le=_MESSAGES_MAX)


class _Ack(Message):
    type: Literal["ack"]
    received: int = Field(ge=0, le=_MESSAGES_MAX)


class _Resume(Message):
    type: Literal["resume"]
    secret: str = Field(min_length=1, max_length=_SECRET_CHARS_MAX)
    received: int = Field(ge=0, le=_MESSAGES_MAX)


class _Close(Message):
    type: Literal["close"]


_AnyMessage = Annotated[
    _Start | _Text | _Flush | _End | _Cancel | _Report | _Ack | _Resume | _Close,
    Field(discriminator="type"),
]
_MESSAGES: TypeAdapter[Any] = TypeAdapter(_AnyMessage)

_EVENTS: Mapping[str, Callable[..., events.ClientEvent | Acknowledge | Resume]] = {
    "start": events.Start,
    "text": events.Text,
    "flush": events.Flush,
    "end": events.End,
    "cancel": events.Cancel,
    "report": events.Report,
    "ack": Acknowledge,
    "resume": Resume,
    "close": events.Close,
}


def decode(message: str | bytes, settings: Settings) -> events.ClientEvent | Acknowledge | Resume:
    """Read one client message; what a report acknowledges is left to ``VoiceV1.receive``.

    Raises ProtocolViolation if it is no JSON object of a known type, InvalidValue if a field is of
    the wrong type or out of range, LimitExceeded if a name is too long.
    """
    kind, fields = _read(message, settings)
    if kind == "report":
        del fields["received"]
    return _EVENTS[kind](**fields)


def _read(message: str | bytes, settings: Settings) -> tuple[str, dict[str, Any]]:
    """The type of a message and its fields."""
    if isinstance(message, bytes):
        raise ProtocolViolation("binary messages are not taken from clients; send JSON text")
    parsed = validate(_MESSAGES, message, _EVENTS)
    fields = dict(parsed)
    kind = fields.pop("type")
    context = fields.get("context")
    limit = settings.limits.context_id_chars_max
    if context is not None and len(context) > limit:
        raise LimitExceeded(
            f"context: an id of {len(context)} characters; the limit is {limit}",
            field="context",
            limit=limit,
        )
    if kind == "start" and not fields.pop("paced"):
        fields["lead_s"] = math.inf
    return kind, fields


def encode(event: events.ServerEvent, settings: Settings) -> str | bytes:
    """One message for the client: bytes for audio, else JSON text."""
    if isinstance(event, events.Audio):
        return encode_audio(event)
    return orjson.dumps(_ENCODERS[type(event)](event, settings)).decode()


def encode_audio(event: events.Audio) -> bytes:
    """The binary message of some frames."""
    header = AudioHeader(
        context_number=event.context_number,
        generation=event.generation % GENERATION_MODULUS,
        frame_duration_samples=event.frame_duration_samples,
        sequence_number=event.sequence_number,
        timestamp=event.timestamp_samples,
        marker=event.marker,
        last=event.last,
    )
    return pack_message(header, event.payloads)


def _ready(event: events.Ready, settings: Settings) -> dict[str, object]:
    limits = settings.limits
    return {
        "type": "ready",
        "protocol": SUBPROTOCOL,
        "session": event.session,
        "server": f"voice-gateway/{__version__}",
        "default_voice": event.default_voice,
        "prebuffer_samples": round(settings.pacing.prebuffer_s * 48_000),
        "limits": {
            "contexts_max": limits.contexts_max,
            "message_bytes_max": limits.message_bytes_max,
            "messages_per_s_max": limits.messages_per_s_max,
            "pending_text_chars_max": limits.pending_text_chars_max,
            "idle_timeout_s": limits.idle_timeout_s,
        },
        "resume": None
        if event.resume is None
        else {"secret": event.resume.secret, "window_s": event.resume.window_s},
    }


def _resumed(event: events.Resumed, _: Settings) -> dict[str, object]:
    return {
        "type": "resumed",
        "session": event.session,
        "received": event.received,
        "window_s": event.window_s,
        "contexts": [
            {
                "context": each.context,
                "context_number": each.context_number,
                "generation": each.generation,
                "text_received": each.text_received,
                "sequence_number": each.sequence_number,
                "open": each.open,
            }
            for each in event.contexts
        ],
    }


def _acknowledged(event: events.Acknowledged, _: Settings) -> dict[str, object]:
    return {"type": "ack", "received": event.received}


def _started(event: events.Started, _: Settings) -> dict[str, object]:
    return {
        "type": "started",
        "context": event.context,
        "context_number": event.context_number,
        "generation": event.generation,
        "voice": event.voice,
        "language": event.language,
        "speed": event.speed,
        "codec": event.codec.name,
        "sample_rate": event.codec.sample_rate,
        "channels": 1,
        "frame_duration_ms": event.codec.frame_duration_ms,
        "bitrate": event.codec.bitrate if event.codec.name == "opus" else None,
        "preskip_samples": event.preskip_samples,
    }


def _words(words: tuple[events.Word, ...]) -> list[dict[str, object]]:
    return [
        {
            "text": word.text,
            "start": word.start,
            "end": word.end,
            "timestamp": word.timestamp_samples,
            "duration": word.duration_samples,
        }
        for word in words
    ]


def _chunk(event: events.ChunkStarted, _: Settings) -> dict[str, object]:
    return {
        "type": "chunk",
        "context": event.context,
        "generation": event.generation,
        "chunk": event.chunk,
        "text": event.text,
        "start": event.start,
        "end": event.end,
        "timestamp": event.timestamp_samples,
        "words": _words(event.words),
    }


def _words_timed(event: events.WordsTimed, _: Settings) -> dict[str, object]:
    return {
        "type": "words",
        "context": event.context,
        "generation": event.generation,
        "chunk": event.chunk,
        "words": _words(event.words),
    }


def _done(event: events.Done, _: Settings) -> dict[str, object]:
    return {
        "type": "done",
        "context": event.context,
        "generation": event.generation,
        "duration_samples": event.duration_samples,
        "frames": event.frames,
        "text_offset": event.text_offset,
    }


def _flushed(event: events.Flushed, _: Settings) -> dict[str, object]:
    return {"type": "flushed", "context": event.context, "generation": event.generation}


def _cancelled(event: events.Cancelled, _: Settings) -> dict[str, object]:
    heard = event.heard
    return {
        "type": "cancelled",
        "context": event.context,
        "generation": event.generation,
        "heard": {
            "text_offset": heard.text_offset,
            "word": heard.word,
            "played_samples": heard.played_samples,
            "source": heard.source,
        },
        "open": event.open,
    }


def _with_details(
    message: dict[str, object],
    context: str | None,
    field: str | None,
    limit: float | str | None,
) -> dict[str, object]:
    details = {"context": context, "field": field, "limit": limit}
    message.update((name, value) for name, value in details.items() if value is not None)
    return message


def _warned(event: events.Warned, _: Settings) -> dict[str, object]:
    message: dict[str, object] = {
        "type": "warning",
        "code": event.code,
        "message": event.message,
    }
    return _with_details(message, event.context, event.field, event.limit)


def _failed(event: events.Failed, _: Settings) -> dict[str, object]:
    error = event.error
    message: dict[str, object] = {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "fatal": event.fatal,
    }
    if error.retry_after_s is not None:
        message["retry_after_s"] = error.retry_after_s
    return _with_details(message, event.context, error.field, error.limit)


_ENCODERS: Mapping[type, Callable[[Any, Settings], dict[str, object]]] = {
    events.Ready: _ready,
    events.Resumed: _resumed,
    events.Acknowledged: _acknowledged,
    events.Started: _started,
    events.ChunkStarted: _chunk,
    events.WordsTimed: _words_timed,
    events.Flushed: _flushed,
    events.Done: _done,
    events.Cancelled: _cancelled,
    events.Warned: _warned,
    events.Failed: _failed,
}
