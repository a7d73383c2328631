"""Cartesia's speech: contexts on a WebSocket, bytes and events over HTTP.

    WS   /tts/websocket   {"context_id", "transcript", "continue", "voice", "output_format", …}
    POST /tts/bytes       one file (raw, wav, mp3)
    POST /tts/sse         chunks and word times as server-sent events
    GET  /voices

A context begins with its first message and ends with one that does not ``continue``.  Transcripts
of a context are joined as they are, unless ``max_buffer_delay_ms`` is 0: then each is a phrase of
its own.  A greater delay is how long an unfinished clause may wait.  ``cancel`` is not answered.
Times of words are seconds in the context.  ``speed`` beyond our range becomes the nearest within.
Ignored: models, emotions, volume, pronunciation dictionaries, phoneme times.

The fact sheet with versions: shared/protocols/cartesia.md.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import orjson
from pydantic import Field

from gateway.errors import GatewayError, InvalidValue, LimitExceeded, ProtocolViolation
from gateway.media import MEDIA_RATE
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.base import (
    Authorize,
    Body,
    FromClient,
    Handshake,
    Hangup,
    ListingRoute,
    Order,
    Refusal,
    SocketRoute,
    SpeechRoute,
    ToClient,
    VoiceFacts,
    Voices,
    WireRoute,
)
from gateway.wire.bodies import Container, FileBody, Raw, wav
from gateway.wire.reading import Message, field_of, read

SPEED_MIN, SPEED_MAX = 0.5, 2.0
CLOSE_NORMAL = 1000

_CODECS: Mapping[str, events.CodecName] = {
    "pcm_s16le": "pcm",
    "pcm_f32le": "pcm_f32",
    "pcm_mulaw": "pcmu",
    "pcm_alaw": "pcma",
}
_NAMED_SPEEDS = {"slow": 0.8, "normal": 1.0, "fast": 1.25}
_IDLE_TIMEOUT_S = 300.0
_PARTIAL, _OK = 206, 200


class _Voice(Message):
    mode: Literal["id", "embedding"] = "id"
    id: str = Field("", max_length=256)


class _OutputFormat(Message):
    container: Literal["raw", "wav", "mp3"] = "raw"
    encoding: Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"] | None = None
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] = 44_100
    bit_rate: int | None = Field(None, ge=32_000, le=192_000)


class _Generation(Message):
    speed: float | None = Field(None, ge=0.1, le=10, allow_inf_nan=False)


class _Request(Message):
    transcript: str | None = None
    voice: _Voice | None = None
    output_format: _OutputFormat = _OutputFormat()
    language: str | None = None
    generation_config: _Generation | None = None
    speed: Literal["slow", "normal", "fast"] | float | None = None
    add_timestamps: bool = False


class _SocketMessage(_Request):
    context_id: str | None = Field(None, min_length=1)
    continue_: bool = Field(False, alias="continue")
    flush: bool = False
    cancel: bool = False
    max_buffer_delay_ms: int | None = Field(None, ge=0, le=5000)


def _start(context: str, request: _Request, lead_s: float, delay_ms: int | None) -> events.Start:
    if request.voice is not None and request.voice.mode != "id":
        raise InvalidValue("voice.mode: only 'id' is spoken here", field="voice.mode", limit="id")
    form = request.output_format
    mp3 = form.container == "mp3"
    return events.Start(
        context,
        voice=request.voice.id or None if request.voice is not None else None,
        language=request.language or None,
        speed=_speed(request),
        codec="mp3" if mp3 else _CODECS[form.encoding or "pcm_f32le"],
        sample_rate=form.sample_rate,
        bitrate=form.bit_rate or 128_000 if mp3 else None,
        frame_duration_ms=20,
        lead_s=lead_s,
        stall_timeout_s=delay_ms / 1000 if delay_ms else None,
    )


def _speed(request: _Request) -> float:
    wanted: float | None = None
    if request.generation_config is not None:
        wanted = request.generation_config.speed
    if wanted is None and isinstance(request.speed, str):
        wanted = _NAMED_SPEEDS[request.speed]
    elif wanted is None and isinstance(request.speed, float):
        wanted = 1.0 + request.speed / 2  # an older scale: -1 is slowest, 1 fastest
    return min(max(wanted or 1.0, SPEED_MIN), SPEED_MAX)


# ── the WebSocket ──────────────────────────────────────────────────────────────────────────────


class _Context:
    """``phrases``: each transcript stands by itself; ``flushes``: those the client asked for."""

    def __init__(self, *, timestamps: bool, phrases: bool) -> None:
        self.timestamps = timestamps
        self.phrases = phrases
        self.started = False
        self.spoke = False
        self.flushes: deque[bool] = deque()
        self.flush_id = 0
        self.ended = False


class CartesiaAdapter:
    """One client's contexts."""

    idle_timeout_s = _IDLE_TIMEOUT_S

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: dict[str, _Context] = {}
        self._reading: str | None = None
        """The context of the message that is being read: an error is about that."""

    def open(self) -> Iterable[FromClient]:
        """A client begins by itself."""
        return ()

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """A transcript, a flush or a cancel."""
        self._reading = field_of(message, "context_id")
        yield from self._receive(read(_SocketMessage, message))
        self._reading = None

    def _receive(self, given: _SocketMessage) -> Iterable[FromClient]:
        name = given.context_id
        if name is None:
            raise ProtocolViolation(
                "context_id: every message names its context", field="context_id"
            )
        limit = self._settings.limits.context_id_chars_max
        if len(name) > limit:
            raise LimitExceeded(
                f"context_id: {len(name)} characters; the limit is {limit}",
                field="context_id",
                limit=limit,
            )
        context = self._contexts.get(name)
        if given.cancel:
            if context is not None:
                yield from self._cancel(name, context)
            return
        if context is None:
            if given.transcript is None and not given.flush:
                raise ProtocolViolation("transcript: there is nothing to speak", field="transcript")
            delay = given.max_buffer_delay_ms
            start = _start(name, given, self._settings.wires.lead_s or math.inf, delay)
            context = _Context(timestamps=given.add_timestamps, phrases=delay == 0)
            self._contexts[name] = context
            yield start
        elif context.ended:
            raise ProtocolViolation(
                f"context_id: {name!r} was ended and is still being spoken; choose another",
                field="context_id",
            )
        if name in self._contexts:  # else it was refused
            yield from self._speak(name, context, given)

    def _speak(self, name: str, context: _Context, given: _SocketMessage) -> Iterable[FromClient]:
        text = given.transcript or ""
        if text.strip() or (text and context.spoke):
            context.spoke = True
            yield events.Text(name, text)
        if given.flush or (context.phrases and text.strip()):
            context.flushes.append(given.flush)
            yield events.Flush(name)
        if not given.continue_:
            context.ended = True
            yield events.End(name)

    def _cancel(self, name: str, context: _Context) -> Iterable[FromClient]:
        del self._contexts[name]  # first: nothing is said of it from now on, not even its end
        yield events.Cancel(name)
        if not context.ended:
            yield events.End(name)

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """Messages that tell of ``event``."""
        match event:
            case events.Started():
                self._contexts[event.context].started = True
            case events.Audio() if event.context in self._contexts:
                data = base64.b64encode(b"".join(event.payloads)).decode()
                yield _json("chunk", event.context, _PARTIAL, data=data, step_time=0)
            case events.ChunkStarted() | events.WordsTimed():
                context = self._contexts.get(event.context)
                if event.words and context is not None and context.timestamps:
                    words = _words(event.words)
                    yield _json("timestamps", event.context, _PARTIAL, word_timestamps=words)
            case events.Flushed() if event.context in self._contexts:
                yield from self._send_flushed(event.context)
            case events.Done():
                if self._contexts.pop(event.context, None) is not None:
                    yield _json("done", event.context, _OK, done=True)
            case events.Failed():
                yield from self._send_failed(event)

    def _send_flushed(self, name: str) -> Iterable[ToClient]:
        context = self._contexts[name]
        if context.flushes.popleft():  # else it was ours, between two phrases
            context.flush_id += 1
            yield _json("flush_done", name, _PARTIAL, flush_done=True, flush_id=context.flush_id)

    def _send_failed(self, event: events.Failed) -> Iterable[ToClient]:
        name = event.context or self._reading or ""
        yield orjson.dumps(_problem(event.error, name)).decode()
        context = self._contexts.get(name)
        if event.context is not None and context is not None and not context.started:
            del self._contexts[name]
        if event.fatal:
            yield Hangup(CLOSE_NORMAL, event.error.code)

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """Pipecat connects again after a clean close only."""
        return (CLOSE_NORMAL if code in (1001, 1012) else code), reason


def _json(kind: str, context: str, status: int, *, done: bool = False, **more: object) -> str:
    message = {"type": kind, "context_id": context, "status_code": status, "done": done, **more}
    return orjson.dumps(message).decode()


def _words(words: Iterable[events.Word]) -> dict[str, Any]:
    told = list(words)
    return {
        "words": [word.text for word in told],
        "start": [round(word.timestamp_samples / MEDIA_RATE, 4) for word in told],
        "end": [
            round((word.timestamp_samples + word.duration_samples) / MEDIA_RATE, 4) for word in told
        ],
    }


def _problem(error: GatewayError, context: str) -> dict[str, Any]:
    """``done`` is false: one of the clients takes true for the normal end."""
    return {
        "type": "error",
        "context_id": context,
        "done": False,
        "status_code": 400 if error.http_status == 422 else error.http_status,
        "title": error.code.replace("_", " "),
        "message": error.message,
        "error": error.message,
        "error_code": error.code,
        "param": error.field,
    }


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────

_MEDIA_TYPES = {"raw": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg"}


def _read(body: bytes) -> tuple[_Request, str]:
    request = read(_Request, body)
    text = request.transcript or ""
    if not text.strip():
        raise InvalidValue("transcript: there is nothing to speak", field="transcript")
    return request, text


def read_bytes(_: Handshake, body: bytes, __: Settings) -> Order:
    """An order that is answered with a file; raises ClientError."""
    request, text = _read(body)
    start = _start("speech", request, math.inf, None)
    form = request.output_format
    container: Container = Raw()
    if form.container == "wav":
        container = wav(start.codec or "pcm", form.sample_rate)
    return Order(start, text, FileBody(_MEDIA_TYPES[form.container], container))


def read_sse(handshake: Handshake, body: bytes, __: Settings) -> Order:
    """An order that is answered with events; raises ClientError."""
    request, text = _read(body)
    start = _start("speech", request, math.inf, None)
    answer: Body = _Events(timestamps=request.add_timestamps)
    return Order(start, text, answer)


class _Events:
    """The socket's messages as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps

    def send(self, event: events.ServerEvent) -> Iterable[bytes]:
        """Events that tell of ``event``."""
        match event:
            case events.Audio():
                data = base64.b64encode(b"".join(event.payloads)).decode()
                yield _sse("chunk", _json("chunk", "", _PARTIAL, data=data, step_time=0))
            case events.ChunkStarted() | events.WordsTimed() if event.words and self._timestamps:
                words = _words(event.words)
                yield _sse("timestamps", _json("timestamps", "", _PARTIAL, word_timestamps=words))
            case events.Done():
                yield _sse("done", _json("done", "", _OK, done=True))


def _sse(kind: str, data: str) -> bytes:
    return f"event: {kind}\ndata: {data}\n\n".encode()


def refuse(error: GatewayError) -> Refusal:
    """Cartesia's shape of an error."""
    problem = _problem(error, "")
    return Refusal(problem["status_code"], orjson.dumps(problem))


_GENDERS = {"female": "feminine", "male": "masculine"}
_PAGE_MAX = 100


def _voice(voice: VoiceFacts) -> dict[str, object]:
    return {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description,
        "language": voice.language.split("-")[0],
        "gender": _GENDERS.get(voice.gender),
        "is_owner": False,
        "is_public": True,
        "created_at": "1970-01-01T00:00:00Z",
    }


def list_voices(handshake: Handshake, voices: Voices) -> object:
    """A page of at most ``limit`` voices behind ``starting_after``, or before ``ending_before``.

    The SDK does not look at ``has_more``: it asks on behind the last voice until none is left.
    Raises InvalidValue for a ``limit`` out of range and a cursor that is no voice of ours.
    """
    query = handshake.query
    word, gender = query.get("q", "").lower(), query.get("gender")
    found = [
        voice
        for voice in voices.listed
        if word in f"{voice.id} {voice.name} {voice.language}".lower()
        and gender in (None, _GENDERS.get(voice.gender))
    ]
    size = _page_size(query.get("limit"))
    after, before = query.get("starting_after"), query.get("ending_before")
    if before:
        end = _place(found, "ending_before", before)
        begin = max(0, end - size)
        more = begin > 0
    else:
        begin = _place(found, "starting_after", after) + 1 if after else 0
        end = min(begin + size, len(found))
        more = end < len(found)
    page = [_voice(voice) for voice in found[begin:end]]
    return {"data": page, "has_more": more, "next_page": page[-1]["id"] if more else None}


def _page_size(given: str | None) -> int:
    if given is None:
        return _PAGE_MAX
    if not given.isdecimal() or not 1 <= int(given) <= _PAGE_MAX:
        raise InvalidValue(
            f"limit: {given!r} is no number from 1 to {_PAGE_MAX}", field="limit", limit=_PAGE_MAX
        )
    return int(given)


def _place(found: Sequence[VoiceFacts], field: str, voice: str) -> int:
    for place, each in enumerate(found):
        if each.id == voice:
            return place
    raise InvalidValue(f"{field}: there is no voice {voice!r} in this list", field=field)


class CartesiaDialect:
    """Lets clients in; the key comes with the handshake."""

    key_may_follow = False

    def choose_subprotocol(self, _: Handshake) -> str | None:
        """There is none."""
        return None

    def adapt(self, _: Handshake, settings: Settings, __: Authorize) -> CartesiaAdapter:
        """The adapter of a client."""
        return CartesiaAdapter(settings)

    def refuse(self, error: GatewayError, _: Handshake, __: Settings) -> Iterable[ToClient]:
        """An error message, then the close."""
        yield orjson.dumps(_problem(error, "")).decode()
        yield Hangup(error.close_code, error.code)


ROUTES: tuple[WireRoute, ...] = (
    SocketRoute("/tts/websocket", CartesiaDialect()),
    SpeechRoute("/tts/bytes", read_bytes, refuse),
    SpeechRoute("/tts/sse", read_sse, refuse),
    ListingRoute("/voices", list_voices, refuse),
    ListingRoute("/voices/", list_voices, refuse),
)
