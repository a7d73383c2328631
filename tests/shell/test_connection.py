from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from gateway.codecs.pcm import PcmDecoder
from gateway.session.protocol import Session
from gateway.settings import Settings
from tests.engine.scripted import ScriptedEngine, speech
from tests.shell.asgi import Client, running


def make_settings(**sections: dict[str, object]) -> Settings:
    return Settings(**sections)  # type: ignore[arg-type]


async def test_a_sentence_comes_back_as_audio_sample_by_sample() -> None:
    async with running() as (app, gateway):
        client = Client(app)
        await client.open()
        client.say(type="start", codec="pcm")
        client.say(type="text", text="Hello you.")
        client.say(type="end")
        messages, payloads = await client.hear_until("done")
        assert [m["type"] for m in messages[:2]] == ["started", "chunk"]
        decoder = PcmDecoder("pcm", 24_000)
        heard = np.concatenate([decoder.decode(payload) for payload in payloads])
        expected = speech("Hello you.")
        assert np.abs(heard[: len(expected)] - expected).max() < 1e-4
        assert not heard[len(expected) :].any()
        assert messages[-1]["duration_samples"] == len(expected) * 2
        assert len(gateway.registry) == 1
        await client.end()
        assert len(gateway.registry) == 0


async def test_no_audio_follows_the_answer_to_a_cancel() -> None:
    async with running() as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="start")
        client.say(type="text", text="This is a long sentence that is going to be interrupted. ")
        while not isinstance(await client.hear(), tuple):
            pass
        client.say(type="cancel")
        messages, _ = await client.hear_until("cancelled")
        assert messages[-1]["generation"] == 1
        assert messages[-1]["heard"]["source"] == "model"
        await asyncio.sleep(0.15)
        assert client.received.empty()
        await client.end()


async def test_a_client_that_stops_reading_is_cut_off_and_nobody_else() -> None:
    settings = make_settings(limits={"send_timeout_s": 0.1})
    async with running(settings) as (app, gateway):
        deaf, other = Client(app), Client(app)
        for client in (deaf, other):
            await client.open()
            client.say(type="start", codec="pcm")
        deaf.reading.clear()
        deaf.say(type="text", text="Nobody will ever hear this sentence. ")
        await asyncio.wait_for(deaf.aborted.wait(), 5)
        await asyncio.wait_for(deaf.task, 5)
        assert 'limits_total{limit="send_timeout_s"} 1.0' in gateway.metrics.exposition().decode()
        other.say(type="text", text="Hi. ")
        other.say(type="end")
        await other.hear_until("done")
        await other.end()


async def test_what_waits_for_a_slow_client_is_bounded() -> None:
    settings = make_settings(limits={"send_buffer_bytes_max": 16_384, "send_timeout_s": 60.0})
    async with running(settings) as (app, gateway):
        deaf = Client(app)
        await deaf.open()
        deaf.reading.clear()
        for number in range(400):
            deaf.say(type="flush", context=f"no-such-context-{number}")
        await asyncio.wait_for(deaf.aborted.wait(), 5)
        await asyncio.wait_for(deaf.task, 5)
        assert 'limit="send_buffer_bytes_max"' in gateway.metrics.exposition().decode()


async def test_a_client_that_reads_again_in_time_misses_nothing() -> None:
    async with running() as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="start", codec="pcm")
        client.reading.clear()
        client.say(type="text", text="Patience. ")
        client.say(type="end")
        await asyncio.sleep(0.3)
        client.reading.set()
        messages, payloads = await client.hear_until("done")
        kinds = [m["type"] for m in messages]
        assert kinds[:2] == ["started", "chunk"]
        assert set(kinds[2:-1]) == {"words"}
        decoder = PcmDecoder("pcm", 24_000)
        heard = np.concatenate([decoder.decode(payload) for payload in payloads])
        expected = speech("Patience.")
        assert np.abs(heard[: len(expected)] - expected).max() < 1e-4
        await client.end()


async def test_our_own_mistake_ends_one_session_with_1011_and_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(log={"trace_dir": tmp_path})
    async with running(settings) as (app, _):
        victim, other = Client(app), Client(app)
        ready = await victim.open()
        await other.open()

        def broken(self: Session, event: object, now: float) -> None:
            raise AssertionError("an invariant does not hold")

        with monkeypatch.context() as patch:
            patch.setattr(Session, "receive_event", broken)
            victim.say(type="flush")
            error = await victim.hear()
            assert (error["type"], error["code"], error["fatal"]) == (
                "error",
                "internal_error",
                True,
            )
            assert await victim.hear() == 1011
        await victim.end()
        assert "an invariant does not hold" in caplog.text
        trace = (tmp_path / f"{ready['session']}.jsonl").read_text()
        assert '"state":"ready"' in trace
        other.say(type="start")
        assert (await other.hear())["type"] == "started"
        await other.end()


async def test_a_trace_that_cannot_be_written_costs_only_the_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(log={"trace_dir": tmp_path / "missing"})
    async with running(settings) as (app, _):
        victim, other = Client(app), Client(app)
        await victim.open()
        await other.open()
        other.say(type="start", codec="pcm")
        await other.hear()

        def broken(self: Session, event: object, now: float) -> None:
            raise AssertionError("an invariant does not hold")

        with monkeypatch.context() as patch:
            patch.setattr(Session, "receive_event", broken)
            victim.say(type="flush")
            assert (await victim.hear())["code"] == "internal_error"
            assert await victim.hear() == 1011
        await victim.end()
        assert "is lost" in caplog.text
        other.say(type="text", text="Hi. ")
        other.say(type="end")
        await other.hear_until("done")
        await other.end()


async def test_a_slow_client_that_keeps_up_is_not_cut_off() -> None:
    settings = make_settings(limits={"send_buffer_bytes_max": 16_384})
    async with running(settings) as (app, _):
        client = Client(app)
        client.send_delay_s = 0.001
        await client.open()
        for number in range(300):
            client.say(type="flush", context=f"no-such-context-{number}")
            await asyncio.sleep(0.001)
        heard = [await client.hear() for _ in range(300)]
        assert {message["code"] for message in heard} == {"protocol_violation"}
        assert not client.aborted.is_set()
        await client.end()


async def test_a_flood_of_messages_is_read_slower_and_loses_nothing() -> None:
    settings = make_settings(limits={"messages_per_s_max": 200.0, "messages_burst_max": 10})
    async with running(settings) as (app, gateway):
        client = Client(app)
        await client.open()
        client.say(type="start", codec="pcm")
        text = "A flood of very small tokens."
        for character in text:
            client.say(type="text", text=character)
        client.say(type="end")
        messages, _ = await client.hear_until("done")
        warnings = [m for m in messages if m["type"] == "warning"]
        assert [(w["code"], w["limit"]) for w in warnings] == [("rate_limited", 200.0)]
        assert messages[-1]["text_offset"] == len(text)
        assert 'limit="messages_per_s_max"' in gateway.metrics.exposition().decode()
        await client.end()


async def test_a_message_beyond_the_limit_is_refused_and_the_session_goes_on() -> None:
    async with running() as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="text", text="x" * 70_000)
        error = await client.hear()
        assert (error["code"], error["field"], error["limit"]) == (
            "limit_exceeded",
            "message_bytes_max",
            65_536,
        )
        client.say_bytes(b"\x00\x01")
        assert (await client.hear())["code"] == "protocol_violation"
        client.say(type="start")
        assert (await client.hear())["type"] == "started"
        await client.end()


async def test_close_is_answered_with_1000() -> None:
    async with running() as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="close")
        assert await client.hear() == 1000
        await client.end()


async def test_a_drain_lets_speech_finish_and_lets_nobody_in() -> None:
    async with running() as (app, gateway):
        speaking, idle = Client(app), Client(app)
        await speaking.open()
        await idle.open()
        speaking.say(type="start", codec="pcm")
        speaking.say(type="text", text="The last words. ")
        speaking.say(type="end")
        await speaking.hear()
        gateway.begin_drain()
        assert await idle.hear() == 1012
        late = Client(app)
        assert (await late.hear())["type"] == "websocket.accept"
        error = await late.hear()
        assert (error["code"], error["fatal"]) == ("draining", True)
        assert await late.hear() == 1012
        await asyncio.wait_for(late.task, 5)
        _, payloads = await speaking.hear_until("done")
        assert len(payloads) >= 16
        assert await speaking.hear() == 1012
        await speaking.end()
        await idle.end()


@pytest.mark.parametrize("plans_ahead", [True, False])
async def test_an_engine_that_fails_is_told_and_the_rest_is_spoken(plans_ahead: bool) -> None:
    engine = ScriptedEngine(plans_ahead=plans_ahead)
    async with running(engine=engine) as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="start", codec="pcm")
        client.say(type="text", text="This is unplannable. But this sentence is fine.")
        client.say(type="end")
        messages, payloads = await client.hear_until("done")
        (error,) = [m for m in messages if m["type"] == "error"]
        assert (error["code"], error["context"], error["fatal"]) == (
            "synthesis_failed",
            "default",
            False,
        )
        assert [m["text"] for m in messages if m["type"] == "chunk"] == [
            " But this sentence is fine."
        ]
        assert payloads
        await client.end()
