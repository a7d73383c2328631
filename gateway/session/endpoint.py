"""The ASGI endpoint of a WebSocket: who may come in, and what they are told if they may not.

A refusal before the handshake would reach a browser as a bare 403 without a reason, so every
client is accepted first, told what is wrong, and closed with a code of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl

from gateway.access import check_key, check_origin, offered_keys
from gateway.errors import GatewayError, ProtocolViolation
from gateway.ops.metrics import Metrics
from gateway.session import events
from gateway.session.connection import Connection, Receive, Send, Services, Write
from gateway.session.protocol import Capabilities, Session
from gateway.session.registry import Registry, new_session_id
from gateway.settings import Settings
from gateway.wire import voice_v1

EXTENSION = "voice_gateway"
"""Where our server puts what ASGI lacks (gateway/server.py): ``abort``, which cuts the transport,
and ``write``, which sends without a coroutine for each message."""


class Host(Protocol):
    """The gateway as the endpoint needs it."""

    settings: Settings
    metrics: Metrics
    registry: Registry[Connection]

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
    """Serves ``voice.v1``."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lent: tuple[Services, Capabilities] | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        connect = await receive()
        assert connect["type"] == "websocket.connect", connect
        offered: list[str] = scope.get("subprotocols", [])
        chosen = voice_v1.SUBPROTOCOL if voice_v1.SUBPROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        try:
            self._check(scope, offered, chosen)
            await self._host.loaded()
            self._host.registry.check_room()  # others came in while the engines were loading
        except GatewayError as error:
            await self._refuse(error, send)
            return
        connection = self._connect(scope, receive, send)
        metrics = self._host.metrics
        metrics.session_opened()
        try:
            metrics.session_closed(await connection.run())
        finally:
            self._host.registry.remove(connection.session.id)

    def _check(self, scope: Any, offered: list[str], chosen: str | None) -> None:
        settings = self._host.settings.server
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        check_origin(headers.get("origin"), headers.get("host"), settings)
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        check_key(offered_keys(headers, query, offered), settings)
        if offered and chosen is None:
            raise ProtocolViolation(
                f"none of the subprotocols {', '.join(offered)} is spoken here; "
                f"offer {voice_v1.SUBPROTOCOL}",
                field="Sec-WebSocket-Protocol",
                limit=voice_v1.SUBPROTOCOL,
            )
        self._host.registry.check_room()

    def _connect(self, scope: Any, receive: Receive, send: Send) -> Connection:
        if self._lent is None:
            self._lent = self._host.services(), self._host.capabilities()
        services, capabilities = self._lent
        now = asyncio.get_running_loop().time()
        session = Session(
            new_session_id(), self._host.settings, capabilities, now, self._host.metrics.observe
        )
        hooks: dict[str, Any] = scope.get("extensions", {}).get(EXTENSION, {})
        abort: Callable[[], None] = hooks.get("abort", _no_abort)
        write: Write = hooks.get("write", _never_at_once)
        connection = Connection(session, voice_v1, services, receive, send, write, abort)
        self._host.registry.add(session.id, connection)
        return connection

    async def _refuse(self, error: GatewayError, send: Send) -> None:
        self._host.metrics.refused(error.code)
        message = voice_v1.encode(events.Failed(error, fatal=True), self._host.settings)
        await send({"type": "websocket.send", "text": message})
        await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})


def _never_at_once(_: str | bytes) -> bool:
    """A server other than ours sends by ASGI alone."""
    return False


def _no_abort() -> None:
    """A server other than ours closes the transport when it likes."""
