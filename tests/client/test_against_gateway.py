"""The client against a real gateway in a process of its own: real sockets, engine and libopus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.cli.local import local_gateway
from gateway.client import Audio, Chunk, Done, StreamDecoder, Words, connect
from gateway.errors import InvalidValue, LimitExceeded

pytestmark = pytest.mark.timeout(60)

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
WORDS = [
    "The",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "then",
    "it",
    "sleeps",
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with local_gateway() as address:
        yield address


async def test_all_samples_of_a_text_arrive_and_its_words_lie_within(url: str) -> None:
    async with connect(url) as session:
        context = await session.start(voice="en-us", speed=2.0)
        decoder = StreamDecoder(context.started)
        blocks, words, text, done = [], [], "", None
        speaking = asyncio.create_task(context.speak(list(TEXT)))
        async for event in context:
            match event:
                case Audio():
                    blocks.append(decoder.decode(event))
                case Chunk():
                    text += event.text
                    words += event.words
                case Words():
                    words += event.words
                case Done():
                    done = event
        await speaking
    assert done is not None
    assert text == TEXT
    assert done.text_offset == len(TEXT)
    pcm = np.concatenate(blocks)
    speech = done.duration_samples // 2  # 24 kHz
    assert 0 <= len(pcm) - speech <= 480
    assert [word.text for word in words] == WORDS
    assert all(TEXT[word.start : word.end] == word.text for word in words)
    times = [word.timestamp for word in words]
    assert times == sorted(times)
    last = words[-1]
    assert last.timestamp + last.duration <= done.duration_samples
    loud = [np.abs(pcm[w.timestamp // 2 : (w.timestamp + w.duration) // 2]).max() for w in words]
    assert min(loud) > 0.02


async def test_barge_in_tells_the_word_and_the_next_answer_is_clean(url: str) -> None:
    async with connect(url) as session:
        context = await session.start(voice="en-us")
        await context.send_text(TEXT)
        await asyncio.sleep(0.8)
        heard = (await context.cancel()).heard
        assert heard.source == "client"
        assert 0 < heard.text_offset < len(TEXT)
        assert TEXT[: heard.text_offset].endswith(heard.word)

        await context.speak("Yes?")
        decoder = StreamDecoder(context.started)
        audio = [event async for event in context if isinstance(event, Audio)]
        assert {event.generation for event in audio} == {1}
        assert audio[0].sequence_number == 0
        assert audio[0].marker
        assert np.abs(np.concatenate([decoder.decode(event) for event in audio])).max() > 0.02


async def test_the_virtual_listener_hears_no_gap(url: str) -> None:
    async with connect(url) as session:
        context = await session.start(voice="en-us", speed=2.0, codec="pcm", sample_rate=8000)
        await context.speak("One sentence. Another sentence follows. And a third one!")
        async for _ in context:
            pass
        assert context.player.underrun_count(session.now) == 0
        assert context.player.received_samples > 48_000


async def test_the_gateways_refusals_are_our_errors(url: str) -> None:
    async with connect(url) as session:
        with pytest.raises(InvalidValue, match="voice") as caught:
            await session.start(voice="nobody")
        assert caught.value.field == "voice"
        with pytest.raises(InvalidValue, match="codec"):
            await session.start(codec="mp3")
        with pytest.raises(LimitExceeded, match="context"):
            await session.start("x" * 100)
        assert (await session.start()).started.codec == "opus"


async def test_finish_waits_for_the_whole_answer(url: str) -> None:
    async with connect(url) as session:
        context = await session.start()
        await context.speak("Good bye.")
        await asyncio.wait_for(session.finish(), 10)
        assert isinstance([event async for event in context][-1], Done)
