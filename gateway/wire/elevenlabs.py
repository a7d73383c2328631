"""ElevenLabs' speech over WebSockets: one stream a socket, or many contexts.

    /v1/text-to-speech/{voice_id}/stream-input         "" ends the text, the socket closes after it
    /v1/text-to-speech/{voice_id}/multi-stream-input   "" does nothing; ``close_context`` ends one

Audio is base64 in JSON, with the characters that begin to sound in it.  Their times are relative to
the end of the alignment before (clients that add up spans), or, with ``sync_alignment=true``,
absolute in the context (clients that don't); ``wires.elevenlabs_alignment`` decides for all.

A closed context drains if all its text was flushed; text that was not flushed is dropped with what
is sounding, as a client that closes in the middle of its text has been interrupted.  A second close
silences it in any case.  Ignored: models, seeds, stability and the like, pronunciation
dictionaries, and ``chunk_length_schedule``: chunks are cut at clauses, earlier than any schedule.

The fact sheet with versions: shared/protocols/elevenlabs.md.
"""

from __future__ import annotations

import base64
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import AliasChoices, Field

from gateway.errors import GatewayError, InvalidValue, LimitExceeded, Unauthorized
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.alignment import Aligner, Alignment
from gateway.wire.base import Authorize, FromClient, Handshake, Hangup, ToClient
from gateway.wire.bodies import Container
from gateway.wire.formats import Format, elevenlabs_formats, find_format
from gateway.wire.reading import Message, field_of, read

FORMATS = elevenlabs_formats()
SPEED_MIN, SPEED_MAX = 0.5, 2.0
CLOSE_NORMAL, CLOSE_POLICY = 1000, 1008

_INACTIVITY_S, _INACTIVITY_MAX_S = 20.0, 180.0
_REASON_BYTES_MAX = 123
_ONLY = "stream"
_DEFAULT_CONTEXT = "default"


class VoiceSettings(Message):
    """What of ``voice_settings`` has a meaning here."""

    speed: float | None = Field(None, ge=0.1, le=10, allow_inf_nan=False)


class _Input(Message):
    text: str | None = None
    voice_settings: VoiceSettings | None = None
    flush: bool | None = None
    context_id: str | None = Field(None, validation_alias=AliasChoices("context_id", "contextId"))
    close_context: bool | None = None
    close_socket: bool | None = None
    key: str | None = Field(
        None, validation_alias=AliasChoices("xi_api_key", "xi-api-key", "authorization")
    )


def speed_of(settings: VoiceSettings | None) -> float:
    """The nearest speed that we have."""
    wanted = settings.speed if settings is not None and settings.speed is not None else 1.0
    return min(max(wanted, SPEED_MIN), SPEED_MAX)


def is_true(text: str) -> bool:
    """A boolean of a query."""
    return text.lower() in ("true", "1", "yes")


class _Stream:
    """One context's answer: its container and its alignment."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.aligner = Aligner()
        self.started = False
        self.unflushed = False
        """Whether the client has not asked for the end of its text to be spoken yet."""
        self.closed = False
        self.interrupted = False


class _Adapter(ABC):
    """What the two sockets share."""

    def __init__(self, handshake: Handshake, settings: Settings, authorize: Authorize) -> None:
        query = handshake.query
        self._settings = settings
        self._authorize: Authorize | None = None if handshake.keys else authorize
        self._voice = handshake.parameters["voice_id"]
        self._language = query.get("language_code") or None
        self._auto = is_true(query.get("auto_mode", ""))
        self._format: Format = find_format(
            "output_format", query.get("output_format", "mp3_44100_128"), FORMATS
        )
        wanted = settings.wires.elevenlabs_alignment
        self._relative = (
            not is_true(query.get("sync_alignment", "")) if wanted == "auto" else wanted == "chunk"
        )
        self.idle_timeout_s = _inactivity_timeout(query.get("inactivity_timeout"))
        self._streams: dict[str, _Stream] = {}

    def open(self) -> Iterable[FromClient]:
        """A client begins by itself."""
        return ()

    def _read(self, message: str | bytes) -> _Input:
        given = read(_Input, message)
        if self._authorize is not None:
            self._authorize([] if given.key is None else [given.key.removeprefix("Bearer ")])
            self._authorize = None
        return given

    def _start(self, context: str, given: _Input) -> Iterable[FromClient]:
        self._streams[context] = _Stream(self._format.container())
        yield events.Start(
            context,
            voice=self._voice,
            language=self._language,
            speed=speed_of(given.voice_settings),
            codec=self._format.codec,
            sample_rate=self._format.sample_rate,
            bitrate=self._format.bitrate,
            frame_duration_ms=20,
            lead_s=self._settings.wires.lead_s or math.inf,
        )

    def _speak(self, context: str, given: _Input) -> Iterable[FromClient]:
        stream = self._streams[context]
        if given.text and given.text.strip():
            # Messages are joined here, and clients leave out the space between two sentences.
            spaced = given.text if given.text[-1].isspace() or not self._auto else given.text + " "
            stream.unflushed = True
            yield events.Text(context, spaced)
        elif given.text and stream.unflushed:
            yield events.Text(context, given.text)
        if given.flush:
            stream.unflushed = False
        if given.flush or (self._auto and given.text and given.text.strip()):
            yield events.Flush(context)

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """Messages that tell of ``event``."""
        match event:
            case events.Started():
                stream = self._streams[event.context]
                stream.started = True
                stream.container.begin(event)
            case events.ChunkStarted() | events.WordsTimed():
                if event.context in self._streams:
                    self._streams[event.context].aligner.receive(event)
            case events.Audio():
                yield from self._send_audio(event)
            case events.Done():
                yield from self._send_done(event)
            case events.Cancelled():
                yield from self._send_cancelled(event)
            case events.Failed():
                yield from self._send_failed(event)

    def _send_audio(self, event: events.Audio) -> Iterable[ToClient]:
        stream = self._streams.get(event.context)
        if stream is None:
            return
        duration = len(event.payloads) * event.frame_duration_samples
        told = stream.aligner.take(event.timestamp_samples + duration)
        data = stream.container.write(event)
        if data or told is not None:
            yield self._audio_message(event.context, data, told)

    def _audio_message(self, context: str, data: bytes, told: Alignment | None) -> str:
        alignment = None if told is None else characters_of(told, relative=self._relative)
        return orjson.dumps(
            {
                "audio": base64.b64encode(data).decode(),
                "alignment": alignment,
                "normalizedAlignment": alignment,
                "isFinal": None,
                **self._names(context),
            }
        ).decode()

    def _last_audio(self, event: events.Done) -> Iterable[str]:
        stream = self._streams.get(event.context)
        if stream is None or stream.interrupted:
            return
        told = stream.aligner.finish()
        data = stream.container.finish(event)
        if data or told is not None:
            yield self._audio_message(event.context, data, told)

    def _names(self, context: str) -> Mapping[str, str]:
        return {}

    @abstractmethod
    def _send_done(self, event: events.Done) -> Iterable[ToClient]: ...

    def _send_cancelled(self, event: events.Cancelled) -> Iterable[ToClient]:
        return ()

    @abstractmethod
    def _send_failed(self, event: events.Failed) -> Iterable[ToClient]: ...

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """Close codes of this protocol: 1000 for all that is no mistake."""
        return (code if code < 4000 else CLOSE_POLICY), reason


class SingleStream(_Adapter):
    """``stream-input``."""

    _ended = False

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """The first message opens the stream, an empty text ends it; " " alone keeps it alive."""
        given = self._read(message)
        if _ONLY not in self._streams:
            yield from self._start(_ONLY, given)  # if it is refused the socket closes
        if self._ended or given.text is None:
            return
        if given.text == "":
            self._ended = True
            yield events.End(_ONLY)
            return
        yield from self._speak(_ONLY, given)

    def _send_done(self, event: events.Done) -> Iterable[ToClient]:
        yield from self._last_audio(event)
        yield orjson.dumps({"isFinal": True, "audio": None}).decode()
        yield Hangup(CLOSE_NORMAL)

    def _send_failed(self, event: events.Failed) -> Iterable[ToClient]:
        return refuse(event.error)


class ManyStreams(_Adapter):
    """``multi-stream-input``."""

    _closing = False
    _reading: str | None = None
    """The context of the message that is being read: an error is about that."""

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """An unknown context begins with its first text; nothing else makes one."""
        self._reading = field_of(message, "context_id", "contextId")
        given = self._read(message)
        if given.close_socket:
            yield from self._close_socket()
        else:
            yield from self._receive(given)
        self._reading = None

    def _close_socket(self) -> Iterable[FromClient]:
        if not self._closing:
            self._closing = True
            yield events.Close()
        if not self._streams:
            yield Hangup(CLOSE_NORMAL)

    def _receive(self, given: _Input) -> Iterable[FromClient]:
        context = given.context_id or _DEFAULT_CONTEXT
        limit = self._settings.limits.context_id_chars_max
        if len(context) > limit:
            raise LimitExceeded(
                f"context_id: {len(context)} characters; the limit is {limit}",
                field="context_id",
                limit=limit,
            )
        stream = self._streams.get(context)
        if given.close_context:
            if stream is not None:
                yield from self._close(context, stream)
            return
        if stream is not None and stream.closed:
            return
        if stream is None:
            if not given.text:
                return
            yield from self._start(context, given)
        if context in self._streams:  # else it was refused
            yield from self._speak(context, given)

    def _close(self, context: str, stream: _Stream) -> Iterable[FromClient]:
        interrupted = stream.unflushed or stream.closed
        if interrupted:
            yield events.Cancel(context)
        if not stream.closed:
            stream.closed = True
            yield events.End(context)

    def _names(self, context: str) -> Mapping[str, str]:
        return {"contextId": context, "context_id": context}

    def _send_done(self, event: events.Done) -> Iterable[ToClient]:
        yield from self._last_audio(event)
        yield from self._final(event.context)

    def _send_cancelled(self, event: events.Cancelled) -> Iterable[ToClient]:
        """A context that was ended before is gone by this; one that was open is ended next."""
        if not event.open:
            return self._final(event.context)
        self._streams[event.context].interrupted = True
        return ()

    def _final(self, context: str) -> Iterable[ToClient]:
        if self._streams.pop(context, None) is not None:
            yield orjson.dumps({"isFinal": True, **self._names(context)}).decode()
        if self._closing and not self._streams:
            yield Hangup(CLOSE_NORMAL)

    def _send_failed(self, event: events.Failed) -> Iterable[ToClient]:
        if event.fatal or isinstance(event.error, Unauthorized):
            yield from refuse(event.error)
            return
        problem: dict[str, Any] = {"error": event.error.message, "code": event.error.code}
        context = event.context or self._reading
        if context is not None:
            problem |= self._names(context)
            stream = self._streams.get(context)
            if event.context is not None and stream is not None and not stream.started:
                del self._streams[context]
        yield orjson.dumps(problem).decode()


def characters_of(told: Alignment, *, relative: bool) -> dict[str, Any]:
    """An alignment in milliseconds."""
    starts, durations = told.milliseconds(relative=relative)
    return {
        "chars": list(told.characters),
        "charStartTimesMs": starts,
        "charDurationsMs": durations,
    }


def refuse(error: GatewayError) -> Iterable[ToClient]:
    """An error that ends the socket: the SDK raises what comes before the close."""
    problem = {"message": error.message, "error": error.code, "code": CLOSE_POLICY}
    yield orjson.dumps(problem).decode()
    yield Hangup(CLOSE_POLICY, close_reason(error.message))


def close_reason(text: str) -> str:
    """``text`` as far as a close frame has room for it (RFC 6455, section 5.5)."""
    return text.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")


def _inactivity_timeout(given: str | None) -> float:
    if given is None:
        return _INACTIVITY_S
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _INACTIVITY_MAX_S:
        raise InvalidValue(
            f"inactivity_timeout: {given!r} is no number of seconds up to {_INACTIVITY_MAX_S:g}",
            field="inactivity_timeout",
            limit=_INACTIVITY_MAX_S,
        )
    return seconds


class ElevenLabsDialect:
    """Lets clients of one of the two sockets in."""

    key_may_follow = True

    def __init__(self, adapter: type[SingleStream | ManyStreams]) -> None:
        self._adapter = adapter

    def choose_subprotocol(self, _: Handshake) -> str | None:
        """None has one."""
        return None

    def adapt(
        self, handshake: Handshake, settings: Settings, authorize: Authorize
    ) -> SingleStream | ManyStreams:
        """The adapter of a client; raises InvalidValue for what is wrong with its query."""
        return self._adapter(handshake, settings, authorize)

    def refuse(self, error: GatewayError, _: Handshake, __: Settings) -> Iterable[ToClient]:
        """As ``refuse``."""
        return refuse(error)
