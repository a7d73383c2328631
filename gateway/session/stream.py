"""The shell of protocols that run over plain TCP: Wyoming.

    bytes ─► header line, data, payload ─► Connection ─► bytes

A connection is an ``asyncio.Protocol`` with the face of a ``Socket``, so that the same
``Connection`` runs its session.  What is read ahead is bounded by pausing the transport, what is
written is bounded by the transport's own buffer: when that is full the session holds its audio
back, and a client that takes nothing for ``send_timeout_s`` is cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import cast

from gateway.errors import ClientError, GatewayError, LimitExceeded
from gateway.session.connection import Connection
from gateway.session.conversation import Conversation
from gateway.session.http import HttpHost
from gateway.session.protocol import Session
from gateway.session.registry import new_session_id
from gateway.session.socket import AsgiMessage
from gateway.wire import wyoming

logger = logging.getLogger(__name__)

_AHEAD_MAX = 64
"""Events that are read before the session has taken them."""


class StreamSocket(asyncio.Protocol):
    """One TCP connection; ``serve`` runs its session once it is made."""

    def __init__(self, host: HttpHost) -> None:
        self.lost = False
        self.too_slow: Callable[[str], None] = lambda limit: None
        self.congestion: Callable[[bool], None] = lambda congested: None
        self._host = host
        self._limits = host.settings.limits
        self._buffer = bytearray()
        self._events: deque[AsgiMessage] = deque()
        self._came = asyncio.Event()
        self._stuck: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    # ── asyncio's side ─────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=self._limits.send_buffer_bytes_max)
        self._task = asyncio.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._buffer += data
        try:
            while (message := self._next_event()) is not None:
                self._hear({"type": "websocket.receive", "bytes": message})
        except ClientError as error:
            # What follows can't be told from what is wrong.
            self.put(wyoming.refuse(error))
            self._transport.close()
        if len(self._events) > _AHEAD_MAX:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self.lost = True
        self._forget_stuck()
        self._hear({"type": "websocket.disconnect", "code": 1006 if exc else 1000})

    def pause_writing(self) -> None:
        """The client does not read."""
        self.congestion(True)
        self._stuck = asyncio.get_running_loop().call_later(
            self._limits.send_timeout_s, self._give_up
        )

    def resume_writing(self) -> None:
        """It reads again."""
        self._forget_stuck()
        self.congestion(False)

    def _forget_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _give_up(self) -> None:
        self.too_slow("send_timeout_s")
        self._transport.abort()

    def _hear(self, message: AsgiMessage) -> None:
        self._events.append(message)
        self._came.set()

    def _next_event(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > wyoming.HEADER_BYTES_MAX:
                raise LimitExceeded(
                    f"a header line of more than {wyoming.HEADER_BYTES_MAX} bytes",
                    limit=wyoming.HEADER_BYTES_MAX,
                )
            return None
        limit = self._limits.message_bytes_max
        header, lengths = wyoming.read_header(bytes(self._buffer[:end]), limit)
        whole = end + 1 + lengths.data + lengths.payload
        if len(self._buffer) < whole:
            return None
        data = bytes(self._buffer[end + 1 : end + 1 + lengths.data])
        del self._buffer[:whole]
        return wyoming.join(header, data)

    # ── the session's side: a Socket ───────────────────────────────────────────────────────────

    async def receive(self) -> AsgiMessage:
        """The next event, as ASGI would tell it."""
        while not self._events:
            self._came.clear()
            await self._came.wait()
        if len(self._events) == _AHEAD_MAX // 2 and not self.lost:
            self._transport.resume_reading()
        return self._events.popleft()

    def put(self, message: str | bytes) -> None:
        """Send an event."""
        if not self.lost:
            self._transport.write(message if isinstance(message, bytes) else message.encode())

    def close(self, code: int, reason: str) -> None:
        """Close once all that was put has been sent."""
        if not self.lost:
            self._transport.close()

    def drop(self) -> None:
        """Forget the connection.  Idempotent."""
        self.lost = True
        self._transport.close()

    def allow(self, size: int) -> None:
        """Nothing is sent again here: a lost connection ends its session."""

    # ── the session ────────────────────────────────────────────────────────────────────────────

    async def _serve(self) -> None:
        host = self._host
        try:
            host.registry.check_room()
            await host.loaded()
            host.registry.check_room()
        except GatewayError as error:
            host.metrics.refused(error.code)
            self.put(wyoming.refuse(error))
            self._transport.close()
            return
        now = asyncio.get_running_loop().time()
        session = Session(
            new_session_id(), host.settings, host.capabilities(), now, host.metrics.observe
        )
        adapter = wyoming.WyomingAdapter(host.settings, host.voices)
        services = host.services()
        conversation = Conversation(session, adapter, services, host.lot, None, self._over)
        host.registry.add(session.id, conversation)
        host.metrics.session_opened()
        await Connection(conversation, services, self.receive, self).begin(None)

    def _over(self, conversation: Conversation, code: int) -> None:
        self._host.metrics.session_closed(code)
        self._host.registry.remove(conversation.session.id)


async def listen(host: HttpHost, address: str, port: int) -> asyncio.Server:
    """Serve Wyoming on ``address``.  Raises OSError if the port can't be had."""
    server = await asyncio.get_running_loop().create_server(
        lambda: StreamSocket(host), address, port
    )
    logger.info("Wyoming on tcp://%s:%d", *server.sockets[0].getsockname()[:2])
    return server
