"""Whatever clients send, in any order: nothing crashes, nothing stays, nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from gateway.app import Gateway
from gateway.session.conversation import Conversation
from gateway.session.stream import StreamSocket
from gateway.wire.wyoming import pack
from tests.properties.wires import WIRES, WYOMING, WYOMING_SPOILT
from tests.shell.asgi import Client, running

QUICK = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PAUSE = None


class World(NamedTuple):
    """A gateway that lives through all examples, and whatever it logged as a mistake of its own."""

    runner: asyncio.Runner
    app: Starlette
    gateway: Gateway
    mistakes: list[logging.LogRecord]


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    collector = Collector()
    logging.getLogger("gateway").addHandler(collector)
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        app, gateway = runner.run(stack.enter_async_context(running()))
        yield World(runner, app, gateway, collector.records)
        runner.run(stack.aclose())
    logging.getLogger("gateway").removeHandler(collector)


def steps(messages: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Messages, and pauses in which the engine gets on."""
    return st.lists(st.one_of(*[messages] * 5, st.just(PAUSE)), max_size=14)


class Neighbour:
    """Another client of the same gateway."""

    def __init__(self, world: World) -> None:
        self._client = Client(world.app)

    async def come_in(self) -> None:
        await self._client.open()

    async def is_undisturbed(self) -> None:
        self._client.say(type="start", context="a", codec="pcm")
        self._client.say(type="text", context="a", text="Two words, and a few more. ")
        self._client.say(type="end", context="a")
        messages, payloads = await self._client.hear_until("done")
        said = {message["type"] for message in messages}
        assert said <= {"started", "chunk", "words", "done"}, messages
        assert len(payloads) == messages[-1]["frames"] > 0

    async def leave(self) -> None:
        await self._client.end()


def check_nothing_stays(world: World, connections: set[Conversation]) -> None:
    assert world.mistakes == [], world.mistakes[-1].getMessage()
    assert len(world.gateway.registry) == 1
    for connection in connections:
        assert connection.session.contexts == ()
        assert connection.runner._tracks == {}


def others(world: World, before: tuple[Any, ...]) -> set[Conversation]:
    found = set(world.gateway.registry.members) - set(before)
    assert all(isinstance(each, Conversation) for each in found)
    return found  # type: ignore[return-value]


async def talk(world: World, name: str, said: list[Any]) -> None:
    neighbour = Neighbour(world)
    await neighbour.come_in()
    before = world.gateway.registry.members
    wire = WIRES[name]
    client = Client(world.app, path=wire.path, query_string=wire.query, subprotocols=[])
    assert (await client.hear())["type"] == "websocket.accept"
    connections = others(world, before)
    for message in said:
        if message is PAUSE:
            await asyncio.sleep(0.002)
        elif isinstance(message, bytes):
            client.say_bytes(message)
        else:
            client.say_text(message)
        await asyncio.sleep(0)
        connections |= others(world, before)
    await neighbour.is_undisturbed()
    connections |= others(world, before)
    assert connections
    await client.end()
    check_nothing_stays(world, connections)
    heard = [client.received.get_nowait() for _ in range(client.received.qsize())]
    assert not any(b"internal_error" in orjson.dumps(str(each)) for each in heard)
    assert not any(each.get("code") == 1011 for each in heard)
    await neighbour.leave()


@pytest.mark.parametrize("name", WIRES)
@QUICK
@given(data=st.data())
def test_no_sequence_of_messages_breaks_anything(name: str, data: Any, world: World) -> None:
    world.runner.run(talk(world, name, data.draw(steps(WIRES[name].messages))))


class Pipe(asyncio.Transport):
    """A TCP connection without sockets: what is written stays here."""

    def __init__(self, protocol: StreamSocket) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def hear(self, data: bytes) -> None:
        if not self.closed:
            self._protocol.data_received(data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high

    def pause_reading(self) -> None:
        assert not self.closed

    def resume_reading(self) -> None:
        assert not self.closed


async def talk_wyoming(world: World, said: list[Any]) -> None:
    neighbour = Neighbour(world)
    await neighbour.come_in()
    before = world.gateway.registry.members
    pipe = Pipe(StreamSocket(world.gateway))
    while not (connections := others(world, before)):  # noqa: ASYNC110
        await asyncio.sleep(0)
    for message in said:
        if message is PAUSE:
            await asyncio.sleep(0.002)
        elif isinstance(message, bytes):
            pipe.hear(message + b"\n")
        else:
            pipe.hear(pack(message["type"], message.get("data")))
        await asyncio.sleep(0)
    await neighbour.is_undisturbed()
    pipe.close()
    async with asyncio.timeout(5):
        while len(world.gateway.registry) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    check_nothing_stays(world, connections)
    assert b"internal_error" not in pipe.written
    await neighbour.leave()


@QUICK
@given(said=steps(st.one_of(WYOMING, WYOMING, WYOMING, WYOMING_SPOILT)))
def test_no_sequence_of_wyoming_s_events_breaks_anything(said: list[Any], world: World) -> None:
    world.runner.run(talk_wyoming(world, said))
