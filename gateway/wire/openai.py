"""OpenAI's speech endpoint, as self-hosters and their clients know it.

    POST /v1/audio/speech   {"model", "input", "voice", "response_format", "speed", "stream_format"}
    GET  /v1/models         GET /v1/audio/voices

Audio is sent as it is made, in chunks.  ``pcm`` is 24 kHz, 16 bit, mono, without a header.  What
has no meaning here is ignored: ``model``, ``instructions``.  A ``speed`` beyond our range becomes
the nearest one within.  ``usage`` counts characters of the input, and frames of 20 ms of audio.

The fact sheet with versions: shared/protocols/openai.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import orjson
from pydantic import Field

from gateway.errors import GatewayError, InvalidValue
from gateway.session.events import CodecName, Done, Start
from gateway.settings import Settings
from gateway.wire.base import (
    Body,
    Handshake,
    ListingRoute,
    Order,
    Refusal,
    SpeechRoute,
    Voices,
    WireRoute,
)
from gateway.wire.bodies import Container, FileBody, MessagesBody, OggOpus, Raw, wav
from gateway.wire.reading import Message, read

SPEED_MIN, SPEED_MAX = 0.5, 2.0
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names that clients send; all of them speak with the voices that there are."""

_RATE = 24_000
_CONTEXT = "speech"


class _VoiceObject(Message):
    id: str = Field(min_length=1, max_length=256)


class _Speech(Message):
    input: str = Field(min_length=1)
    voice: str | _VoiceObject
    model: str = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False)
    stream_format: Literal["audio", "sse"] = "audio"


@dataclass(frozen=True, slots=True)
class _Format:
    media_type: str
    codec: CodecName
    container: Callable[[], Container]
    bitrate: int | None = None


_FORMATS = {
    "mp3": _Format("audio/mpeg", "mp3", Raw, 64_000),
    "aac": _Format("audio/aac", "aac", Raw, 64_000),
    "flac": _Format("audio/flac", "flac", Raw),
    "wav": _Format("audio/wav", "pcm", lambda: wav("pcm", _RATE)),
    "pcm": _Format("audio/pcm", "pcm", Raw),
    "opus": _Format("audio/ogg", "opus", OggOpus),
}


def read_speech(_: Handshake, body: bytes, __: Settings) -> Order:
    """The order in a request's body; raises ClientError."""
    request = read(_Speech, body)
    if not request.input.strip():
        raise InvalidValue("input: there is nothing to speak", field="input")
    form = _FORMATS[request.response_format]
    start = Start(
        _CONTEXT,
        voice=request.voice if isinstance(request.voice, str) else request.voice.id,
        speed=min(max(request.speed, SPEED_MIN), SPEED_MAX),
        codec=form.codec,
        sample_rate=_RATE,
        bitrate=form.bitrate,
        frame_duration_ms=20,
        lead_s=math.inf,
    )
    return Order(start, request.input, _body(request, form))


def _body(request: _Speech, form: _Format) -> Body:
    if request.stream_format == "audio":
        return FileBody(form.media_type, form.container())
    characters = len(request.input)

    def done(event: Done) -> bytes:
        usage = {
            "input_tokens": characters,
            "output_tokens": event.frames,
            "total_tokens": characters + event.frames,
        }
        return _sse({"type": "speech.audio.done", "usage": usage})

    return MessagesBody(
        "text/event-stream",
        form.container(),
        lambda data: _sse({"type": "speech.audio.delta", "audio": data}),
        done,
    )


def _sse(message: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps(message) + b"\n\n"


def list_models(_: Handshake, __: Voices) -> object:
    """The models that clients know, and what their requests get here."""
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "voice-gateway"}
            for name in MODELS
        ],
    }


def list_voices(_: Handshake, voices: Voices) -> object:
    """Our voices by their own ids."""
    return {
        "voices": [
            {"id": voice.id, "name": voice.name, "language": voice.language}
            for voice in voices.listed
        ]
    }


def refuse(error: GatewayError) -> Refusal:
    """OpenAI's shape of an error."""
    client = error.http_status < 500
    status = 400 if error.http_status == 422 else error.http_status
    problem = {
        "message": error.message,
        "type": "invalid_request_error" if client else "server_error",
        "param": error.field,
        "code": error.code,
    }
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return Refusal(status, orjson.dumps({"error": problem}), headers=headers)


ROUTES: tuple[WireRoute, ...] = (
    SpeechRoute("/v1/audio/speech", read_speech, refuse),
    ListingRoute("/v1/audio/voices", list_voices, refuse),
    ListingRoute("/v1/models", list_models, refuse),
)
