"""The connection of one session, which outlives its sockets: a shell.

    send ──► outbox ──writer──► socket ──────► gateway
                                  ▲ │
             recover: dial, resume, └─┴─ messages() ──► whoever reads, each message exactly once

A socket that was lost without a goodbye is replaced: ``recover`` dials again, with back-off and
jitter, and asks for the session.  The gateway sends what we have not counted, we send what it has
not counted (``resumed`` says how much that is), so nothing is lost or doubled either way.  If the
gateway no longer has the session, a new one is opened, and ``recover`` says so.

A peer may vanish without closing.  A ping that is not answered in time ends the socket, except
while our own reader does not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from gateway.client.address import closure
from gateway.client.backoff import Backoff
from gateway.client.dialing import Dialer, hang_up
from gateway.client.outbox import Outbox
from gateway.client.wire import Ready, SessionReplaced
from gateway.errors import ResumeRefused, Unavailable

OUTBOX_BYTES_MAX = 4 << 20
"""Sent but not acknowledged; a gateway takes at most 100,000 characters of a context ahead."""

_CUT_CODES = frozenset({None, 1006, 1011, 1014})
"""Close codes of a socket that was lost; the others are the gateway's decision to end."""

_log = logging.getLogger(__name__)


class Recovery(Enum):
    """What became of a session whose socket ended."""

    RESUMED = auto()
    RENEWED = auto()
    """It is gone; another one was opened, in which no context is open."""
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway is waited for."""

    reconnect_timeout_s: float
    """After a cut, until we give up; 0: at once."""
    ping_interval_s: float
    """So often a ping is sent, which must be answered within the same time."""


class Link:
    """Made with the first socket; ``messages`` must be read by one task."""

    def __init__(
        self,
        dialer: Dialer,
        socket: ClientConnection,
        ready: Ready,
        patience: Patience,
        on_cut: Callable[[], None],
    ) -> None:
        self.ready = ready
        self.received = 1  # ``ready`` itself
        self.reading = True
        """Whether what comes is read: pings are not answered while it is not."""
        self.closing = False
        """We asked for the end: a cut from now on is one."""
        self._dialer = dialer
        self._socket = socket
        self._patience = patience
        self._on_cut = on_cut
        self._loop = asyncio.get_running_loop()
        self._outbox = self._new_outbox()
        self._more = asyncio.Event()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.up_since = self._loop.time()
        self._attach(socket)

    @property
    def resumable(self) -> bool:
        """Whether the gateway offered to give the session back after a cut."""
        return self.ready.resume is not None and self._patience.reconnect_timeout_s > 0

    @property
    def cut(self) -> bool:
        """Whether there is no open socket now."""
        return self._socket.state is not State.OPEN

    # ── sending ────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: str) -> None:
        """Send once, in order; returns when a socket has taken it, which may be after a cut.

        Raises ConnectionError if the session ended first.
        """
        number = self._outbox.put(message)
        self._more.set()
        handed_over: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((number, handed_over))
        await handed_over

    def acknowledge(self, received: int) -> None:
        """The gateway has taken ``received`` of our messages; raises ProtocolViolation."""
        self._outbox.acknowledge(received)

    def _new_outbox(self) -> Outbox:
        return Outbox(OUTBOX_BYTES_MAX, keeps=self.resumable)

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = self._outbox.take()
                if message is None:
                    self._more.clear()
                    await self._more.wait()
                    continue
                await socket.send(message)
                self._wake(self._outbox.taken)

    def _wake(self, taken: int) -> None:
        while self._waiters and self._waiters[0][0] <= taken:
            _, future = self._waiters.pop(0)
            if not future.done():
                future.set_result(None)

    def fail_senders(self, error: Exception) -> None:
        """What waits to be sent never will be."""
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(error)
        self._waiters.clear()

    # ── receiving ──────────────────────────────────────────────────────────────────────────────

    async def messages(self) -> AsyncIterator[str | bytes]:
        """What comes, until the present socket ends."""
        with suppress(ConnectionClosed):
            async for message in self._socket:
                self.received += 1
                yield message

    @property
    def closure(self) -> Exception | None:
        """What ended the present socket; None for a normal close."""
        code = self._socket.close_code
        return None if code == 1000 else closure(code, self._socket.close_reason or "")

    # ── one socket after the other ─────────────────────────────────────────────────────────────

    def _attach(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.up_since = self._loop.time()
        coroutines = (self._write(socket), self._watch(socket), self._ping(socket))
        self._tasks = [asyncio.create_task(each, name="voice.v1 link") for each in coroutines]

    async def _detach(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _watch(self, socket: ClientConnection) -> None:
        await socket.wait_closed()
        self._on_cut()

    async def _ping(self, socket: ClientConnection) -> None:
        interval_s = self._patience.ping_interval_s
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(interval_s)
                pong = await socket.ping()
                try:
                    await asyncio.wait_for(pong, interval_s)
                except TimeoutError:
                    if self.reading:
                        _log.warning("no answer to a ping in %g s: reconnecting", interval_s)
                        socket.transport.abort()

    async def recover(self) -> Recovery:
        """The socket has ended: get the session back, or another one.

        Raises what the gateway answers if it lets us in no more, ConnectionError if it can't be
        reached in time.
        """
        if self.closing or not self.resumable or self._socket.close_code not in _CUT_CODES:
            return Recovery.OVER
        await self._detach()
        give_up_at = self._loop.time() + self._patience.reconnect_timeout_s
        backoff = Backoff()
        gone = False
        while True:
            await asyncio.sleep(backoff.next())
            try:
                return await (self._renew() if gone else self._resume())
            except ResumeRefused as error:
                _log.warning("the session could not be resumed: %s", error.message)
                gone = True
            except (Unavailable, ConnectionError) as error:
                if self._loop.time() >= give_up_at:
                    raise ConnectionError(
                        "the connection to the gateway was lost and could not be made again "
                        f"within {self._patience.reconnect_timeout_s:g} s: {error}"
                    ) from error

    async def _resume(self) -> Recovery:
        socket, resumed = await self._dialer.resume(self.ready, self.received)
        try:
            self._outbox.rewind(resumed.received)
        except BaseException:
            socket.transport.abort()
            raise
        self._attach(socket)
        return Recovery.RESUMED

    async def _renew(self) -> Recovery:
        socket, self.ready = await self._dialer.open()
        self.fail_senders(SessionReplaced("the session was lost; a new one began"))
        self.received = 1
        self._outbox = self._new_outbox()
        self._attach(socket)
        return Recovery.RENEWED

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        await hang_up(self._socket, code, reason)
        await self._detach()
