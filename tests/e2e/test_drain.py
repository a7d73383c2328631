"""Ending a gateway that has clients: what it lets finish, how long it waits, its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosedError

from gateway.cli.tokens import tokens_of
from gateway.client import Audio, Session, connect
from gateway.errors import Draining
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.raw_websocket import RawWebSocket

pytestmark = pytest.mark.timeout(60)

ENDLESS = "It goes on and on, and nobody knows when it will be over. " * 100


@contextlib.contextmanager
def gateway_process(**settings: str) -> Iterator[GatewayProcess]:
    running = start_gateway(**settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.stop()  # sends nothing any more; reads the rest of the log


async def exit_status(running: GatewayProcess) -> int:
    """The exit status, without blocking the loop that our clients live in."""
    return await asyncio.to_thread(running.process.wait, 30)


async def until_over(session: Session) -> None:
    """Raises what ended the session."""
    async with asyncio.timeout(10):
        while True:
            session.raise_if_over()
            await asyncio.sleep(0.02)


def check_log(running: GatewayProcess) -> None:
    assert "Traceback" not in "".join(running.log), "".join(running.log)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_speech_is_finished_and_newcomers_are_sent_elsewhere(sig: signal.Signals) -> None:
    with gateway_process() as running:
        speaking, idle = await Session.open(running.url), await Session.open(running.url)
        context = await speaking.start(speed=2.0)
        await context.speak("These are the last words of this gateway, and all of them are heard.")
        async for event in context:
            if isinstance(event, Audio):
                break
        running.process.send_signal(sig)
        with pytest.raises(Draining, match="1012"):
            await until_over(idle)
        async with httpx.AsyncClient(base_url=running.url) as http:
            readiness = await http.get("/readyz")
            assert (readiness.status_code, readiness.json()["status"]) == (503, "draining")
            assert (await http.get("/healthz")).status_code == 200
        with pytest.raises(Draining):
            await Session.open(running.url)
        async for _ in context:
            pass
        assert context.done is not None
        assert context.player.received_samples >= context.done.duration_samples > 60_000
        assert context.player.underrun_count(speaking.now) == 0
        with pytest.raises(Draining, match="1012"):
            await until_over(speaking)
        assert await exit_status(running) == 0
        for session in (speaking, idle):
            await session.close()
    check_log(running)


async def test_the_answer_that_an_llm_is_still_writing_is_finished() -> None:
    tokens = list(tokens_of("The model had just begun to answer as the signal came, and went on."))
    with gateway_process() as running:
        async with connect(running.url) as session:
            context = await session.start(speed=2.0)
            for number, token in enumerate(tokens):
                if number == 3:
                    running.process.send_signal(signal.SIGTERM)
                await context.send_text(token)
                await asyncio.sleep(0.05)
            await context.end()
            async for _ in context:
                pass
            assert context.done is not None
            assert context.done.text_offset == sum(map(len, tokens))
        assert await exit_status(running) == 0
    check_log(running)


async def test_an_endless_speech_is_cut_off_when_the_time_is_over() -> None:
    with gateway_process(server__drain_timeout_s="1") as running:
        async with connect_socket(running.websocket_url, subprotocols=["voice.v1"]) as socket:  # type: ignore[list-item]
            await socket.send('{"type":"start"}')
            await socket.send(f'{{"type":"text","text":"{ENDLESS}"}}')
            while not isinstance(await socket.recv(), bytes):
                pass
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionClosedError):
                async for _ in socket:
                    pass
            assert socket.close_code == 1012
            assert 0.9 < time.monotonic() - began < 3
            assert await exit_status(running) == 0
            assert time.monotonic() - began < 3
    assert any("did not finish in time" in line for line in running.log)
    check_log(running)


def test_a_client_that_does_not_read_holds_the_end_up_only_so_long() -> None:
    with (
        gateway_process(
            server__drain_timeout_s="1",
            limits__send_timeout_s="60",
            limits__send_buffer_bytes_max="100000000",
        ) as running,
        RawWebSocket(running.websocket_url, receive_buffer_bytes=1024) as deaf,
    ):
        for number in range(32):
            deaf.say(type="start", context=f"{number}", codec="pcm", sample_rate=48_000)
            deaf.say(type="text", context=f"{number}", text=ENDLESS)
        time.sleep(1.5)  # long enough for 32 x 96 kB a second to fill the kernel's buffers
        assert running.metric("sessions_open") == 1
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 8
    check_log(running)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_ends_at_once(sig: signal.Signals) -> None:
    with gateway_process(server__drain_timeout_s="60") as running:
        async with connect(running.url) as session:
            context = await session.start()
            await context.send_text(ENDLESS)
            async for event in context:
                if isinstance(event, Audio):
                    break
            running.process.send_signal(sig)
            await asyncio.sleep(0.3)
            assert running.process.poll() is None
            began = time.monotonic()
            running.process.send_signal(sig)
            assert await exit_status(running) == 0
            assert time.monotonic() - began < 2
    check_log(running)


async def test_with_nobody_there_the_end_is_quick() -> None:
    with gateway_process() as running:
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 2
    check_log(running)
