"""The shell that reads one WebSocket and gives its messages to a conversation.

    ASGI receive ─► rate ─► conversation ─► adapter ─► session

A token bucket slows the reading of a client that sends too much: it then feels TCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from gateway.errors import LimitExceeded
from gateway.session import events
from gateway.session.conversation import Conversation
from gateway.session.rate import TokenBucket
from gateway.session.runner import Services
from gateway.session.socket import AsgiMessage, ClientSocket, Receive
from gateway.wire.base import Adapter, FromClient

CLOSE_TOO_BIG = 1009


class Connection:
    """One socket of a client; ``begin`` or ``resume`` first, then ``run``."""

    def __init__(
        self,
        conversation: Conversation,
        services: Services,
        receive: Receive,
        socket: ClientSocket,
    ) -> None:
        self._conversation = conversation
        self._services = services
        self._receive = receive
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Task[object] | None = None
        self._evicted = False
        limits = services.settings.limits
        self._bucket = TokenBucket(
            limits.messages_per_s_max, limits.messages_burst_max, self._loop.time()
        )
        self._warned_of_rate = False

    async def begin(self, offer: events.ResumeOffer | None) -> None:
        """Serve a new session until its client or the gateway closes, or the socket is lost."""
        await self._run(lambda: self._conversation.begin(self._socket, self._evict, offer))

    async def resume(self, received: int) -> None:
        """Likewise, but the session goes on."""

        def resume() -> None:
            taken_over = self._conversation.resume(
                self._socket, self._evict, received, self._loop.time()
            )
            self._services.metrics.resumed("taken_over" if taken_over else "resumed")

        await self._run(resume)

    async def _run(self, begin: Callable[[], None]) -> None:
        code = 1006
        self._reader = asyncio.current_task()
        try:
            begin()
            code = await self._read()
        except asyncio.CancelledError:
            if not self._evicted or self._reader is None:
                raise
            self._reader.uncancel()
        finally:
            self._socket.drop()
            self._conversation.lose(self._socket, code)
        if code == CLOSE_TOO_BIG:
            self._services.metrics.limit_reached("message_bytes_max")

    def _evict(self) -> None:
        """Another socket took this one's place, which may wait for a dead peer for long."""
        self._evicted = True
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> int:
        """Read until the socket ends; returns the close code."""
        while not self._socket.lost:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return message.get("code") or 1005
            if not self._conversation.runner.over:
                await self._take(message)
        return 1006

    async def _take(self, message: AsgiMessage) -> None:
        delay_s = self._bucket.take(self._loop.time())
        if delay_s > 0:
            self._warn_of_rate()
            await asyncio.sleep(delay_s)
        text = message.get("text")
        content = text if text is not None else message["bytes"]
        self._conversation.take_message(partial(self._checked, content))

    def _checked(self, message: str | bytes, adapter: Adapter) -> Iterable[FromClient]:
        limit = self._services.settings.limits.message_bytes_max
        if len(message) > limit:
            raise LimitExceeded(
                f"a message of {len(message)} characters; the limit is {limit}: "
                "send the text in pieces",
                field="message_bytes_max",
                limit=limit,
            )
        return adapter.receive(message)

    def _warn_of_rate(self) -> None:
        self._services.metrics.limit_reached("messages_per_s_max")
        if self._warned_of_rate:
            return
        self._warned_of_rate = True
        limit = self._services.settings.limits.messages_per_s_max
        self._conversation.send(
            events.Warned(
                "rate_limited",
                f"more than {limit:g} messages a second: they are read at that rate from now on",
                field="messages_per_s_max",
                limit=limit,
            )
        )
