"""The client against a scripted server on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from gateway.client import (
    Audio,
    Chunk,
    Context,
    ContextEvent,
    Done,
    ServerError,
    connect,
)
from gateway.errors import ProtocolViolation
from tests.client.scripted_server import READY, STARTED, Peer, scripted

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


# ── the usual way ──────────────────────────────────────────────────────────────────────────────


async def test_a_text_comes_back_as_chunk_audio_and_done() -> None:
    async with scripted() as url, connect(url) as session:
        context = await session.start(voice="tester")
        events = await speak_all(context, ["Hell", "o."])
    chunk, *audio, done = events
    assert isinstance(chunk, Chunk)
    assert chunk.text == "Hello."
    assert [(event.sequence_number, event.timestamp) for event in audio] == [
        (0, 0),
        (1, 960),
        (2, 1920),
    ]
    assert [(event.marker, event.last) for event in audio] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert done == Done("default", 0, 2880, 3, 6)


async def test_tokens_may_come_from_an_async_iterator() -> None:
    async with scripted() as url, connect(url) as session:
        events = await speak_all(await session.start(), llm("a", "b", "c"))
    assert isinstance(events[0], Chunk)
    assert events[0].text == "abc"


async def test_tokens_may_be_one_string() -> None:
    sent = []

    async def script(peer: Peer) -> None:
        await peer.start()
        sent.append(await peer.expect("text"))
        await peer.expect("end")
        await peer.send_done()

    async with scripted(script) as url, connect(url) as session:
        await speak_all(await session.start(), "all of it")
    assert sent[0]["text"] == "all of it"


async def test_decoded_audio_is_what_the_server_encoded_sample_by_sample() -> None:
    async with scripted() as url, connect(url) as session:
        context = await session.start()
        await context.speak("x" * 40)
        pcm = np.concatenate([samples async for samples in context.decoded()])
    assert (pcm * 32_768).astype(int).tolist() == list(range(20 * 160))


async def test_the_start_options_are_sent_as_given() -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.expect("start"))
        await peer.send("started", **{**STARTED, "context": "c"})

    async with scripted(script) as url, connect(url) as session:
        context = await session.start("c", voice="v", speed=1.5, codec="opus", bitrate=24_000)
        assert context.id == "c"
        assert context.started.voice == "tester"
    assert seen == [
        {
            "type": "start",
            "context": "c",
            "voice": "v",
            "speed": 1.5,
            "codec": "opus",
            "bitrate": 24_000,
        }
    ]


async def test_flush_and_end_are_sent_and_speak_may_leave_the_context_open() -> None:
    seen = []

    async def script(peer: Peer) -> None:
        await peer.start()
        seen.extend([(await peer.receive())["type"] for _ in range(3)])
        await peer.send_done()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await context.speak("a", end=False)
        await context.flush()
        await context.end()
        await everything(context)
    assert seen == ["text", "flush", "end"]


async def test_long_text_is_sent_in_pieces() -> None:
    text = "ab" * 5000
    lengths = []

    async def script(peer: Peer) -> None:
        await peer.start()
        lengths.extend([len((await peer.expect("text"))["text"]) for _ in range(3)])
        await peer.send_done()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await context.send_text(text)
        await everything(context)
    assert lengths == [4000, 4000, 2000]


async def test_two_contexts_hear_only_their_own_audio() -> None:
    async def script(peer: Peer) -> None:
        await peer.start(context_number=1)
        await peer.start(context_number=2)
        await peer.send_audio(2, context_number=1)
        await peer.send_audio(3, context_number=2, sequence_number=0)
        for name, frames in (("a", 2), ("b", 3)):
            await peer.send(
                "done",
                context=name,
                generation=0,
                duration_samples=frames * 960,
                frames=frames,
                text_offset=0,
            )
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        first, second = await session.start("a"), await session.start("b")
        for context, frames in ((second, 3), (first, 2)):
            audio, done = await everything(context)
            assert isinstance(audio, Audio)
            assert len(audio.frames) == frames
            assert context.done == done


async def test_a_context_may_be_started_again_under_its_name() -> None:
    async with scripted() as url, connect(url) as session:
        for text in ("one", "three"):
            events = await speak_all(await session.start(), text)
            assert isinstance(events[0], Chunk)
            assert events[0].text == text


# ── reports ────────────────────────────────────────────────────────────────────────────────────


async def test_reports_say_what_the_virtual_listener_played() -> None:
    reports: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(100)
        while len(reports) < 3:
            reports.append(json.loads(await peer.socket.recv()))
        await peer.send_done()

    async with scripted(script) as url, connect(url, reports_per_s=50) as session:
        context = await session.start()
        await everything(context)
        assert context.player.underrun_count(session.now) == 0
    for report in reports:
        assert report["type"] == "report"
        assert report["context"] == "default"
        assert report["played_samples"] + report["depth_samples"] == 96_000
        assert report["sequence_number"] == 99
        assert report["underruns"] == 0
    played = [report["played_samples"] for report in reports]
    assert played[0] < played[1] < played[2]


async def test_an_answer_has_been_played_some_time_after_it_has_come() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(10, last=True)
        await peer.send_done()
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        context.output_latency_s = 0.05
        await everything(context)
        assert context.player.playing(session.now)
        began = session.now
        await context.wait_played()
        assert not context.player.playing(session.now)
        assert 0.2 <= session.now - began < 1.0


async def test_no_report_is_sent_for_a_context_that_reports_itself() -> None:
    seen: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(10)
        while len(seen) < 2:
            seen.append(json.loads(await peer.socket.recv())["type"])
        await peer.send_done()

    async with scripted(script) as url, connect(url, reports_per_s=100) as session:
        context = await session.start(report=False)
        await anext(context)
        await asyncio.sleep(0.05)
        await context.flush()
        await context.report(context.player.report(session.now))
        await everything(context)
    assert seen == ["flush", "report"]


# ── bounded memory ─────────────────────────────────────────────────────────────────────────────


async def test_a_full_queue_stops_the_reading_and_loses_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        for _ in range(300):
            await peer.send_audio()
        await peer.send_done()
        await peer.drain()

    async with scripted(script) as url, connect(url, queue_max=4) as session:
        context = await session.start()
        while not context.full:  # noqa: ASYNC110 - the queue tells its reader only
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert context.player.received_samples <= 6 * 960
        numbers = [e.sequence_number for e in await everything(context) if isinstance(e, Audio)]
    assert numbers == list(range(300))


async def test_an_answer_behind_a_full_queue_is_found() -> None:
    async def script(peer: Peer) -> None:
        await peer.start(context_number=1)
        for _ in range(50):
            await peer.send_audio()
        await peer.start(context_number=2)
        await peer.drain()

    async with scripted(script) as url, connect(url, queue_max=2) as session:
        await session.start("a")
        await asyncio.sleep(0.02)
        second = await session.start("b")
        assert second.id == "b"


async def test_speak_waits_while_the_gateway_holds_too_much_text() -> None:
    ready = {**READY, "limits": {"pending_text_chars_max": 10}}
    waited = []

    async def script(peer: Peer) -> None:
        await peer.start()
        assert len((await peer.expect("text"))["text"]) == 8
        try:
            await asyncio.wait_for(peer.socket.recv(), 0.05)
        except TimeoutError:
            waited.append(True)
        await peer.send(
            "chunk",
            context="default",
            generation=0,
            chunk=0,
            text="12345",
            start=0,
            end=5,
            timestamp=0,
            words=[],
        )
        assert len((await peer.expect("text"))["text"]) == 7
        await peer.expect("end")
        await peer.send_done(15)

    async with scripted(script, ready=ready) as url, connect(url) as session:
        await speak_all(await session.start(), ["12345678", "1234567"])
    assert waited == [True]


# ── the end ────────────────────────────────────────────────────────────────────────────────────


async def test_finish_waits_until_the_gateway_has_spoken() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.expect("end")
        await peer.expect("close")
        await peer.send_audio(3)
        await peer.send_done()
        await peer.socket.close(1000)

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        await context.end()
        await session.finish()
        assert [type(event).__name__ for event in await everything(context)] == ["Audio", "Done"]


async def test_leaving_while_audio_pours_in_is_a_clean_close() -> None:
    codes = []

    async def script(peer: Peer) -> None:
        await peer.start()
        try:
            while True:
                await peer.send_audio(200)
        finally:
            await peer.socket.wait_closed()
            codes.append(peer.socket.close_code)

    async with scripted(script) as url:
        async with connect(url, queue_max=2) as session:
            context = await session.start()
            await anext(context)
        assert context.over
    assert codes == [1000]


async def test_the_gateway_may_close_a_session_normally() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio()
        await peer.socket.close(1000)

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        assert [type(event).__name__ for event in await everything(context)] == ["Audio"]
        with pytest.raises(ConnectionError, match="the session was closed"):
            await context.flush()


# ── odd servers ────────────────────────────────────────────────────────────────────────────────


async def test_a_context_that_is_replaced_ends_its_iteration() -> None:
    async def script(peer: Peer) -> None:
        await peer.start(context_number=1)
        await peer.start(context_number=2)
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        first = await session.start()
        second = await session.start()
        assert await everything(first) == []
        assert first.over
        assert not second.over


async def test_speak_goes_on_if_the_gateway_tells_of_no_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.client.context._PROGRESS_TIMEOUT_S", 0.01)
    ready = {**READY, "limits": {"pending_text_chars_max": 3}}
    texts = []

    async def script(peer: Peer) -> None:
        await peer.start()
        while (message := await peer.receive())["type"] == "text":
            texts.append(message["text"])
        await peer.send_done()

    async with scripted(script, ready=ready) as url, connect(url) as session:
        await speak_all(await session.start(), ["ab", "cd"])
    assert texts == ["ab", "cd"]


async def test_an_error_of_a_cancel_that_is_no_race_is_raised() -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.expect("cancel")
        await peer.send("error", code="synthesis_failed", message="chunk", context="default")
        await peer.send("error", code="protocol_violation", message="what?", context="default")
        await peer.drain()

    async with scripted(script) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(ProtocolViolation, match="what"):
            await context.cancel()
        assert isinstance(await anext(context), ServerError)


async def test_a_handshake_that_is_no_websocket_is_explained() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(ConnectionError, match="opened no WebSocket"):
            async with connect(f"127.0.0.1:{port}"):
                pass
    finally:
        server.close()
        await server.wait_closed()
