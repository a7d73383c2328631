"""The ASGI endpoint of a WebSocket path: who may come in, and what they are told if they may not.

A refusal before the handshake would reach a browser as a bare 403 without a reason, so every
client is accepted first, told what is wrong, and closed with a code of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from gateway.access import check_key, check_origin
from gateway.errors import GatewayError
from gateway.ops.metrics import Metrics
from gateway.session.connection import Connection
from gateway.session.protocol import Capabilities, Session
from gateway.session.registry import Member, Registry, new_session_id
from gateway.session.runner import Services
from gateway.session.socket import Receive, Send, Socket
from gateway.settings import Settings
from gateway.wire.base import Adapter, Dialect, Handshake, Hangup, SocketRoute, choose


class Host(Protocol):
    """The gateway as the endpoint needs it."""

    settings: Settings
    metrics: Metrics
    registry: Registry[Member]

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
            adapter = self._let_in(dialect, handshake)
            await self._host.loaded()
            self._host.registry.check_room()  # others came in while the engines were loading
        except GatewayError as error:
            await self._refuse(dialect, error, handshake, send)
            return
        # Who has shown no key yet is not worth waiting for longer than others.
        keyless = bool(self._host.settings.server.api_keys) and not handshake.keys
        idle_timeout_s = None if keyless else adapter.idle_timeout_s
        connection = self._connect(adapter, idle_timeout_s, scope, receive, send)
        metrics = self._host.metrics
        metrics.session_opened()
        try:
            metrics.session_closed(await connection.run())
        finally:
            self._host.registry.remove(connection.session.id)

    def _let_in(self, dialect: Dialect, handshake: Handshake) -> Adapter:
        settings = self._host.settings
        headers = handshake.headers
        check_origin(headers.get("origin"), headers.get("host"), settings.server)
        keys = handshake.keys
        if keys or not dialect.key_may_follow:
            check_key(keys, settings.server)
        self._host.registry.check_room()
        return dialect.adapt(handshake, settings, lambda shown: check_key(shown, settings.server))

    def _connect(
        self,
        adapter: Adapter,
        idle_timeout_s: float | None,
        scope: Any,
        receive: Receive,
        send: Send,
    ) -> Connection:
        if self._lent is None:
            self._lent = self._host.services(), self._host.capabilities()
        services, capabilities = self._lent
        now = asyncio.get_running_loop().time()
        session = Session(
            new_session_id(),
            self._host.settings,
            capabilities,
            now,
            self._host.metrics.observe,
            idle_timeout_s=idle_timeout_s,
        )
        socket = Socket(scope, send, services.settings.limits)
        connection = Connection(session, adapter, services, receive, socket)
        self._host.registry.add(session.id, connection)
        return connection

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
