"""The shell around one WebSocket: its messages in, its session's words out.

    ASGI receive ─► rate ─► adapter.receive ─► runner ─► adapter.send ─► socket

A token bucket slows the reading of a client that sends too much: it then feels TCP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from gateway.errors import ClientError, LimitExceeded
from gateway.session import events
from gateway.session.protocol import Session
from gateway.session.rate import TokenBucket
from gateway.session.runner import Runner, Services
from gateway.session.socket import AsgiMessage, Receive
from gateway.wire.base import Adapter, FromClient, Hangup, Reply

logger = logging.getLogger(__name__)

CLOSE_TOO_SLOW = 4408
CLOSE_TOO_BIG = 1009


class ClientSocket(Protocol):
    """What carries messages to the client; ``Socket`` is one."""

    lost: bool
    too_slow: Callable[[str], None]
    congestion: Callable[[bool], None]

    def put(self, message: str | bytes) -> None:
        """Send, without blocking."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close once all that was put has been sent."""
        ...

    def drop(self) -> None:
        """The peer is gone.  Idempotent."""
        ...


class Connection:
    """One client's socket and session."""

    def __init__(
        self,
        session: Session,
        adapter: Adapter,
        services: Services,
        receive: Receive,
        socket: ClientSocket,
    ) -> None:
        self.session = session
        self.runner = Runner(session, services, self)
        self._adapter = adapter
        self._services = services
        self._receive = receive
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._close_code: int | None = None
        limits = services.settings.limits
        self._bucket = TokenBucket(
            limits.messages_per_s_max, limits.messages_burst_max, self._loop.time()
        )
        self._warned_of_rate = False
        socket.too_slow = self._receive_too_slow
        socket.congestion = self.runner.receive_congestion

    async def run(self) -> int:
        """Serve until either side closes; returns the close code."""
        code = 1006
        try:
            self.runner.begin()
            self._take_all(self._adapter.open)
            while not self._socket.lost:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    code = message.get("code") or 1005
                    break
                if not self.runner.over:
                    await self._take_message(message)
        finally:
            self._socket.drop()
            self.runner.lose()
        if code == CLOSE_TOO_BIG:
            self._services.metrics.limit_reached("message_bytes_max")
        return self._close_code or code

    def drain(self) -> None:
        """The gateway shuts down."""
        self.runner.drain()

    # ── what the client says ───────────────────────────────────────────────────────────────────

    async def _take_message(self, message: AsgiMessage) -> None:
        delay_s = self._bucket.take(self._loop.time())
        if delay_s > 0:
            self._warn_of_rate()
            await asyncio.sleep(delay_s)
        text = message.get("text")
        self._take_all(partial(self._read, text if text is not None else message["bytes"]))

    def _read(self, message: str | bytes) -> Iterable[FromClient]:
        limit = self._services.settings.limits.message_bytes_max
        if len(message) > limit:
            raise LimitExceeded(
                f"a message of {len(message)} characters; the limit is {limit}: "
                "send the text in pieces",
                field="message_bytes_max",
                limit=limit,
            )
        return self._adapter.receive(message)

    def _take_all(self, read: Callable[[], Iterable[FromClient]]) -> None:
        """Do what the adapter makes of the client's words.  Its bug ends this session only."""
        try:
            concerned = False
            for each in read():
                if self.runner.over:
                    return
                concerned = concerned or not isinstance(each, Reply)
                match each:
                    case Reply(message):
                        self._socket.put(message)
                    case Hangup(code, reason):
                        self._hang_up(code, reason)
                    case _:
                        self.runner.receive_event(each)
            if not concerned:
                self.runner.receive_sign_of_life()
        except ClientError as error:
            self.runner.receive_client_error(error)
        except Exception:
            logger.exception("session %s: a message could not be read", self.session.id)
            self.runner.crash()

    def _warn_of_rate(self) -> None:
        self._services.metrics.limit_reached("messages_per_s_max")
        if self._warned_of_rate:
            return
        self._warned_of_rate = True
        limit = self._services.settings.limits.messages_per_s_max
        self.send(
            events.Warned(
                "rate_limited",
                f"more than {limit:g} messages a second: they are read at that rate from now on",
                field="messages_per_s_max",
                limit=limit,
            )
        )

    # ── what the session says: this connection is its outlet ───────────────────────────────────

    def send(self, event: events.ServerEvent) -> None:
        """Tell the client of ``event``, in its protocol."""
        size = 0
        for message in self._adapter.send(event):
            if isinstance(message, Hangup):
                self._hang_up(message.code, message.reason)
                return
            size += len(message)
            self._socket.put(message)
        if type(event) is events.Audio:
            self._services.metrics.audio_sent(len(event.payloads), size)

    def end(self, code: int, reason: str) -> None:
        """The session is over."""
        self._close(*self._adapter.end(code, reason))

    def _hang_up(self, code: int, reason: str) -> None:
        self._close(code, reason)
        self.runner.lose()

    def _close(self, code: int, reason: str) -> None:
        if self._close_code is None:
            self._close_code = code
            self._socket.close(code, reason)

    def _receive_too_slow(self, limit: str) -> None:
        logger.warning("session %s reads too slowly (%s); closed", self.session.id, limit)
        self._services.metrics.limit_reached(limit)
        self._close_code = CLOSE_TOO_SLOW
