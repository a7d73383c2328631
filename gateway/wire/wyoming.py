"""Wyoming, the protocol of Home Assistant's voice services: events over TCP.

    {"type": …, "data_length": n, "payload_length": m}\\n   n bytes of JSON   m bytes of payload

    describe ─► info           synthesize ─► audio-start, audio-chunk …, audio-stop
    ping ─► pong               synthesize-start, synthesize-chunk …, synthesize-stop
                               ─► audio-start, audio-chunk …, audio-stop, synthesize-stopped

While a streamed synthesis is under way, ``synthesize`` repeats its whole text for old servers and
is ignored.  There is no cancel: a client that hangs up has cancelled.  There are no keys either, so
the listener is off unless the settings name a port for it.

The fact sheet with versions: shared/protocols/wyoming.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway import __version__
from gateway.errors import GatewayError, LimitExceeded, ProtocolViolation
from gateway.media import MEDIA_RATE
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.base import FromClient, Hangup, Reply, ToClient, Voices
from gateway.wire.reading import Message, read

SAMPLE_RATE = 24_000
WIDTH = 2
HEADER_BYTES_MAX = 65_536

_ATTRIBUTION = {"name": "voice-gateway", "url": ""}


# ── framing ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Lengths:
    """What follows a header line."""

    data: int
    payload: int


def read_header(line: bytes, limit: int) -> tuple[dict[str, Any], Lengths]:
    """The header and how many bytes belong to it.

    Raises ProtocolViolation for what is no header, LimitExceeded if more than ``limit`` follows.
    """
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolViolation("the event has no JSON header line with a type")
    data, payload = header.get("data_length") or 0, header.get("payload_length") or 0
    if not all(isinstance(length, int) and length >= 0 for length in (data, payload)):
        raise ProtocolViolation("data_length and payload_length are numbers of bytes")
    if data + payload > limit:
        raise LimitExceeded(
            f"an event of {data + payload} bytes; the limit is {limit}",
            field="message_bytes_max",
            limit=limit,
        )
    return header, Lengths(data, payload)


def join(header: Mapping[str, Any], data: bytes) -> bytes:
    """Header and data as one JSON message, as the adapter reads it."""
    inside = header.get("data") or {}
    if not isinstance(inside, dict):
        raise ProtocolViolation("the header's data is no JSON object")
    fields: dict[str, Any] = dict(inside)
    if data:
        try:
            more = orjson.loads(data)
        except orjson.JSONDecodeError:
            more = None
        if not isinstance(more, dict):
            raise ProtocolViolation("the event's data is no JSON object")
        fields |= more
    return orjson.dumps({"type": header["type"], "data": fields})


def pack(kind: str, data: Mapping[str, Any] | None = None, payload: bytes = b"") -> bytes:
    """One event as it travels."""
    body = orjson.dumps(data) if data else b""
    header: dict[str, Any] = {"type": kind, "version": __version__}
    if body:
        header["data_length"] = len(body)
    if payload:
        header["payload_length"] = len(payload)
    return orjson.dumps(header) + b"\n" + body + payload


# ── the adapter ────────────────────────────────────────────────────────────────────────────────


class _Voice(Message):
    name: str | None = None
    language: str | None = None


class _Data(Message):
    text: str | None = None
    voice: _Voice | None = None


class _Event(Message):
    type: str
    data: _Data = _Data()


class WyomingAdapter:
    """One client's synthesis, one after the other."""

    idle_timeout_s = None

    def __init__(self, settings: Settings, voices: Callable[[], Voices]) -> None:
        self._settings = settings
        self._voices = voices
        self._count = 0
        self._speaking: str | None = None
        """The context at work.  Audio names none, so there is only one at a time."""
        self._accepted = False
        self._streamed = False
        """Whether its text comes in chunks; its client then waits for ``synthesize-stopped``."""
        self._stopped = False
        self._sounding = False

    def open(self) -> Iterable[FromClient]:
        """A client begins by itself."""
        return ()

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """An event, as ``join`` made it; types that are not known are ignored."""
        event = read(_Event, message)
        data = event.data
        match event.type:
            case "describe":
                yield Reply(pack("info", describe(self._voices())))
            case "ping":
                yield Reply(pack("pong", {} if data.text is None else {"text": data.text}))
            case "synthesize" if not self._takes_chunks:
                if (name := (yield from self._begin(data, event.type))) is not None:
                    yield events.Text(name, data.text or "")
                    yield events.End(name)
            case "synthesize-start":
                yield from self._begin(data, event.type, streamed=True)
            case "synthesize-chunk" if self._takes_chunks and self._speaking is not None:
                yield events.Text(self._speaking, data.text or "")
            case "synthesize-stop" if self._takes_chunks and self._speaking is not None:
                self._stopped = True
                yield events.End(self._speaking)

    @property
    def _takes_chunks(self) -> bool:
        return self._speaking is not None and self._streamed and not self._stopped

    def _begin(
        self, data: _Data, kind: str, *, streamed: bool = False
    ) -> Generator[FromClient, None, str | None]:
        """Open a context; returns its name, or nothing if the session refuses it."""
        if self._speaking is not None:
            raise ProtocolViolation(f"{kind}: wait until what was asked before has been spoken")
        self._count += 1
        name = f"synthesis-{self._count}"
        self._speaking = name
        self._accepted = self._stopped = self._sounding = False
        self._streamed = streamed
        voice = data.voice or _Voice()
        yield events.Start(
            name,
            voice=voice.name or None,
            language=voice.language or None,
            codec="pcm",
            sample_rate=SAMPLE_RATE,
            frame_duration_ms=20,
            lead_s=self._settings.wires.lead_s or math.inf,
        )
        return self._speaking

    def send(self, event: events.ServerEvent) -> Iterable[ToClient]:
        """Events that tell of ``event``."""
        match event:
            case events.Started():
                self._accepted = True
            case events.Audio():
                yield from self._begin_sound()
                yield pack("audio-chunk", _sound(event.timestamp_samples), b"".join(event.payloads))
            case events.Done():
                yield from self._begin_sound()
                yield pack("audio-stop", {"timestamp": _milliseconds(event.duration_samples)})
                yield from self._finish()
            case events.Failed():
                problem = {"text": event.error.message, "code": event.error.code}
                yield pack("error", problem)
                if event.context is not None and not self._accepted:
                    yield from self._finish()
                if event.fatal:
                    yield Hangup(event.error.close_code)

    def _begin_sound(self) -> Iterable[ToClient]:
        if not self._sounding:
            self._sounding = True
            yield pack("audio-start", _sound(0))

    def _finish(self) -> Iterable[ToClient]:
        self._speaking = None
        if self._streamed:
            yield pack("synthesize-stopped")

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """TCP has no close codes."""
        return code, reason


def _milliseconds(samples: int) -> int:
    return round(samples * 1000 / MEDIA_RATE)


def _sound(timestamp_samples: int) -> dict[str, int]:
    return {
        "rate": SAMPLE_RATE,
        "width": WIDTH,
        "channels": 1,
        "timestamp": _milliseconds(timestamp_samples),
    }


def describe(voices: Voices) -> dict[str, Any]:
    """One program with all voices, the default one first: clients take the first."""
    listed = sorted(voices.listed, key=lambda voice: voice.id != voices.default)
    return {
        "tts": [
            {
                "name": "voice-gateway",
                "description": "Gapless streaming speech",
                "attribution": _ATTRIBUTION,
                "installed": True,
                "version": __version__,
                "supports_synthesize_streaming": True,
                "voices": [
                    {
                        "name": voice.id,
                        "description": voice.description or voice.name,
                        "attribution": _ATTRIBUTION,
                        "installed": True,
                        "version": None,
                        "languages": [voice.language],
                    }
                    for voice in listed
                ],
            }
        ]
    }


def refuse(error: GatewayError) -> bytes:
    """What a client that can't come in is told before the connection ends."""
    return pack("error", {"text": error.message, "code": error.code})
