"""``voice.v1`` as the client reads and writes it; ``docs/protocol.md`` is the contract.

    dict ──*_message()──► JSON text ──►  gateway  ──► JSON text ──parse_message──► ServerMessage
                                                  └─► binary ────parse_audio────► Audio

Each class below is one row of the protocol's table "Gateway → client", with the protocol's own
field names: offsets count code points of the text sent to the context in this generation;
``timestamp``, ``duration`` and ``*_samples`` are media time (48 kHz).  Unknown fields are ignored,
so that an older client goes on working; whatever else is wrong raises ProtocolViolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from gateway import errors
from gateway.client.jitter_buffer import PlayoutReport
from gateway.errors import GatewayError, InvalidValue, ProtocolViolation
from gateway.wire.audio_header import GENERATION_MODULUS, unpack_message

PROTOCOL = "voice.v1"
PATH = "/v1/speak"


@dataclass(frozen=True, slots=True)
class ResumeOffer:
    """The session can be had back, with ``secret``, within ``window_s`` of a cut."""

    secret: str = field(repr=False)
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open; ``resume`` is None if it ends with its socket."""

    session: str
    protocol: str = PROTOCOL
    server: str = ""
    prebuffer_samples: int = 0
    default_voice: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    resume: ResumeOffer | None = None


@dataclass(frozen=True, slots=True)
class ContextPosition:
    """Where the gateway stands in a context when its session is resumed."""

    context: str
    context_number: int
    generation: int
    text_received: int
    sequence_number: int
    open: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on; the gateway has taken ``received`` messages of ours."""

    session: str
    received: int
    window_s: float = 0.0
    contexts: tuple[ContextPosition, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The gateway has taken ``received`` messages of ours."""

    received: int


@dataclass(frozen=True, slots=True)
class Started:
    """A context is open; every default is filled in."""

    context: str
    context_number: int
    generation: int
    voice: str
    language: str
    speed: float
    codec: str
    sample_rate: int
    channels: int
    frame_duration_ms: int
    bitrate: int | None = None
    preskip_samples: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the client's own text, and when it sounds."""

    text: str
    start: int
    end: int
    timestamp: int
    duration: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The text from offset ``start`` to ``end`` begins to sound at ``timestamp``."""

    context: str
    generation: int
    chunk: int
    text: str
    start: int
    end: int
    timestamp: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """More word times of a chunk that was announced."""

    context: str
    generation: int
    chunk: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio of the text before a ``flush`` was sent; one for each, in order."""

    context: str
    generation: int


@dataclass(frozen=True, slots=True)
class Done:
    """Everything was sent; ``duration_samples`` is the speech without the codec's padding."""

    context: str
    generation: int
    duration_samples: int
    frames: int
    text_offset: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener had heard when a cancel silenced it.

    ``text_offset`` is the end of the last word that had begun to sound, ``word`` that word or "".
    ``source``: the ``client`` counted the played samples, or the gateway's ``model`` did.
    """

    text_offset: int
    word: str
    played_samples: int
    source: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """No audio of a generation before ``generation`` follows; ``open``: text may be sent."""

    context: str
    generation: int
    heard: Heard
    open: bool


@dataclass(frozen=True, slots=True)
class ServerWarning:
    """Something to know; nothing was lost."""

    code: str
    message: str
    context: str | None = None
    field: str | None = None
    limit: float | str | None = None


@dataclass(frozen=True, slots=True)
class ServerError:
    """The message that caused it had no effect; if ``fatal``, the gateway closes."""

    code: str
    message: str
    context: str | None = None
    field: str | None = None
    limit: float | str | None = None
    fatal: bool = False
    retry_after_s: float | None = None

    def exception(self) -> GatewayError:
        """The class of ``gateway.errors`` that bears this code, or GatewayError itself."""
        error = error_class(self.code)(self.message, field=self.field, limit=self.limit)
        error.code = self.code
        error.retry_after_s = self.retry_after_s
        return error


@dataclass(frozen=True, slots=True)
class Audio:
    """Contiguous frames of one duration, the first at ``timestamp``.

    ``generation`` is modulo 65,536 as it comes off the wire; a Context replaces it by the full one.
    """

    context_number: int
    generation: int
    sequence_number: int
    timestamp: int
    frame_duration_samples: int
    marker: bool
    last: bool
    frames: tuple[bytes, ...]

    @property
    def duration_samples(self) -> int:
        """Media time of all frames together."""
        return self.frame_duration_samples * len(self.frames)


ServerMessage: TypeAlias = (
    Ready
    | Resumed
    | Acknowledged
    | Started
    | Chunk
    | Words
    | Flushed
    | Done
    | Cancelled
    | ServerWarning
    | ServerError
)

_ADAPTERS: Mapping[str, TypeAdapter[Any]] = {
    "ready": TypeAdapter(Ready),
    "resumed": TypeAdapter(Resumed),
    "ack": TypeAdapter(Acknowledged),
    "started": TypeAdapter(Started),
    "chunk": TypeAdapter(Chunk),
    "words": TypeAdapter(Words),
    "flushed": TypeAdapter(Flushed),
    "done": TypeAdapter(Done),
    "cancelled": TypeAdapter(Cancelled),
    "warning": TypeAdapter(ServerWarning),
    "error": TypeAdapter(ServerError),
}


def parse_message(data: str | bytes) -> ServerMessage | None:
    """A text message of the gateway; None if its ``type`` is newer than this client.

    Raises ProtocolViolation if it is not a JSON object with the fields of its type.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProtocolViolation(f"the gateway sent text that is not JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolViolation("the gateway sent JSON without a type", field="type")
    adapter = _ADAPTERS.get(message["type"])
    if adapter is None:
        return None
    try:
        parsed: ServerMessage = adapter.validate_python(message)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ProtocolViolation(
            f"the gateway sent {message['type']!r} with a bad {where!r}: {fault['msg']}",
            field=where,
        ) from error
    return parsed


def parse_audio(data: bytes) -> Audio:
    """A binary message of the gateway; raises ProtocolViolation."""
    header, frames = unpack_message(data)
    return Audio(
        context_number=header.context_number,
        generation=header.generation,
        sequence_number=header.sequence_number,
        timestamp=header.timestamp,
        frame_duration_samples=header.frame_duration_samples,
        marker=header.marker,
        last=header.last,
        frames=tuple(frames),
    )


def full_generation(on_wire: int, present: int) -> int:
    """The generation nearest to ``present`` that is ``on_wire`` modulo 65,536 (RFC 1982's idea)."""
    half = GENERATION_MODULUS // 2
    return present + (on_wire - present + half) % GENERATION_MODULUS - half


def build_message(kind: str, **fields: object) -> str:
    """A text message of the client; fields that are None are left out.

    Raises InvalidValue if a string is not valid Unicode (an unpaired surrogate).
    """
    present = {name: value for name, value in fields.items() if value is not None}
    try:
        return orjson.dumps({"type": kind, **present}).decode()
    except (orjson.JSONEncodeError, TypeError) as error:
        raise InvalidValue(f"{kind!r} can't be sent as JSON: {error}") from error


def build_report(started: Started, report: PlayoutReport, received: int | None) -> str:
    """A receiver report of a context that acknowledges ``received`` messages, or none."""
    return build_message(
        "report",
        context=started.context,
        context_number=started.context_number,
        **asdict(report),
        received=received,
    )


class SessionReplaced(ConnectionError):
    """The session was lost and could not be resumed; a new one is open, without any context.

    What the listener heard of a context is ``Context.heard``; start another to say the rest.
    """


def error_class(code: str) -> type[GatewayError]:
    """The class of ``gateway.errors`` with this code; GatewayError for one we don't know."""
    return _ERROR_CLASSES.get(code, GatewayError)


_ERROR_CLASSES: Mapping[str, type[GatewayError]] = {
    value.code: value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, GatewayError)
}
