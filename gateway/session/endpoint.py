"""The ASGI endpoint of a WebSocket path: who may come in, and what they are told if they may not.

A refusal before the handshake would reach a browser as a bare 403 without a reason, so every
client is accepted first, told what is wrong, and closed with a code of its own.

A client that wants its session back names it in the query (``?resume=SESSION``) and proves that it
is its own in its first message, because URLs end up in logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from gateway.access import check_key, check_origin
from gateway.errors import GatewayError, ProtocolViolation, ResumeRefused
from gateway.ops.metrics import Metrics
from gateway.session.connection import Connection
from gateway.session.conversation import Conversation
from gateway.session.events import ResumeOffer
from gateway.session.parking import ParkingLot, Ticket, new_secret
from gateway.session.protocol import Capabilities, Session
from gateway.session.rate import TokenBucket
from gateway.session.registry import Member, Registry, new_session_id
from gateway.session.resumption import Resumption
from gateway.session.runner import Services
from gateway.session.socket import Receive, Send, Socket
from gateway.settings import Settings
from gateway.wire.base import Adapter, Dialect, Handshake, Hangup, Resume, SocketRoute, choose

_REFUSAL_DELAY_MAX_S = 2.0
"""Whoever guesses waits for the answer, but not so long that waiting sockets pile up."""


class Host(Protocol):
    """The gateway as the endpoint needs it."""

    settings: Settings
    metrics: Metrics
    registry: Registry[Member]
    lot: ParkingLot[Conversation]

    async def loaded(self) -> None:
        """Wait for the engines."""
        ...

    def services(self) -> Services:
        """What connections are lent."""
        ...

    def capabilities(self) -> Capabilities:
        """What sessions are lent."""
        ...


class SpeakEndpoint:
    """Serves the dialects of one path; the last of them claims every client."""

    def __init__(self, host: Host, routes: Sequence[SocketRoute]) -> None:
        self._host = host
        self._routes = routes
        self._lent: tuple[Services, Capabilities] | None = None
        limits = host.settings.limits
        rate = limits.resume_refusals_per_s_max
        self._refusals = TokenBucket(rate, max(1.0, rate), now=0.0)
        self._parks = limits.park_s > 0 and limits.parked_sessions_max > 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        connect = await receive()
        assert connect["type"] == "websocket.connect", connect
        handshake = Handshake.of(scope)
        route = choose(self._routes, handshake)
        assert route is not None, handshake.path
        dialect = route.dialect
        chosen = dialect.choose_subprotocol(handshake)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        try:
            self._check_access(dialect, handshake)
            if route.resumable and "resume" in handshake.query:
                await self._go_on(dialect, handshake, scope, receive, send)
            else:
                await self._begin(route, handshake, scope, receive, send)
        except GatewayError as error:
            await self._refuse(dialect, error, handshake, send)

    def _check_access(self, dialect: Dialect, handshake: Handshake) -> None:
        settings = self._host.settings
        headers = handshake.headers
        check_origin(headers.get("origin"), headers.get("host"), settings.server)
        keys = handshake.keys
        if keys or not dialect.key_may_follow:
            check_key(keys, settings.server)

    def _adapt(self, dialect: Dialect, handshake: Handshake) -> Adapter:
        settings = self._host.settings
        return dialect.adapt(handshake, settings, lambda shown: check_key(shown, settings.server))

    # ── a new session ──────────────────────────────────────────────────────────────────────────

    async def _begin(
        self, route: SocketRoute, handshake: Handshake, scope: Any, receive: Receive, send: Send
    ) -> None:
        registry = self._host.registry
        registry.check_room()
        adapter = self._adapt(route.dialect, handshake)
        await self._host.loaded()
        registry.check_room()  # others came in while the engines were loading
        resumable = route.resumable and self._parks
        # Who has shown no key yet is not worth waiting for longer than others.
        keyless = bool(self._host.settings.server.api_keys) and not handshake.keys
        idle_timeout_s = None if keyless else adapter.idle_timeout_s
        conversation = self._conversation(adapter, idle_timeout_s, resumable=resumable)
        registry.add(conversation.session.id, conversation)
        self._host.metrics.session_opened()
        offer = self._offer(conversation) if resumable else None
        await self._connection(conversation, scope, receive, send).begin(offer)

    def _conversation(
        self, adapter: Adapter, idle_timeout_s: float | None, *, resumable: bool
    ) -> Conversation:
        if self._lent is None:
            self._lent = self._host.services(), self._host.capabilities()
        services, capabilities = self._lent
        settings = self._host.settings
        session = Session(
            new_session_id(),
            settings,
            capabilities,
            asyncio.get_running_loop().time(),
            self._host.metrics.observe,
            idle_timeout_s=idle_timeout_s,
        )
        resumption = Resumption(settings.limits.resend_bytes_max) if resumable else None
        return Conversation(session, adapter, services, self._host.lot, resumption, self._over)

    def _offer(self, conversation: Conversation) -> ResumeOffer:
        secret = new_secret()
        self._host.lot.register(Ticket.of(conversation.session.id, secret), conversation)
        return ResumeOffer(secret, self._host.settings.limits.park_s)

    def _connection(
        self, conversation: Conversation, scope: Any, receive: Receive, send: Send
    ) -> Connection:
        assert self._lent is not None
        services, _ = self._lent
        socket = Socket(scope, send, services.settings.limits)
        return Connection(conversation, services, receive, socket)

    def _over(self, conversation: Conversation, code: int) -> None:
        session = conversation.session.id
        self._host.metrics.session_closed(code)
        self._host.lot.forget(session)
        self._host.registry.remove(session)

    # ── a session that goes on ─────────────────────────────────────────────────────────────────

    async def _go_on(
        self, dialect: Dialect, handshake: Handshake, scope: Any, receive: Receive, send: Send
    ) -> None:
        adapter = self._adapt(dialect, handshake)
        asked = await self._asked(adapter, receive)
        if asked is None:
            return
        now = asyncio.get_running_loop().time()
        try:
            conversation = self._host.lot.claim(handshake.query["resume"], asked.secret, now)
            conversation.check_resume(asked.received)
        except ResumeRefused:
            self._host.metrics.resumed("refused")
            await asyncio.sleep(min(self._refusals.take(now), _REFUSAL_DELAY_MAX_S))
            raise
        await self._connection(conversation, scope, receive, send).resume(asked.received)

    async def _asked(self, adapter: Adapter, receive: Receive) -> Resume | None:
        """The first message of a socket that resumes; None if it went away before."""
        limit = self._host.settings.limits.handshake_timeout_s
        try:
            async with asyncio.timeout(limit):
                message = await receive()
        except TimeoutError:
            raise ResumeRefused(
                f"resume: no message in {limit:g} s; send resume at once",
                field="handshake_timeout_s",
                limit=limit,
            ) from None
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        asked = list(adapter.receive(text if text is not None else message["bytes"]))
        if len(asked) == 1 and isinstance(asked[0], Resume):
            return asked[0]
        raise ProtocolViolation(
            "the first message of a socket that was opened with ?resume=SESSION must be resume",
            field="type",
            limit="resume",
        )

    async def _refuse(
        self, dialect: Dialect, error: GatewayError, handshake: Handshake, send: Send
    ) -> None:
        self._host.metrics.refused(error.code)
        for message in dialect.refuse(error, handshake, self._host.settings):
            if isinstance(message, Hangup):
                close = {"code": message.code, "reason": message.reason}
                await send({"type": "websocket.close", **close})
                return
            kind = "bytes" if isinstance(message, bytes) else "text"
            await send({"type": "websocket.send", kind: message})
