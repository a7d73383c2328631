"""What every protocol is made of.

A WebSocket protocol is a *dialect*, which lets clients in, and an *adapter* for each of them:

    client's message ──Adapter.receive──► events for the session (or a reply of the adapter's own)
    session's event  ──Adapter.send─────► messages for the client

An adapter belongs to one connection and may remember things; it never waits and reads no clock.
An HTTP protocol has *orders*, requests that are answered with speech, and *listings*, which are
answered with JSON.  A path may belong to several protocols; each says what it recognises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl

from gateway.access import offered_keys
from gateway.errors import GatewayError
from gateway.session.events import ClientEvent, ServerEvent, Start
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client showed at the door; header names are lower case."""

    path: str
    parameters: Mapping[str, str]
    """From the path: ``/v1/text-to-speech/{voice_id}/stream-input``."""
    headers: Mapping[str, str]
    query: Mapping[str, str]
    subprotocols: Sequence[str] = ()

    @classmethod
    def of(cls, scope: Mapping[str, object]) -> Handshake:
        """Of an ASGI scope, HTTP or WebSocket."""
        headers: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())  # type: ignore[assignment]
        query = scope.get("query_string", b"")
        assert isinstance(query, bytes)
        return cls(
            path=str(scope.get("path", "")),
            parameters=scope.get("path_params", {}),  # type: ignore[arg-type]
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers},
            query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)),
            subprotocols=scope.get("subprotocols", ()),  # type: ignore[arg-type]
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """Every API key that was shown, wherever our own protocol or common ones put it."""
        return tuple(offered_keys(self.headers, self.query, self.subprotocols))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the adapter's own, of which the session need not know."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Hangup:
    """Forget the session at once and close the transport, once all messages before it have left."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The client has taken ``received`` messages of ours in this session."""

    received: int


@dataclass(frozen=True, slots=True)
class Resume:
    """The client wants its session back, of which it has taken ``received`` messages."""

    secret: str = field(repr=False)
    received: int


FromClient = ClientEvent | Reply | Hangup | Acknowledge | Resume
ToClient = str | bytes | Hangup

Authorize = Callable[[Iterable[str]], None]
"""Raises Unauthorized unless one of the keys is right, or none is needed."""


class Adapter(Protocol):
    """Translates for one client."""

    @property
    def idle_timeout_s(self) -> float | None:
        """How long this client may be silent; None: as the settings say."""
        ...

    def open(self) -> Iterable[FromClient]:
        """What the session is told before the client's first message."""
        ...

    def receive(self, message: str | bytes) -> Iterable[FromClient]:
        """Read a message of the client.  Raises ClientError, which comes back by ``send``."""
        ...

    def send(self, event: ServerEvent) -> Iterable[ToClient]:
        """Messages that tell the client of ``event``; none if this protocol has no word for it."""
        ...

    def end(self, code: int, reason: str) -> tuple[int, str]:
        """The close code and reason of this protocol for those of the session."""
        ...


class Dialect(Protocol):
    """A protocol, as the endpoint needs it; a module serves."""

    @property
    def key_may_follow(self) -> bool:
        """Whether a client that shows no key may show it in its first message.

        Its adapter then calls ``authorize`` before it yields the first event.
        """
        ...

    def choose_subprotocol(self, handshake: Handshake, /) -> str | None:
        """The WebSocket subprotocol to answer with."""
        ...

    def adapt(self, handshake: Handshake, settings: Settings, authorize: Authorize, /) -> Adapter:
        """The adapter of a client.  Raises ClientError for what is wrong with the handshake."""
        ...

    def refuse(
        self, error: GatewayError, handshake: Handshake, settings: Settings, /
    ) -> Iterable[ToClient]:
        """What a client that can't come in is told; the last word is a Hangup."""
        ...


class Body(Protocol):
    """Turns what the session says into the body of one HTTP answer."""

    @property
    def media_type(self) -> str:
        """The Content-Type."""
        ...

    def send(self, event: ServerEvent) -> Iterable[bytes]:
        """Bytes for ``event``; the answer ends after those for ``Done``."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What one request asks to be spoken, and how it is to be answered."""

    start: Start
    text: str
    body: Body


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a protocol puts it into an HTTP answer."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Voices:
    """What a listing may tell: our voices, the one that speaks by default, engines to come."""

    listed: Sequence[VoiceFacts]
    default: str
    loading: Sequence[str] = ()


class VoiceFacts(Protocol):
    """A voice as listings need it; ``gateway.engine.base.Voice`` is one."""

    @property
    def id(self) -> str:
        """Our id."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def language(self) -> str:
        """BCP 47, lower case."""
        ...

    @property
    def engine(self) -> str:
        """What speaks it."""
        ...

    @property
    def gender(self) -> str:
        """``female``, ``male`` or nothing."""
        ...

    @property
    def description(self) -> str:
        """For people."""
        ...


def claims_all(_: Handshake) -> bool:
    """For a path that no other protocol shares, or the one that takes what others leave."""
    return True


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A WebSocket path; ``claims`` tells whose client it is where protocols share the path.

    ``resumable``: a session outlives its socket.  Its client asks for it by the query parameter
    ``resume`` and a first message that the adapter reads as ``Resume``.
    """

    path: str
    dialect: Dialect
    claims: Callable[[Handshake], bool] = claims_all
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class SpeechRoute:
    """``POST path``: ``read(handshake, body, settings)`` raises ClientError."""

    path: str
    read: Callable[[Handshake, bytes, Settings], Order]
    refuse: Callable[[GatewayError], Refusal]
    claims: Callable[[Handshake], bool] = claims_all


@dataclass(frozen=True, slots=True)
class ListingRoute:
    """``GET path``: ``answer(handshake, voices)`` is what becomes JSON; raises ClientError."""

    path: str
    answer: Callable[[Handshake, Voices], object]
    refuse: Callable[[GatewayError], Refusal]
    claims: Callable[[Handshake], bool] = claims_all
    needs_key: bool = True


WireRoute = SocketRoute | SpeechRoute | ListingRoute
R = TypeVar("R", SocketRoute, SpeechRoute, ListingRoute)


def choose(routes: Iterable[R], handshake: Handshake) -> R | None:
    """The first of the routes on one path that claims the client."""
    return next((route for route in routes if route.claims(handshake)), None)
