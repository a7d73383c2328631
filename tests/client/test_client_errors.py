"""What the client makes of errors, refusals and odd servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from gateway import errors
from gateway.client import (
    Context,
    ContextEvent,
    Done,
    ServerError,
    ServerWarning,
    connect,
)
from gateway.errors import InvalidValue, ProtocolViolation
from tests.client.scripted_server import READY, Peer, scripted

pytestmark = pytest.mark.timeout(20)


async def everything(context: Context) -> list[ContextEvent]:
    return [event async for event in context]


async def speak_all(context: Context, tokens: Any) -> list[ContextEvent]:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(context.speak(tokens))
        return await everything(context)


async def llm(*tokens: str) -> AsyncIterator[str]:
    for token in tokens:
        await asyncio.sleep(0)
        yield token


# ── errors ─────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_there_is_a_connection_error_that_says_so() -> None:
    async with scripted() as url:
        pass
    with pytest.raises(ConnectionError, match=r"Connection refused; is the gateway running\?"):
        async with connect(url):
            pass


async def test_a_gateway_that_says_nothing_times_out() -> None:
    async def silence(peer: Peer) -> None:
        await peer.drain()

    async with scripted(silence, ready=None) as url:
        with pytest.raises(ConnectionError, match=r"did not open a session within 0.05 s"):
            async with connect(url, open_timeout_s=0.05):
                pass


async def test_an_error_in_place_of_ready_is_raised_by_its_class() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.send("error", code="overloaded", message="full", limit=5, fatal=True)
        await peer.socket.close(1013, "full")

    async with scripted(refuse, ready=None) as url:
        with pytest.raises(errors.Overloaded, match="full"):
            async with connect(url):
                pass


async def test_a_close_in_place_of_ready_is_raised_by_its_code() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.socket.close(4401, "no key")

    async with scripted(refuse, ready=None) as url:
        with pytest.raises(errors.Unauthorized, match="4401: no key"):
            async with connect(url):
                pass


async def test_an_http_refusal_is_raised_by_its_status() -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "draining")

    async with scripted(refuse=refuse) as url:
        with pytest.raises(errors.Unavailable, match="try again later"):
            async with connect(url):
                pass


async def test_the_api_key_is_shown() -> None:
    keys = []

    def look(_: ServerConnection, request: Request) -> None:
        keys.append((request.headers.get("Authorization"), request.path))

    async with scripted(refuse=look) as url, connect(url, api_key="secret"):
        pass
    assert keys == [("Bearer secret", "/v1/speak")]


async def test_another_protocol_is_refused() -> None:
    async with scripted(subprotocols=None) as url:
        with pytest.raises(ConnectionError, match=r"does not speak voice\.v1"):
            async with connect(url):
                pass


@pytest.mark.parametrize(
    ("ready", "message"),
    [
        ({**READY, "protocol": "voice.v2"}, "speaks 'voice.v2'"),
        (None, "first message was not 'ready'"),
    ],
)
async def test_a_wrong_greeting_is_refused(ready: dict[str, Any] | None, message: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("warning", code="x", message="y")
        await peer.drain()

    async with scripted(script, ready=ready) as url:
        with pytest.raises(ProtocolViolation, match=message):
            async with connect(url):
                pass


async def test_start_raises_what_the_gateway_answers() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("start")
        await peer.send(
            "error", code="invalid_value", message="no voice 'x'", field="voice", fatal=False
        )
        await peer.start()
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        with pytest.raises(InvalidValue, match="no voice 'x'") as caught:
            await session.start(voice="x")
        assert caught.value.field == "voice"
        assert (await session.start()).started.voice == "tester"


async def test_an_answer_that_never_comes_times_out() -> None:
    async def script(peer: Peer) -> None:
        await peer.drain()

    async with scripted(script) as url, connect(url, answer_timeout_s=0.05) as session:
        with pytest.raises(TimeoutError, match=r"no answer to start of context 'a' in 0.05 s"):
            await session.start("a")


async def test_the_same_question_is_not_asked_twice_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        asking = asyncio.create_task(session.start("a"))
        await asyncio.sleep(0)
        with pytest.raises(ProtocolViolation, match="waits for an answer"):
            await session.start("a")
        await session.close()
        with pytest.raises(ConnectionError, match="the session was closed"):
            await asking


async def test_errors_and_warnings_of_a_context_are_events() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send("warning", code="w", message="mind", context="default")
        await peer.send("error", code="engine_crashed", message="lost", context="default")
        await peer.send("error", code="limit_exceeded", message="all of you")
        await peer.send("error", code="synthesis_failed", message="other", context="unknown")
        await peer.send("from_the_future")
        await peer.send("ready", **READY)
        await peer.send_audio(context_number=77)
        await peer.send_done()
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        events = await everything(await session.start())
    assert events[:3] == [
        ServerWarning("w", "mind", "default"),
        ServerError("engine_crashed", "lost", "default"),
        ServerError("limit_exceeded", "all of you"),
    ]
    assert isinstance(events[3], Done)


async def test_decoded_raises_the_error_of_a_chunk() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send("error", code="engine_crashed", message="lost", context="default")
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(errors.EngineCrashed, match="lost"):
            await anext(context.decoded())


async def test_a_fatal_error_reaches_everybody_who_waits() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.expect("start")
        await peer.send("error", code="internal_error", message="broken", fatal=True)
        await peer.socket.close(1011)

    async with scripted(script) as url, connect(url) as session:
        context = await session.start("a")
        iteration = asyncio.create_task(everything(context))
        with pytest.raises(errors.GatewayError, match="broken"):
            await session.start("b")
        with pytest.raises(errors.GatewayError, match="broken"):
            await iteration
        with pytest.raises(errors.GatewayError, match="broken"):
            await context.send_text("x")


async def test_a_lost_connection_is_a_connection_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        peer.socket.transport.abort()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(ConnectionError, match="was lost"):
            await everything(context)
        with pytest.raises(ConnectionError, match="was lost"):
            await session.send("x")


async def test_sending_into_a_closed_session_says_why_it_was_closed() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.expect("text")
        await peer.socket.close(1012, "restart")

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(errors.Draining, match="1012: restart"):  # noqa: PT012
            while True:
                await context.send_text("x")
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (lambda peer: peer.socket.send("{"), "not JSON"),
        (lambda peer: peer.socket.send(b"\x10"), "fewer than its header"),
        (lambda peer: peer.send_audio(sequence_number=5), "sequence number 5, expected 0"),
        (lambda peer: peer.send_audio(generation=1), "generation 1 before"),
    ],
)
async def test_a_server_that_breaks_the_protocol_is_left_with_1002(send: Any, message: str) -> None:
    codes = []

    async def script(peer: Peer) -> None:
        await peer.start()
        await send(peer)
        await peer.socket.wait_closed()
        codes.append(peer.socket.close_code)

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(ProtocolViolation, match=message):
            await everything(context)
    assert codes == [1002]


async def test_a_surrogate_in_the_text_is_refused_before_it_is_sent() -> None:
    async with scripted() as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(InvalidValue, match="can't be sent"):
            await context.send_text("a\ud800")
        assert len(await speak_all(context, "b")) == 3
