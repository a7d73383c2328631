from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.e2e.conftest import GatewayProcess
from tests.sdk.packages import LONG, MARKS, TEXT, package, raw_s

audio, client, info, tts = (
    package(f"wyoming.{name}") for name in ("audio", "client", "info", "tts")
)
pytestmark = MARKS


def connect(gateway: GatewayProcess) -> Any:
    found = re.search(r"Wyoming on tcp://([\d.]+):(\d+)", "".join(gateway.log))
    assert found is not None
    return client.AsyncTcpClient(found[1], int(found[2]))


async def say(connection: Any, *messages: Any) -> None:
    for message in messages:
        await connection.write_event(message.event())


async def hear_until(connection: Any, last: str) -> tuple[bytes, list[str]]:
    """Audio, and the types of the other events up to ``last``."""
    sound, kinds = b"", []
    while not kinds or kinds[-1] != last:
        event = await asyncio.wait_for(connection.read_event(), 10)
        assert event is not None
        if audio.AudioChunk.is_type(event.type):
            chunk = audio.AudioChunk.from_event(event)
            assert (chunk.rate, chunk.width, chunk.channels) == (24_000, 2, 1)
            sound += chunk.audio
        else:
            kinds.append(event.type)
    return sound, kinds


async def test_the_voices_are_described(gateway: GatewayProcess) -> None:
    async with connect(gateway) as connection:
        await say(connection, info.Describe())
        told = info.Info.from_event(await connection.read_event())
    assert told.tts[0].supports_synthesize_streaming
    assert told.tts[0].voices[0].name == "en-us"
    assert all(voice.installed for voice in told.tts[0].voices)


async def test_a_text_is_spoken_at_once(gateway: GatewayProcess) -> None:
    async with connect(gateway) as connection:
        for _ in range(2):
            await say(connection, tts.Synthesize(text=TEXT))
            sound, kinds = await hear_until(connection, "audio-stop")
            assert kinds == ["audio-start", "audio-stop"]
            assert 4 < raw_s(sound, 24_000) < 6


async def test_a_text_in_chunks_is_spoken_once(gateway: GatewayProcess) -> None:
    async with connect(gateway) as connection:
        await say(connection, tts.SynthesizeStart(voice=tts.SynthesizeVoice(name="en-us")))
        await say(connection, *(tts.SynthesizeChunk(text=TEXT[i : i + 7]) for i in range(0, 64, 7)))
        await say(connection, tts.Synthesize(text=TEXT), tts.SynthesizeStop())
        sound, kinds = await hear_until(connection, "synthesize-stopped")
    assert kinds == ["audio-start", "audio-stop", "synthesize-stopped"]
    assert 4 < raw_s(sound, 24_000) < 6


async def test_an_unknown_voice_is_an_error_and_the_connection_goes_on(
    gateway: GatewayProcess,
) -> None:
    async with connect(gateway) as connection:
        await say(connection, tts.Synthesize(text=TEXT, voice=tts.SynthesizeVoice(name="nobody")))
        assert await hear_until(connection, "error") == (b"", ["error"])
        await say(connection, tts.Synthesize(text="Hello."))
        assert (await hear_until(connection, "audio-stop"))[0]


async def test_hanging_up_cancels_and_others_go_on(paced: GatewayProcess) -> None:
    async with connect(paced) as other:
        async with connect(paced) as connection:
            await say(connection, tts.Synthesize(text=LONG))
            assert (await connection.read_event()).type == "audio-start"
        await say(other, tts.Synthesize(text="Hello."))
        assert (await hear_until(other, "audio-stop"))[0]
    for _ in range(100):
        if paced.metric("sessions_open") == 0:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the sessions stayed open")
