"""Barge-in, as the client does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.client import (
    Context,
    ContextEvent,
    connect,
)
from gateway.errors import ProtocolViolation
from tests.client.scripted_server import Peer, scripted

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


# ── cancel ─────────────────────────────────────────────────────────────────────────────────────

HEARD = {"text_offset": 4, "word": "cd", "played_samples": 1000, "source": "client"}


async def test_cancel_gives_what_was_heard_and_drops_the_old_audio() -> None:
    asked = []

    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(5)
        asked.append(await peer.expect("cancel"))
        await peer.send_audio(5)  # was on its way already
        await peer.send("cancelled", context="default", generation=1, heard=HEARD, open=True)
        await peer.send_audio(1, generation=1, sequence_number=0)
        await peer.send_done(generation=1)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await anext(context)
        cancelled = await context.cancel(played_samples=1000)
        assert cancelled.heard.word == "cd"
        assert cancelled.generation == context.generation == 1
        kinds = [(type(e).__name__, getattr(e, "generation", None)) async for e in context]
    assert asked == [{"type": "cancel", "context": "default", "played_samples": 1000}]
    assert kinds == [("Cancelled", 1), ("Audio", 1), ("Done", 1)]


async def test_cancel_tells_the_position_of_the_virtual_listener() -> None:
    asked: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(50)
        asked.append(await peer.expect("cancel"))
        await peer.send("cancelled", context="default", generation=1, heard=HEARD, open=False)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await anext(context)
        before = context.player.played_samples(session.now)
        await asyncio.sleep(0.03)
        await context.cancel()
        assert context.player.depth_samples(session.now) == 0
    assert asked[0]["played_samples"] >= before + 0.03 * 48_000


async def test_an_iteration_ends_when_a_cancel_closes_the_context() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.expect("end")
        await peer.expect("cancel")
        await peer.send("cancelled", context="default", generation=1, heard=HEARD, open=False)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await context.end()
        first = await context.cancel()
        assert [type(event).__name__ for event in await everything(context)] == ["Cancelled"]
        assert context.over
        assert await context.cancel() == first
        with pytest.raises(ProtocolViolation, match="is over"):
            await context.send_text("more")


async def test_a_cancel_of_a_context_that_the_gateway_forgot_is_answered_here() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        words = [
            {"text": "ab", "start": 0, "end": 2, "timestamp": 0, "duration": 960},
            {"text": "cd", "start": 2, "end": 4, "timestamp": 960, "duration": 960},
        ]
        chunk = {"context": "default", "generation": 0, "chunk": 0}
        await peer.send("chunk", **chunk, text="abcd", start=0, end=4, timestamp=0, words=words[:1])
        await peer.send("words", **chunk, words=words[1:])
        await peer.send_audio(2, last=True)
        await peer.send_done(4)
        await peer.expect("cancel")
        await peer.send(
            "error", code="protocol_violation", message="not open", context="default", fatal=False
        )
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await everything(context)
        cancelled = await context.cancel(played_samples=960)
    assert (cancelled.heard.word, cancelled.heard.text_offset) == ("ab", 2)
    assert cancelled.heard.source == "client"
    assert not cancelled.open


async def test_speak_stops_when_it_is_cancelled() -> None:
    texts = []

    async def script(peer: Peer) -> None:
        await peer.start()
        while (message := await peer.receive())["type"] == "text":
            texts.append(message["text"])
        assert message["type"] == "cancel"
        await peer.send("cancelled", context="default", generation=1, heard=HEARD, open=True)
        assert (await peer.receive())["text"] == "new answer"

    interrupted = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "old answer"
        await interrupted.wait()
        yield "that nobody wants"

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        speaking = asyncio.create_task(context.speak(slow()))
        await asyncio.sleep(0.02)
        await context.cancel()
        interrupted.set()
        await speaking
        await context.send_text("new answer")
    assert texts == ["old answer"]


async def test_all_contexts_are_cancelled_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.start(context_number=1)
        await peer.start(context_number=2)
        for _ in range(2):
            name = (await peer.expect("cancel"))["context"]
            await peer.send("cancelled", context=name, generation=1, heard=HEARD, open=True)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        await session.start("a")
        await session.start("b")
        cancelled = await session.cancel()
    assert sorted(each.context for each in cancelled) == ["a", "b"]


async def test_a_cancel_by_the_gateway_silences_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(5)
        await peer.send("cancelled", context="default", generation=1, heard=HEARD, open=False)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        events = await everything(context)
        assert context.generation == 1
        assert context.player.generation == 1
    assert [type(event).__name__ for event in events] == ["Cancelled"]
