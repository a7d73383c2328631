"""Opening and closing the WebSocket of a session: a shell.

What goes wrong becomes an exception that says what to do: ConnectionError if there is no gateway,
the classes of ``gateway.errors`` for what a gateway answers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.client.address import Address, closure, refusal
from gateway.client.wire import (
    PROTOCOL,
    Ready,
    Resumed,
    ServerError,
    ServerMessage,
    build_message,
    parse_message,
)
from gateway.errors import ProtocolViolation

MESSAGE_BYTES_MAX = 1 << 20
"""Largest message taken: 255 frames of 20 ms PCM at 48 kHz are half of it."""


@dataclass(frozen=True, slots=True)
class Dialer:
    """Where the gateway is, and how to be let in."""

    address: Address
    api_key: str | None = field(repr=False)
    open_timeout_s: float

    async def open(self) -> tuple[ClientConnection, Ready]:
        """A new session."""
        async with _within(self):
            socket = await self._dial(self.address.websocket_url)
            try:
                ready = await _first_message(socket)
                _check_ready(ready)
                assert isinstance(ready, Ready)
            except BaseException:
                socket.transport.abort()
                raise
        return socket, ready

    async def resume(self, ready: Ready, received: int) -> tuple[ClientConnection, Resumed]:
        """The session that ``ready`` offered, of which ``received`` messages have come.

        Raises ResumeRefused if it is gone.
        """
        assert ready.resume is not None
        async with _within(self):
            url = f"{self.address.websocket_url}?resume={quote(ready.session, safe='')}"
            socket = await self._dial(url)
            try:
                secret = ready.resume.secret
                await socket.send(build_message("resume", secret=secret, received=received))
                resumed = await _first_message(socket)
                if not isinstance(resumed, Resumed):
                    raise ProtocolViolation("the gateway did not answer with 'resumed'")
            except ConnectionClosed:
                raise closure(socket.close_code, socket.close_reason or "") from None
            except BaseException:
                socket.transport.abort()
                raise
        return socket, resumed

    async def _dial(self, url: str) -> ClientConnection:
        address = self.address
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else None
        try:
            socket = await connect_socket(
                url,
                subprotocols=[Subprotocol(PROTOCOL)],
                additional_headers=headers,
                compression=None,  # Opus does not compress; deflating it costs both ends
                max_size=MESSAGE_BYTES_MAX,
                open_timeout=None,
                close_timeout=5,
                ping_interval=None,  # link.py pings, but not while nobody takes what came
                proxy=None if address.loopback else True,
            )
        except InvalidStatus as error:
            response = error.response
            raise refusal(address, response.status_code, response.reason_phrase) from error
        except InvalidHandshake as error:
            raise ConnectionError(f"{address.authority} opened no WebSocket: {error}") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ConnectionError(
                f"cannot connect to {address.authority}: {reason}; is the gateway running?"
            ) from error
        if socket.subprotocol != PROTOCOL:
            await socket.close()
            raise ConnectionError(f"{address.authority} does not speak {PROTOCOL}")
        return socket


@asynccontextmanager
async def _within(dialer: Dialer) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(dialer.open_timeout_s):
            yield
    except TimeoutError:
        raise ConnectionError(
            f"{dialer.address.authority} did not open a session within {dialer.open_timeout_s:g} s"
        ) from None


async def _first_message(socket: ClientConnection) -> ServerMessage | None:
    """The first message; raises the error that came in its place."""
    try:
        data = await socket.recv()
        message = parse_message(data) if isinstance(data, str) else None
    except ConnectionClosed:
        raise closure(socket.close_code, socket.close_reason or "") from None
    if isinstance(message, ServerError):
        raise message.exception()
    return message


def _check_ready(message: ServerMessage | None) -> None:
    if not isinstance(message, Ready):
        raise ProtocolViolation("the gateway's first message was not 'ready'")
    if message.protocol != PROTOCOL:
        raise ProtocolViolation(f"the gateway speaks {message.protocol!r}, not {PROTOCOL}")


async def hang_up(socket: ClientConnection, code: int = 1000, reason: str = "") -> None:
    """Close, reading on meanwhile: the gateway's close frame may lie behind unread audio."""
    drain = asyncio.create_task(_drain(socket))
    await socket.close(code, reason)
    await drain


async def _drain(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
