"""A real article, token by token: everything is spoken, and no sample is lost on the way.

Playing 2,300 characters takes two and a half minutes.  Two tests therefore listen *impatiently*:
they ask for audio as soon as it is made.  The third listens in real time, to all
paragraphs at the same time.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.cli.tokens import tokens_of
from gateway.client import Audio, Chunk, Context, StreamDecoder, Word, Words, connect
from gateway.codecs.opus import OpusDecoder
from gateway.codecs.resampler import Resampler
from gateway.media import PcmBlock, Samples
from gateway.settings import Settings
from gateway.synthesis import Rendering, Window
from tests.engine.scripted import ScriptedEngine
from tests.shell.asgi import Client, running

ARTICLE = (Path(__file__).parents[1] / "data" / "article.txt").read_text().strip()
TOKENS_PER_S = 200

pytestmark = pytest.mark.timeout(90)


async def say(context: Context, text: str) -> None:
    for token in tokens_of(text):
        await context.send_text(token)
        await asyncio.sleep(1 / TOKENS_PER_S)
    await context.end()


def check_text(pieces: Sequence[tuple[int, int, str]], text: str) -> None:
    """Chunks are the client's own text, in order; what lies between them can't be spoken."""
    end = 0
    for start, after, piece in pieces:
        assert text[start:after] == piece
        assert not re.search(r"\w", text[end:start]), text[end:start]
        assert start >= end
        end = after
    assert not re.search(r"\w", text[end:]), text[end:]


def check_frames(audio: Sequence[Audio], preskip_samples: int, duration_samples: int) -> None:
    """Numbers and timestamps adjoin; talkspurts are marked; the durations add up."""
    sequence_number = timestamp = 0
    between_talkspurts = True
    for message in audio:
        assert (message.sequence_number, message.timestamp) == (sequence_number, timestamp)
        assert message.marker is between_talkspurts
        between_talkspurts = message.last
        sequence_number += len(message.frames)
        timestamp += message.duration_samples
    assert between_talkspurts
    # What the encoder holds back must be pushed out, and the last frame be filled.
    assert 0 <= timestamp - preskip_samples - duration_samples < 960


def check_words(words: Sequence[Word], text: str, duration_samples: int) -> None:
    for word in words:
        assert text[word.start : word.end] == word.text
        assert word.duration > 0
        assert word.timestamp + word.duration <= duration_samples
    for one, other in itertools.pairwise(words):
        assert one.end <= other.start
        assert one.timestamp <= other.timestamp


async def test_an_article_is_spoken_whole_and_continuously(gateway_url: str) -> None:
    assert len(ARTICLE) > 2000
    audio: list[Audio] = []
    chunks: list[Chunk] = []
    words: list[Word] = []
    async with connect(gateway_url) as session:
        context = await session.start(paced=False)
        decoder = StreamDecoder(context.started)
        blocks: list[Samples] = []
        speaking = asyncio.create_task(say(context, ARTICLE))
        async for event in context:
            match event:
                case Audio():
                    audio.append(event)
                    blocks.append(decoder.decode(event))
                case Chunk():
                    chunks.append(event)
                    words += event.words
                case Words():
                    words += event.words
        await speaking
    done = context.done
    assert done is not None
    assert done.text_offset == len(ARTICLE)
    assert done.frames == sum(len(message.frames) for message in audio)
    check_frames(audio, context.started.preskip_samples, done.duration_samples)
    check_text([(chunk.start, chunk.end, chunk.text) for chunk in chunks], ARTICLE)
    check_words(words, ARTICLE, done.duration_samples)
    assert len(words) > 380
    # The speech is where the words are said to be: none of them is silent.
    pcm = np.concatenate(blocks)
    assert 0 <= len(pcm) - done.duration_samples // 2 < 480
    peaks = [
        np.abs(pcm[word.timestamp // 2 : (word.timestamp + word.duration) // 2]).max()
        for word in words
    ]
    assert min(peaks) > 0.02


async def test_the_listeners_of_all_paragraphs_hear_no_gap(gateway_url: str) -> None:
    paragraphs = [text[:220].rpartition(" ")[0] for text in ARTICLE.split("\n\n")[1:]]
    assert len(paragraphs) >= 5

    async def listen(context: Context) -> None:
        async for _ in context:
            pass

    async with connect(gateway_url) as session:
        contexts = [await session.start(f"{n}", speed=2.0) for n in range(len(paragraphs))]
        async with asyncio.TaskGroup() as tasks:
            for context, text in zip(contexts, paragraphs, strict=True):
                tasks.create_task(say(context, text))
                tasks.create_task(listen(context))
        for context, text in zip(contexts, paragraphs, strict=True):
            assert context.done is not None
            assert context.done.text_offset == len(text)
            assert context.player.underruns(session.now) == []
            assert context.player.received_samples >= context.done.duration_samples


# ── every sample, through real Opus ────────────────────────────────────────────────────────────


class NoiseEngine(ScriptedEngine):
    """Speaks noise below 2 kHz, 50 ms a character, never the same twice; remembers all of it."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(plans_ahead=False, lanes=1)
        self.info = type(self.info)(
            "noise", "1", sample_rate, self.info.voices, "v", 1, 1, plans_ahead=False
        )
        self.spoken: list[Samples] = []

    def render(self, windows: Sequence[Window], emit: Callable[[int, Rendering], bool]) -> None:
        (window,) = windows
        text = window.state
        assert isinstance(text, str)
        rate = self.info.sample_rate
        samples = noise(len(text) * rate // 20, rate, seed=len(self.spoken))
        self.spoken.append(samples)
        blocks = np.array_split(samples, max(1, len(samples) // 1777))
        for number, block in enumerate(blocks):
            emit(0, Rendering(PcmBlock(block, rate), number == len(blocks) - 1))


def noise(count: int, sample_rate: int, seed: int) -> Samples:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / sample_rate)
    spectrum[(frequencies < 100) | (frequencies > 2000)] = 0
    signal = np.fft.irfft(spectrum, count)
    return (0.5 * signal / np.abs(signal).max()).astype(np.float32)


def lags(expected: Samples, heard: Samples, window: int, reach: int) -> Iterator[tuple[int, float]]:
    """Of each window of ``expected``: where in ``heard`` it fits best, and how alike they are."""
    for start in range(reach, len(expected) - window - reach, window):
        piece = expected[start : start + window]
        around = heard[start - reach : start + window + reach]
        views = np.lib.stride_tricks.sliding_window_view(around, window)
        norms = np.linalg.norm(views, axis=1) * np.linalg.norm(piece)
        likeness = views @ piece / np.maximum(norms, 1e-9)
        best = int(likeness.argmax())
        yield best - reach, float(likeness[best])


@pytest.mark.parametrize("engine_rate", [24_000, 22_050])
async def test_every_sample_of_the_engine_is_heard_at_its_time(engine_rate: int) -> None:
    engine = NoiseEngine(engine_rate)
    settings = Settings(limits={"messages_burst_max": 100_000})  # type: ignore[arg-type]
    async with running(settings, engine) as (app, _):
        client = Client(app)
        await client.open()
        client.say(type="start", codec="opus", sample_rate=24_000, bitrate=128_000, paced=False)
        for token in tokens_of(ARTICLE):
            client.say(type="text", text=token)
        client.say(type="end")
        heard, timestamps, done = await listen_impatiently(client)
        await client.end()
    assert len(timestamps) == len(engine.spoken) > 10
    expected = [at_24_khz(samples, engine_rate) for samples in engine.spoken]
    # No talkspurt ends in between, so the chunks adjoin and nothing else is in the audio.
    total = sum(len(samples) for samples in engine.spoken)
    assert done["duration_samples"] == pytest.approx(total * 48_000 / engine_rate, abs=2)
    for samples, timestamp in zip(expected, timestamps, strict=True):
        chunk = heard[timestamp // 2 : timestamp // 2 + len(samples)]
        assert len(chunk) >= len(samples) - 1
        found = list(lags(samples, chunk, window=1200, reach=120))
        assert {lag for lag, _ in found} == {0}
        assert min(likeness for _, likeness in found) > 0.97


async def listen_impatiently(client: Client) -> tuple[Samples, list[int], dict[str, object]]:
    """The decoded speech at 24 kHz, the chunks' timestamps, and ``done``."""
    decoder = OpusDecoder(24_000)
    blocks: list[Samples] = []
    timestamps: list[int] = []
    preskip = 0
    while True:
        message = await client.hear()
        if isinstance(message, tuple):
            _, payloads = message
            blocks += [decoder.decode(payload) for payload in payloads]
        elif message["type"] == "started":
            preskip = message["preskip_samples"] // 2
        elif message["type"] == "chunk":
            timestamps.append(message["timestamp"])
        elif message["type"] == "done":
            return np.concatenate(blocks)[preskip:], timestamps, message
        else:
            raise AssertionError(message)


def at_24_khz(samples: Samples, sample_rate: int) -> Samples:
    resampler = Resampler(sample_rate, 24_000)
    return np.concatenate([resampler.write(samples), resampler.finish()])
