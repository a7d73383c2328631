"""Kokoro behind the dispatcher and the gateway: what is promised of lengths, words and bad input.

The engine is the real one, on the tiny stand-in; the references are computed from its graphs alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.codecs.pcm import PcmDecoder
from gateway.engine.base import Emit, Engine
from gateway.engine.cache import ChunkCache
from gateway.engine.dispatcher import Dispatcher
from gateway.engine.job import Job
from gateway.engine.kokoro.engine import KokoroEngine, Reader
from gateway.engine.kokoro.frontend import Frontend
from gateway.engine.kokoro.graphs import SplitGraphs
from gateway.engine.kokoro.reading import Reading
from gateway.engine.kokoro.store import open_model
from gateway.errors import GatewayError, SetupError
from gateway.media import EncodedFrame, PcmBlock
from gateway.ops.metrics import Metrics
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId, SpokenWord, SynthesisRequest, Window
from tests.engine.kokoro.spelling import SpellingReader
from tests.engine.speaking import audio, request, speak
from tests.shell.asgi import Client

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"
TEXT = "the quick brown fox jumps over the lazy dog, and then it runs away."
FRAME_MEDIA = 1200
"""One frame of 25 ms in media samples."""


class Watched(KokoroEngine):
    """The engine; ``before_render`` is called with each batch of windows."""

    before_render: Callable[[Sequence[Window]], None] = staticmethod(lambda windows: None)

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        self.before_render(windows)
        super().render(windows, emit)


class Listener:
    """A track that keeps the PCM, and who hears it."""

    def __init__(self) -> None:
        self.pcm: list[np.ndarray] = []
        self.position_samples = 0
        self.renderings: list[EncodedRendering] = []
        self.error: GatewayError | None = None
        self.over = asyncio.Event()

    def write(self, block: PcmBlock) -> list[EncodedFrame]:
        self.pcm.append(block.samples)
        self.position_samples += 2 * len(block.samples)
        return [EncodedFrame(b"f", 960)]

    def deliver(self, rendered: EncodedRendering) -> None:
        self.renderings.append(rendered)
        if rendered.final:
            self.over.set()

    def fail(self, request: RequestId, error: GatewayError) -> None:
        self.error = error
        self.over.set()

    @property
    def words(self) -> list[SpokenWord]:
        return [word for rendered in self.renderings for word in rendered.words]


class Served:
    """An engine behind a dispatcher."""

    def __init__(self, engine: Engine) -> None:
        self._dispatcher = Dispatcher(
            (engine,),
            lambda voice: engine,
            ChunkCache(0),
            Metrics(),
            queue_max=100,
            retries_max=0,
        )
        self._sessions = 0

    def ask(self, text: str, voice: str = "") -> tuple[Job, Listener]:
        asked = request(text, voice)
        self._sessions += 1
        asked = SynthesisRequest(
            RequestId(f"s{self._sessions}", "c", 0, 0),
            asked.chunk,
            voice,
            "",
            1.0,
            asyncio.get_running_loop().time() + 1,
            True,
        )
        listener = Listener()
        job = Job(asked, listener, listener.deliver, listener.fail)
        self._dispatcher.submit(job)
        return job, listener

    async def hear(self, text: str, voice: str = "") -> Listener:
        _, listener = self.ask(text, voice)
        await asyncio.wait_for(listener.over.wait(), 10)
        return listener

    async def close(self) -> None:
        await self._dispatcher.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Watched]:
    engine = Watched(TINY, SpellingReader())
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
async def served(engine: Watched) -> AsyncIterator[Served]:
    served = Served(engine)
    yield served
    await served.close()


def frames_of(reading: Reading) -> list[int]:
    """Where each token begins, in frames: the durations from the plan graph, summed."""
    model = open_model(TINY)
    graphs = SplitGraphs.open(model, plan_threads=1, render_threads=1)
    style = model.voices.style(model.voices.default, len(reading))
    (planned,) = graphs.plan([reading.input_ids()], style, [1.0])
    return [0, *accumulate(int(each) for each in planned.durations)]


# ── lengths and words ──────────────────────────────────────────────────────────────────────────


async def test_words_reach_the_session_within_a_frame_of_the_models_durations(
    served: Served,
) -> None:
    heard = await served.hear(TEXT)
    reading = SpellingReader().read(TEXT, "")
    starts = frames_of(reading)
    assert len(heard.words) == 14
    assert [(word.spoken_start, word.spoken_end) for word in heard.words] == list(reading.words)
    for number, word in enumerate(heard.words):
        tokens = [1 + place for place, owner in enumerate(reading.word_of) if owner == number]
        assert abs(word.start_samples - starts[tokens[0]] * FRAME_MEDIA) <= FRAME_MEDIA
        assert abs(word.end_samples - starts[tokens[-1] + 1] * FRAME_MEDIA) <= FRAME_MEDIA
    assert heard.position_samples == starts[-1] * FRAME_MEDIA


async def test_all_words_come_with_the_first_audio(served: Served) -> None:
    heard = await served.hear(TEXT)
    assert len(heard.renderings[0].words) == 14
    assert heard.renderings[0].end_samples < heard.position_samples / 4


async def test_the_exact_length_is_known_before_the_first_window_runs(
    served: Served, engine: Watched
) -> None:
    known: list[float | None] = []
    jobs: list[Job] = []

    def note(windows: Sequence[Window]) -> None:
        known.append(jobs[0].length_s)

    engine.before_render = note
    try:
        job, listener = served.ask(TEXT)
        jobs.append(job)
        await asyncio.wait_for(listener.over.wait(), 10)
    finally:
        del engine.before_render
    assert len(known) > 3
    assert known == [sum(map(len, listener.pcm)) / 24_000] * len(known)


async def test_511_tokens_are_spoken_without_loss_and_others_speak_meanwhile(
    served: Served,
) -> None:
    text = ("abcd " * 110)[:511]
    (_, long), (_, other) = served.ask(text), served.ask(TEXT)
    for listener in (long, other):
        await asyncio.wait_for(listener.over.wait(), 10)
        assert listener.error is None
    assert [text[word.spoken_start : word.spoken_end] for word in long.words] == text.split()
    parts = SpellingReader().read(text, "").split()
    assert len(parts) == 2
    frames = sum(frames_of(part)[-1] for part in parts)
    assert sum(map(len, long.pcm)) == 600 * frames
    assert len(other.words) == 14


# ── bad input, and who else hears of it ────────────────────────────────────────────────────────


async def test_an_unknown_voice_fails_its_chunk_alone(served: Served) -> None:
    (_, wrong), (_, right) = served.ask(TEXT, "af_nobody"), served.ask(TEXT, "am_gamma")
    for listener in (wrong, right):
        await asyncio.wait_for(listener.over.wait(), 10)
    assert wrong.error is not None
    assert wrong.error.field == "voice"
    assert "'af_nobody'" in wrong.error.message
    assert not wrong.pcm
    assert right.error is None
    assert len(right.words) == 14


def clicking(unreadable: str) -> Reader:
    """The real frontend on phonemes of which one has no symbol."""
    ipa = {"hello": "həlˈoʊ", "click": "kʘlɪk", "world": "wˈɜːld"}

    def phonemize(selector: str, texts: Sequence[str]) -> list[str]:
        return [" ".join(ipa[word] for word in text.split()) for text in texts]

    class Clicking(SpellingReader):
        frontend = Frontend(phonemize, unreadable=unreadable)

        def read(self, spoken: str, language: str) -> Reading:
            return self.frontend.read(spoken, "en-us")

    return Clicking()


async def test_sounds_without_a_symbol_are_left_out_and_their_words_stay() -> None:
    engine = KokoroEngine(TINY, clicking("drop"))
    engine.start()
    served = Served(engine)
    heard = await served.hear("hello click world")
    assert heard.error is None
    assert [(word.spoken_start, word.spoken_end) for word in heard.words] == [
        (0, 5),
        (6, 11),
        (12, 17),
    ]
    await served.close()
    engine.close()


async def test_sounds_without_a_symbol_fail_their_chunk_alone_if_the_setting_says_so() -> None:
    engine = KokoroEngine(TINY, clicking("error"))
    engine.start()
    served = Served(engine)
    (_, wrong), (_, right) = served.ask("hello click"), served.ask("hello world")
    for listener in (wrong, right):
        await asyncio.wait_for(listener.over.wait(), 10)
    assert wrong.error is not None
    assert "no symbol for 'ʘ'" in wrong.error.message
    assert right.error is None
    assert len(right.words) == 2
    await served.close()
    engine.close()


def changed(folder: Path, file: str, content: bytes, *, pinned: bool) -> Path:
    """A copy of the tiny model with another ``file``, whose checksum the manifest may know."""
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns(".verified.json"))
    (folder / file).write_bytes(content)
    if pinned:
        manifest = json.loads((folder / "manifest.json").read_text())
        graph = next(each for each in manifest["graphs"] if each["file"] == file)
        graph |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def wrong_models(folder: Path) -> dict[str, tuple[Path, str]]:
    """Directories that are no model that can be served, and what is said of each."""
    generator = (TINY / "generator.onnx").read_bytes()
    other = bytearray(generator)
    other[len(other) // 2] ^= 1
    front = (TINY / "front.onnx").read_bytes()
    return {
        "checksum": (
            changed(folder / "checksum", "generator.onnx", bytes(other), pinned=False),
            r"generator.onnx is damaged .* SHA-256 is .* instead of",
        ),
        "cut": (
            changed(folder / "cut", "generator.onnx", generator[:-100], pinned=False),
            r"generator.onnx has 556784 bytes instead of 556884",
        ),
        "cut and pinned": (
            changed(folder / "pinned", "generator.onnx", generator[:-100], pinned=True),
            r"onnxruntime can't open .*generator.onnx .*cut short",
        ),
        "another contract": (
            changed(folder / "contract", "plan.onnx", front, pinned=True),
            r"plan.onnx is not the graph 'plan' .*: it takes asr, f0, frames, n, style and gives "
            r"features; build it again",
        ),
    }


@pytest.mark.parametrize("wrong", ["checksum", "cut", "cut and pinned", "another contract"])
def test_a_model_that_is_wrong_says_why_and_disturbs_none_that_runs(
    engine: Watched, tmp_path: Path, wrong: str
) -> None:
    before = audio(speak(engine, TEXT))
    folder, message = wrong_models(tmp_path)[wrong]
    with pytest.raises(SetupError, match=message):
        KokoroEngine(folder, SpellingReader()).start()
    assert np.array_equal(audio(speak(engine, TEXT)), before)


# ── the whole way ──────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def gateway_with(engines: dict[str, Engine]) -> AsyncIterator[Starlette]:
    app = create_app(Settings(), {name: lambda _, e=engine: e for name, engine in engines.items()})
    async with app.router.lifespan_context(app):
        await app.state.gateway.loaded()
        yield app


async def heard_samples(client: Client) -> int:
    messages, payloads = await client.hear_until("done")
    assert not [message for message in messages if message["type"] == "error"]
    decoder = PcmDecoder("pcm", 24_000)
    samples = sum(len(decoder.decode(payload)) for payload in payloads)
    assert 2 * samples >= messages[-1]["duration_samples"] > 0
    return int(messages[-1]["duration_samples"])


async def test_a_session_that_names_an_unknown_voice_is_told_and_others_speak() -> None:
    async with gateway_with({"kokoro": KokoroEngine(TINY, SpellingReader())}) as app:
        wrong, right = Client(app), Client(app)
        await wrong.open()
        await right.open()
        right.say(type="start", codec="pcm", voice="am_gamma")
        right.say(type="text", text="one two three ")
        wrong.say(type="start", codec="pcm", voice="af_nobody")
        told, _ = await wrong.hear_until("error")
        assert told[-1]["field"] == "voice"
        assert "af_nobody" in told[-1]["message"]
        wrong.say(type="start", codec="pcm", voice="af_alpha")
        for client in (wrong, right):
            client.say(type="text", text="four.")
            client.say(type="end")
        assert await heard_samples(wrong) < await heard_samples(right)
        await wrong.end()
        await right.end()


async def test_a_model_that_is_wrong_leaves_the_other_engines_speaking(tmp_path: Path) -> None:
    folder, _ = wrong_models(tmp_path)["another contract"]
    engines: dict[str, Engine] = {
        "broken": KokoroEngine(folder, SpellingReader()),
        "kokoro": KokoroEngine(TINY, SpellingReader()),
    }
    async with gateway_with(engines) as app:
        problems = app.state.gateway.problems
        assert list(problems) == ["broken"]
        assert "is not the graph 'plan'" in problems["broken"]
        client = Client(app)
        await client.open()
        client.say(type="start", codec="pcm")
        client.say(type="text", text="one two.")
        client.say(type="end")
        assert await heard_samples(client) > 0
        await client.end()
