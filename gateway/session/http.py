"""The shells of HTTP: a request becomes a session's speech, or a listing; an error its protocol's.

The status is sent with the first bytes of audio, so that whatever goes wrong before has a status of
its own.  Later there is only one way left to say that the answer is incomplete: the connection is
cut before its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.access import check_key, check_origin
from gateway.errors import GatewayError, LimitExceeded
from gateway.session.endpoint import Host
from gateway.session.exchange import Exchange
from gateway.session.protocol import Session
from gateway.session.registry import new_session_id
from gateway.wire.base import (
    Handshake,
    ListingRoute,
    Order,
    Refusal,
    SpeechRoute,
    Voices,
    choose,
)


class HttpHost(Host, Protocol):
    """The gateway as HTTP needs it."""

    def voices(self) -> Voices:
        """What there is to speak with; valid once ``loaded`` has returned."""
        ...


def _refused(refusal: Refusal) -> Response:
    return Response(
        refusal.body, refusal.status, dict(refusal.headers), media_type=refusal.media_type
    )


def _no_claim(handshake: Handshake) -> Response:
    return Response(f"no protocol here recognises this request to {handshake.path}", 404)


def _check_access(host: Host, handshake: Handshake) -> None:
    settings = host.settings.server
    check_origin(handshake.headers.get("origin"), handshake.headers.get("host"), settings)
    check_key(handshake.keys, settings)


class ListingEndpoint:
    """Answers ``GET`` on one path with JSON."""

    def __init__(self, host: HttpHost, routes: Sequence[ListingRoute]) -> None:
        self._host = host
        self._routes = routes

    async def answer(self, request: Request) -> Response:
        """The answer."""
        handshake = Handshake.of(request.scope)
        route = choose(self._routes, handshake)
        if route is None:
            return _no_claim(handshake)
        try:
            if route.needs_key:
                _check_access(self._host, handshake)
            await self._host.loaded()
            answer = route.answer(handshake, self._host.voices())
        except GatewayError as error:
            return _refused(route.refuse(error))
        return Response(orjson.dumps(answer), media_type="application/json")


class SpeechEndpoint:
    """Answers ``POST`` on one path with speech."""

    def __init__(self, host: HttpHost, routes: Sequence[SpeechRoute]) -> None:
        self._host = host
        self._routes = routes

    async def answer(self, request: Request) -> Response:
        """The answer; its body comes as it is made."""
        handshake = Handshake.of(request.scope)
        route = choose(self._routes, handshake)
        if route is None:
            return _no_claim(handshake)
        try:
            _check_access(self._host, handshake)
            self._host.registry.check_room()
            body = await _read_body(request, self._host.settings.limits.request_bytes_max)
            order = route.read(handshake, body, self._host.settings)
            await self._host.loaded()
            self._host.registry.check_room()
            exchange = self._open()
        except GatewayError as error:
            self._host.metrics.refused(error.code)
            return _refused(route.refuse(error))
        stream = self._speak(exchange, order)
        try:
            first = await anext(stream, b"")
        except GatewayError as error:
            return _refused(route.refuse(error))
        return StreamingResponse(_chained(first, stream), media_type=order.body.media_type)

    def _open(self) -> Exchange:
        host = self._host
        now = asyncio.get_running_loop().time()
        session = Session(
            new_session_id(), host.settings, host.capabilities(), now, host.metrics.observe
        )
        exchange = Exchange(session, host.services())
        host.registry.add(session.id, exchange)
        host.metrics.session_opened()
        return exchange

    async def _speak(self, exchange: Exchange, order: Order) -> AsyncGenerator[bytes, None]:
        try:
            exchange.begin(order.start, order.text)
            async for event in exchange.answer():
                for data in order.body.send(event):
                    if data:
                        yield data
        finally:
            exchange.close()
            self._host.metrics.session_closed(1000)
            self._host.registry.remove(exchange.session.id)


async def _read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise LimitExceeded(
                f"a request of more than {limit} bytes; send the text in several",
                field="request_bytes_max",
                limit=limit,
            )
    return bytes(body)


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(rest):
        yield first
        async for data in rest:
            yield data
