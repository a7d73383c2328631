"""The sending half of one WebSocket: ASGI messages out, without blocking the session.

Sending is synchronous as long as the socket takes bytes: by the server's ``write``, else by
stepping the ``send`` coroutine by hand, because a task for each message costs more than the
message.  When it blocks, one task finishes it and what follows waits in a bounded backlog.  A
client that reads too slowly is cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, Protocol

from gateway.settings import LimitSettings

AsgiMessage = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Coroutine[Any, Any, None]]
Write = Callable[[str | bytes], bool]
"""Sends a message now, or returns False if it must wait for the socket."""

EXTENSION = "voice_gateway"
"""Where our server puts what ASGI lacks (gateway/server.py): ``abort``, which cuts the transport,
and ``write``, which sends without a coroutine for each message."""


class _Started:
    """The rest of a coroutine that was stepped once and waits for ``first``."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], first: object) -> None:
        self._coroutine = coroutine
        self._first = first

    def __await__(self) -> Generator[Any, Any, None]:
        waiting_for: Any = self._first
        while True:
            try:
                value = yield waiting_for
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)
            try:
                waiting_for = step()
            except StopIteration:
                return


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

    def allow(self, size: int) -> None:
        """``size`` bytes may wait beyond the limit: what is sent again comes at once."""
        ...


class Socket:
    """One accepted WebSocket.

    ``lost``: nothing can be sent any more.  ``too_slow(limit)`` is called if a limit cuts it off,
    ``congestion(True)`` when half the backlog is full, ``congestion(False)`` when all has left.
    """

    def __init__(self, scope: Any, send: Send, limits: LimitSettings) -> None:
        self.lost = False
        self.too_slow: Callable[[str], None] = lambda limit: None
        self.congestion: Callable[[bool], None] = lambda congested: None
        self._congested = False
        hooks: dict[str, Any] = scope.get("extensions", {}).get(EXTENSION, {})
        self._abort: Callable[[], None] = hooks.get("abort", _no_abort)
        self._write: Write = hooks.get("write", _never_at_once)
        self._send = send
        self._limits = limits
        self._backlog: deque[tuple[AsgiMessage, int]] = deque()
        self._backlog_bytes = 0
        self._backlog_bytes_max = limits.send_buffer_bytes_max
        self._sending: asyncio.Task[None] | None = None

    def allow(self, size: int) -> None:
        """So many bytes more may wait: they are put at once, through no fault of the client's."""
        self._backlog_bytes_max += size

    def put(self, message: str | bytes) -> None:
        """Send now, or as soon as the client has read what went before."""
        if self._sending is None and not self.lost and self._write(message):
            return
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._put({"type": "websocket.send", kind: message}, len(message))

    def close(self, code: int, reason: str) -> None:
        """Close once all that was put has been sent."""
        self._put({"type": "websocket.close", "code": code, "reason": reason}, 0)

    def drop(self) -> None:
        """The peer is gone: forget what waits.  Idempotent."""
        self.lost = True
        if self._sending is not None:
            self._sending.cancel()
        self._backlog.clear()

    def _put(self, message: AsgiMessage, size: int) -> None:
        if self.lost:
            return
        if self._sending is not None:
            self._backlog.append((message, size))
            self._backlog_bytes += size
            limit = self._backlog_bytes_max
            if self._backlog_bytes > limit:
                self._give_up("send_buffer_bytes_max")
            elif self._backlog_bytes > limit // 2:
                self._tell_congestion(True)
            return
        coroutine = self._send(message)
        try:
            waiting_for = coroutine.send(None)
        except StopIteration:
            return
        except Exception:
            # The peer is gone; ``receive`` will say so.
            self.lost = True
            return
        self._sending = asyncio.create_task(self._finish_sending(_Started(coroutine, waiting_for)))

    async def _finish_sending(self, blocked: _Started) -> None:
        """The socket is full: wait until it takes bytes again, then send what has gathered."""
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await blocked
            while self._backlog:
                message, size = self._backlog.popleft()
                self._backlog_bytes -= size
                async with asyncio.timeout(self._limits.send_timeout_s):
                    await self._send(message)
        except TimeoutError:
            self._give_up("send_timeout_s")
        except Exception:
            self.lost = True
        finally:
            self._sending = None
        if not self.lost:
            self._tell_congestion(False)

    def _tell_congestion(self, congested: bool) -> None:
        if congested is not self._congested:
            self._congested = congested
            self.congestion(congested)

    def _give_up(self, limit: str) -> None:
        """The client does not read: no close frame would reach it either."""
        self.too_slow(limit)
        self.lost = True
        self._backlog.clear()
        self._abort()


def _never_at_once(_: str | bytes) -> bool:
    """A server other than ours sends by ASGI alone."""
    return False


def _no_abort() -> None:
    """A server other than ours closes the transport when it likes."""
