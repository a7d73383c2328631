"""Deepgram's speech: v1 (Aura) and v2 (Flux) WebSockets, and requests.

    WS   /v1/speak   Speak, Flush, Clear, Close  ─►  binary audio, Metadata, Flushed, Cleared
    WS   /v2/speak   Speak, Flush, Interrupt, Configure, Close  ─►  … what was heard
    POST /v1/speak   {"text"}  ─►  a file

Audio carries no name of what it belongs to, so after ``Clear`` or ``Interrupt`` nothing of the old
turn follows.  A socket is one context; an interruption begins a new generation of it.

``/v1/speak`` is the path of our own protocol too: a client that shows a Deepgram token, or names a
``model`` or an ``encoding``, is served here.

The fact sheet with versions: shared/protocols/deepgram.md.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, TypeAdapter

from gateway.errors import GatewayError, InvalidValue
from gateway.media import MEDIA_RATE
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.base import (
    Authorize,
    FromClient,
    Handshake,
    Hangup,
    Order,
    Refusal,
    Reply,
    SocketRoute,
    SpeechRoute,
    ToClient,
    WireRoute,
)
from gateway.wire.bodies import Container, FileBody, OggOpus, Raw, wav
from gateway.wire.reading import Message, read, validate

SPEED_MIN, SPEED_MAX = 0.5, 2.0
CLOSE_NORMAL, CLOSE_DATA, CLOSE_NETWORK = 1000, 1008, 1011

_CONTEXT = "speech"
_RATES = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)
_ENCODINGS: Mapping[str, events.CodecName] = {
    "linear16": "pcm",
    "mulaw": "pcmu",
    "alaw": "pcma",
    "mp3": "mp3",
    "opus": "opus",
    "aac": "aac",
    "flac": "flac",
}
_SOCKET_ENCODINGS = ("linear16", "mulaw", "alaw")
_BITRATES = {"mp3": 48_000, "opus": 48_000, "aac": 48_000}


@dataclass(frozen=True, slots=True)
class _Query:
    model: str
    encoding: str
    sample_rate: int
    bitrate: int | None
    speed: float

    def start(self, lead_s: float) -> events.Start:
        """The context of a socket or request."""
        return events.Start(
            _CONTEXT,
            voice=self.model or None,
            speed=min(max(self.speed, SPEED_MIN), SPEED_MAX),
            codec=_ENCODINGS[self.encoding],
            sample_rate=self.sample_rate,
            bitrate=self.bitrate,
            frame_duration_ms=20,
            lead_s=lead_s,
        )


def _read_query(query: Mapping[str, str], encodings: Iterable[str], default: str) -> _Query:
    encoding = query.get("encoding", default)
    if encoding not in encodings:
        listed = ", ".join(encodings)
        raise InvalidValue(
            f"encoding is {encoding!r}; choose one of {listed}", field="encoding", limit=listed
        )
    fallback = {"mulaw": 8_000, "alaw": 8_000, "mp3": 22_050, "opus": 48_000}.get(encoding, 24_000)
    rate = int(_number(query, "sample_rate", fallback))
    if rate not in _RATES and rate != fallback:
        listed = ", ".join(map(str, _RATES))
        raise InvalidValue(
            f"sample_rate is {rate}; choose one of {listed}", field="sample_rate", limit=listed
        )
    bitrate = int(_number(query, "bit_rate", _BITRATES.get(encoding, 0)))
    return _Query(
        query.get("model", ""), encoding, rate, bitrate or None, _number(query, "speed", 1.0)
    )


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise InvalidValue(f"{name}: {text!r} is no positive number", field=name)
    return value


def _json(kind: str, **fields: object) -> str:
    return orjson.dumps({"type": kind, **fields}).decode()


def _milliseconds(samples: int) -> int:
    return round(samples * 1000 / MEDIA_RATE)


# ── v1 ─────────────────────────────────────────────────────────────────────────────────────────


class _Speak(Message):
    type: Literal["Speak"]
    text: str


class _Bare(Message):
    type: Literal["Flush", "Clear", "Close", "KeepAlive"]


_V1_KINDS = ("Speak", "Flush", "Clear", "Close", "KeepAlive")
_V1: TypeAdapter[Any] = TypeAdapter(Annotated[_Speak | _Bare, Field(discriminator="type")])


class _Adapter:
    """What both versions share: one context, and audio as it is."""

    idle_timeout_s = None

    def __init__(self, query: _Query, settings: Settings) -> None:
        self._query = query
        self._start = query.start(settings.wires.lead_s or math.inf)
        self._request = secrets.token_hex(16)
        self._begun = False

    def open(self) -> Iterable[FromClient]:
        """The context is there from the beginning: its voice may be unknown."""
        yield self._start

    def _hang_up_after(self, event: events.Failed) -> Iterable[ToClient]:
        """A socket whose voice does not exist is of no use."""
        if event.fatal or not self._begun:
            yield Hangup(CLOSE_DATA, event.error.code)

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """Close codes that Deepgram's clients know."""
        known = (CLOSE_NORMAL, CLOSE_DATA, 1009, CLOSE_NETWORK)
        if code in known:
            return code, reason
        return (CLOSE_NORMAL if code in (1001, 1012) else CLOSE_NETWORK), reason


class DeepgramV1(_Adapter):
    """A socket of ``/v1/speak``."""

    def __init__(self, query: _Query, settings: Settings) -> None:
        super().__init__(query, settings)
        self._sequence = 0

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """Speak, Flush, Clear, Close; a KeepAlive does nothing."""
        given = validate(_V1, message, _V1_KINDS)
        match given.type:
            case "Speak":
                yield events.Text(_CONTEXT, given.text)
            case "Flush":
                yield events.Flush(_CONTEXT)
            case "Clear":
                yield events.Cancel(_CONTEXT)
            case "Close":
                yield events.Close()

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """Messages that tell of ``event``."""
        match event:
            case events.Started():
                self._begun = True
                yield _json(
                    "Metadata",
                    request_id=self._request,
                    model_name=event.voice,
                    model_version="",
                    model_uuid=self._request,
                )
            case events.Audio():
                yield b"".join(event.payloads)
            case events.Flushed():
                yield _json("Flushed", sequence_id=self._sequence)
                self._sequence += 1
            case events.Cancelled():
                yield _json("Cleared", sequence_id=self._sequence)
                self._sequence += 1
            case events.Done():  # nothing but Close ends the context
                yield Hangup(CLOSE_NORMAL)
            case events.Warned():
                yield _warning(event)
            case events.Failed():
                yield _json("Error", **_v1_problem(event.error))
                yield from self._hang_up_after(event)


def _warning(event: events.Warned) -> str:
    return _json("Warning", code=event.code, description=event.message, warn_msg=event.message)


def _v1_problem(error: GatewayError) -> dict[str, object]:
    return {
        "err_code": error.code,
        "err_msg": error.message,
        "code": error.code,
        "description": error.message,
    }


# ── v2 ─────────────────────────────────────────────────────────────────────────────────────────


class _Offset(Message):
    type: Literal["time_ms"] = "time_ms"
    value: int = Field(ge=0)


class _Interrupt(Message):
    type: Literal["Interrupt"]
    playback_offset: _Offset | None = None


class _Configure(Message):
    type: Literal["Configure"]
    speed: float | None = None


class _Bare2(Message):
    type: Literal["Flush", "Close", "KeepAlive"]


_V2_KINDS = ("Speak", "Flush", "Interrupt", "Configure", "Close", "KeepAlive")
_V2: TypeAdapter[Any] = TypeAdapter(
    Annotated[_Speak | _Interrupt | _Configure | _Bare2, Field(discriminator="type")]
)


class DeepgramV2(_Adapter):
    """A socket of ``/v2/speak``: turns, and what of an interrupted one was heard.

    Offsets of the client count from the beginning of the session; ours from that of a generation.
    """

    def __init__(self, query: _Query, settings: Settings) -> None:
        super().__init__(query, settings)
        self._speech: str | None = None
        self._text = ""
        self._flushed_at: list[int] = []
        self._characters = 0
        self._all_characters = 0
        self._sent_samples = 0
        self._turn_samples = 0
        self._earlier_samples = 0
        self._offset_given = False
        self._offset_ms = 0

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """Speak, Flush, Interrupt, Configure, Close."""
        given = validate(_V2, message, _V2_KINDS)
        match given.type:
            case "Speak":
                self._text += given.text
                self._characters += len(given.text)
                yield events.Text(_CONTEXT, given.text)
            case "Flush":
                self._flushed_at.append(len(self._text))
                yield events.Flush(_CONTEXT)
            case "Interrupt":
                yield from self._interrupt(given.playback_offset)
            case "Configure":
                # The speed of a context is chosen when it begins.
                yield Reply(
                    _json(
                        "ConfigureFailure",
                        code="NOT_SUPPORTED",
                        field="speed",
                        value=given.speed,
                        description="choose the speed in the query, when you connect",
                    )
                )
            case "Close":
                yield events.Close()

    def _interrupt(self, offset: _Offset | None) -> Iterable[FromClient]:
        if self._speech is None and not self._text.strip():
            yield Reply(
                _json("Warning", code="NO_ACTIVE_SPEECH", description="nothing is being spoken")
            )
            return
        played: int | None = None
        self._offset_given = offset is not None
        if offset is not None:
            if offset.value < self._offset_ms:
                yield Reply(
                    _json(
                        "Warning",
                        code="INVALID_INTERRUPT_OFFSET",
                        description=f"playback_offset: {offset.value} is before the last one, "
                        f"{self._offset_ms}",
                    )
                )
                return
            self._offset_ms = offset.value
            played = max(0, offset.value * MEDIA_RATE // 1000 - self._earlier_samples)
        yield events.Cancel(_CONTEXT, played)

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """Messages that tell of ``event``."""
        match event:
            case events.Started():
                self._begun = True
                yield _json(
                    "Connected",
                    request_id=self._request,
                    model_name=event.voice,
                    model_version="",
                    model_uuids=[self._request],
                )
            case events.Audio():
                if self._speech is None:
                    self._speech = f"dg_sp_{secrets.token_hex(6)}"
                    yield _json("SpeechStarted", speech_id=self._speech)
                samples = len(event.payloads) * event.frame_duration_samples
                self._sent_samples += samples
                self._turn_samples += samples
                yield b"".join(event.payloads)
            case events.Flushed():
                yield from self._send_flushed()
            case events.Cancelled():
                yield from self._send_interrupted(event)
            case events.Done():
                yield self._session_metadata()
                yield Hangup(CLOSE_NORMAL)
            case events.Warned():
                yield _warning(event)
            case events.Failed():
                yield _json("Error", code=event.error.code, description=event.error.message)
                yield from self._hang_up_after(event)

    def _send_flushed(self) -> Iterable[ToClient]:
        speech = self._speech or f"dg_sp_{secrets.token_hex(6)}"
        yield _json("SpeechMetadata", speech_id=speech, **self._metadata())
        yield _json("Flushed", speech_id=speech)
        self._next_turn()

    def _metadata(self) -> dict[str, object]:
        return {
            "audio_duration_ms": _milliseconds(self._turn_samples),
            "input_character_count": self._characters,
            "billable_character_count": 0,
            "controls_applied": {
                "pronunciations_applied": 0,
                "breaks_applied": 0,
                "pronunciation_warnings": [],
            },
        }

    def _next_turn(self) -> None:
        self._all_characters += self._characters
        self._characters = 0
        self._turn_samples = 0
        self._speech = None

    def _send_interrupted(self, event: events.Cancelled) -> Iterable[ToClient]:
        heard = event.heard
        fields: dict[str, object] = {
            "audio_played_ms": _milliseconds(self._earlier_samples + heard.played_samples)
        }
        if self._offset_given:
            turns = [at for at in self._flushed_at if at < heard.text_offset]
            fields["text_spoken"] = self._text[max(turns, default=0) : heard.text_offset]
            fields["text_remaining"] = self._text[heard.text_offset :]
        yield _json("SpeechInterrupted", metadata=self._metadata(), **fields)
        self._text = ""
        self._flushed_at.clear()
        self._earlier_samples = self._sent_samples
        self._next_turn()

    def _session_metadata(self) -> str:
        characters = self._all_characters + self._characters
        return _json(
            "SessionMetadata",
            total_audio_duration_ms=_milliseconds(self._sent_samples),
            total_input_character_count=characters,
            total_billable_character_count=0,
        )


# ── who comes in ───────────────────────────────────────────────────────────────────────────────


class DeepgramDialect:
    """Lets clients of one version in; browsers show their key as a second subprotocol."""

    key_may_follow = False

    def __init__(self, adapter: type[DeepgramV1 | DeepgramV2]) -> None:
        self._adapter = adapter

    def choose_subprotocol(self, handshake: Handshake) -> str | None:
        """``token`` or ``bearer`` if the client puts its key behind it."""
        offered = handshake.subprotocols
        return offered[0] if offered and offered[0].lower() in ("token", "bearer") else None

    def adapt(
        self, handshake: Handshake, settings: Settings, _: Authorize
    ) -> DeepgramV1 | DeepgramV2:
        """The adapter of a client; raises InvalidValue for what is wrong with its query."""
        query = _read_query(handshake.query, _SOCKET_ENCODINGS, "linear16")
        return self._adapter(query, settings)

    def refuse(self, error: GatewayError, _: Handshake, __: Settings) -> Iterable[ToClient]:
        """An error message, then the close."""
        yield _json("Error", **_v1_problem(error))
        yield Hangup(CLOSE_DATA if error.http_status < 500 else CLOSE_NETWORK, error.code)


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────


class _Request(Message):
    text: str = Field(min_length=1)


_MEDIA_TYPES = {
    "linear16": "audio/l16",
    "mulaw": "audio/mulaw",
    "alaw": "audio/alaw",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
}


def read_speech(handshake: Handshake, body: bytes, _: Settings) -> Order:
    """An order that is answered with a file; raises ClientError."""
    request = read(_Request, body)
    if not request.text.strip():
        raise InvalidValue("text: there is nothing to speak", field="text")
    query = _read_query(handshake.query, tuple(_ENCODINGS), "mp3")
    media_type = _MEDIA_TYPES[query.encoding]
    container: Container = Raw()
    wanted = handshake.query.get("container", "wav" if query.encoding in _SOCKET_ENCODINGS else "")
    if query.encoding == "opus":
        container = OggOpus()
    elif query.encoding in _SOCKET_ENCODINGS and wanted != "none":
        container = wav(_ENCODINGS[query.encoding], query.sample_rate)
        media_type = "audio/wav"
    return Order(query.start(math.inf), request.text, FileBody(media_type, container))


def refuse(error: GatewayError) -> Refusal:
    """Deepgram's shape of an error."""
    status = 400 if error.http_status == 422 else error.http_status
    problem = {"err_code": error.code, "err_msg": error.message, "request_id": None}
    return Refusal(status, orjson.dumps(problem), headers={"dg-error": error.code})


def is_deepgrams(handshake: Handshake) -> bool:
    """Whether a client of ``/v1/speak`` is theirs; ours offer ``voice.v1``, or nothing at all."""
    if "voice.v1" in handshake.subprotocols:
        return False
    scheme = handshake.headers.get("authorization", "").partition(" ")[0].lower()
    offered = {each.lower() for each in handshake.subprotocols}
    shown = {"model", "encoding", "sample_rate", "container"} & handshake.query.keys()
    return scheme == "token" or bool(offered & {"token", "bearer"}) or bool(shown)


ROUTES: tuple[WireRoute, ...] = (
    SocketRoute("/v1/speak", DeepgramDialect(DeepgramV1), is_deepgrams),
    SocketRoute("/v2/speak", DeepgramDialect(DeepgramV2)),
    SpeechRoute("/v1/speak", read_speech, refuse),
)
