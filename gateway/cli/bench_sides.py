"""The sides that ``bench first-audio`` and ``bench throughput`` compare, on one model.

    Ours      text → espeak-ng → dispatcher → plan → windows → Opus: all of the gateway but sockets
    Bare      onnxruntime's ``run`` on the same graphs, with arrays that lie ready
    Package   the whole sentence in one graph, by the package kokoro-onnx if it is installed, else
              by a session with onnxruntime's defaults, which is what that package opens

All sides say the same tokens.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.codecs.catalog import make_codec
from gateway.codecs.track import Track
from gateway.engine.cache import ChunkCache
from gateway.engine.dispatcher import Dispatcher
from gateway.engine.job import Job
from gateway.engine.kokoro.engine import EspeakReader, KokoroEngine, Reader, RenderOptions
from gateway.engine.kokoro.graphs import (
    PHASES,
    ROLES,
    Acoustics,
    Cut,
    generator_inputs,
)
from gateway.engine.kokoro.manifest import WHOLE
from gateway.engine.kokoro.phrases import CALIBRATION, HELD_OUT
from gateway.engine.kokoro.reading import FRAME_SAMPLES, NONE, Reading
from gateway.engine.kokoro.runtime import open_plain_session, open_session, running_options
from gateway.engine.kokoro.store import Model
from gateway.engine.kokoro.windows import Floats, Statistics, WindowSizes, divide
from gateway.errors import GatewayError
from gateway.media import MEDIA_RATE, seconds
from gateway.ops.metrics import Metrics
from gateway.settings import AudioSettings, EngineSettings
from gateway.synthesis import Alignment, EncodedRendering, RequestId, SynthesisRequest, TextChunk

PACKAGE = "kokoro_onnx"
LANGUAGE = "en-us"
FIRST_AUDIO_BUDGET_S = 0.5
OPUS_BITRATE = 24_000
TEXT = (
    "When the last ferry had left, the harbour grew quiet, and only the lamps along the wall "
    "showed where the water began, so we walked slowly up the hill, past the closed shops and the "
    "old school, until somebody called our names from a window, and we found that dinner had been "
    "waiting for us since eight, with soup, bread, cheese, and a bottle that my brother had kept "
    "for a day when all of us would be at home, which had not happened since the winter in which "
    "the bridge was carried away by the ice and the post came only once a week by sledge."
)


class SymbolReader:
    """Takes text that is symbols already: for machines without espeak-ng."""

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, spoken: str, language: str) -> Reading:
        """One word; only the tokens matter here."""
        return Reading(spoken, (0,) + (NONE,) * (len(spoken) - 1), ((0, len(spoken)),))


def symbols_of(tokens: int) -> str:
    """So many tokens with the boundaries, of ordinary sentences."""
    text = " ".join((*HELD_OUT, *CALIBRATION)) * (tokens // 100 + 1)
    return text[: tokens - 2]


@dataclass(frozen=True, slots=True)
class Sentence:
    """What all sides say: ``text`` is for a ``reader``, which makes ``symbols`` of it."""

    text: str
    symbols: str

    @classmethod
    def of(cls, tokens: int) -> Sentence:
        """So many tokens with the boundaries, or hardly fewer, read by espeak-ng if it is here."""
        if importlib.util.find_spec("espeakng_loader") is None:
            return cls(symbols_of(tokens), symbols_of(tokens))
        reader = EspeakReader(EngineSettings())
        reader.start()
        try:
            words = TEXT.split()
            best = _longest(reader, words, tokens - 2)
            for start in range(1, len(words) // 2):
                if len(best.symbols) + 2 >= tokens:
                    break
                other = _longest(reader, words[start:], tokens - 2)
                best = max(best, other, key=lambda sentence: len(sentence.symbols))
            return best
        finally:
            reader.close()

    def reader(self) -> Reader:
        """One that reads ``text``; not yet started."""
        return SymbolReader() if self.text == self.symbols else EspeakReader(EngineSettings())

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Token ids with both boundaries, [1, N]."""
        return SymbolReader().read(self.symbols, "").input_ids()


def _text(words: Sequence[str]) -> str:
    return " ".join(words).rstrip(",.") + "."


def _longest(reader: Reader, words: Sequence[str], symbols_max: int) -> Sentence:
    """As many of ``words`` as have so many symbols, but one at least."""
    found = _sentence(reader, words[:1])
    for count in range(2, len(words) + 1):
        longer = _sentence(reader, words[:count])
        if len(longer.symbols) > symbols_max:
            break
        found = longer
    return found


def _sentence(reader: Reader, words: Sequence[str]) -> Sentence:
    text = _text(words)
    return Sentence(text, reader.read(text, LANGUAGE).symbols)


class Ours:
    """The gateway's own path; ``close`` ends its threads and processes."""

    def __init__(self, model: Model, sentence: Sentence, options: RenderOptions) -> None:
        self._engine = KokoroEngine(model.folder, sentence.reader(), options)
        self._engine.start()
        self._text = sentence.text
        self._runner = asyncio.Runner()
        self._dispatcher = self._runner.run(self._open())
        self._asked = 0

    def first_audio(self) -> None:
        """Return when the first packets of a sentence are there; the rest is withdrawn."""
        self._runner.run(self._first_audio())

    def speak_all(self, sessions: int) -> float:
        """As many sessions say the sentence at once; returns the seconds of sound."""
        return self._runner.run(self._speak_all(sessions))

    def close(self) -> None:
        """Idempotent."""
        self._runner.run(self._dispatcher.close())
        self._runner.close()
        self._engine.close()

    async def _open(self) -> Dispatcher:
        return Dispatcher(
            (self._engine,),
            lambda voice: self._engine,
            ChunkCache(0),
            Metrics(),
            queue_max=1024,
            retries_max=0,
        )

    async def _first_audio(self) -> None:
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        job = self._job(heard, first=True)
        self._dispatcher.submit(job)
        await heard
        name = job.request.id
        self._dispatcher.withdraw(name.session, name.context, name.generation)

    async def _speak_all(self, sessions: int) -> float:
        loop = asyncio.get_running_loop()
        spoken = []
        for _ in range(sessions):
            spoken.append(loop.create_future())
            self._dispatcher.submit(self._job(spoken[-1], first=False))
        return float(sum(await asyncio.gather(*spoken)))

    def _job(self, over: asyncio.Future[float], *, first: bool) -> Job:
        """``over`` gets the seconds of sound: at the first packets, or when all are there."""
        samples = 0

        def deliver(rendered: EncodedRendering) -> None:
            nonlocal samples
            samples += sum(frame.duration_samples for frame in rendered.frames)
            if not over.done() and samples and (first or rendered.final):
                over.set_result(samples / MEDIA_RATE)

        def fail(request: RequestId, error: GatewayError) -> None:
            if not over.done():
                over.set_exception(error)

        self._asked += 1
        text = self._text
        chunk = TextChunk(text, 0, len(text), text, (Alignment(0, len(text), 0, len(text)),))
        codec = make_codec(
            "opus",
            sample_rate=24_000,
            frame_duration_ms=20,
            bitrate=OPUS_BITRATE,
            settings=AudioSettings(),
        )
        deadline = asyncio.get_running_loop().time() + FIRST_AUDIO_BUDGET_S
        name = RequestId(f"bench-{self._asked}", "bench", 0, 0)
        request = SynthesisRequest(name, chunk, "", LANGUAGE, 1.0, deadline, first=True)
        return Job(request, Track(codec), deliver, fail)


class Bare:
    """Sessions and arrays, nothing else.  ``defaults``: onnxruntime's own options, which spin."""

    def __init__(
        self,
        model: Model,
        sentence: Sentence,
        sizes: WindowSizes,
        threads: int,
        *,
        defaults: bool = False,
    ) -> None:
        self._sessions: dict[str, Any] = {}
        for role in ROLES:
            file = model.path(model.graphs(role)[0])
            self._sessions[role] = (
                open_plain_session(file)
                if defaults
                else open_session(file, running_options(threads))
            )
        self._ids = sentence.ids
        self._style: Floats = model.voices.style(model.voices.default, len(sentence.symbols))
        width = {each.name: each for each in self._sessions["generator"].get_inputs()}["mean"]
        zeros = np.zeros(width.shape[1], np.float32)
        self._given = Statistics(zeros, zeros, 1.0)
        durations = self._run("plan", ("durations",), self._plan_inputs())[0]
        self._frames = int(durations.sum())
        self._noise = np.random.Generator(np.random.Philox(0)).standard_normal(
            (1, FRAME_SAMPLES * self._frames), np.float32
        )
        self._spans = divide(self._frames, sizes)

    def first_window(self) -> None:
        """Plan, front, source, and the generator on the first window."""
        self._generate([self._cut(self._acoustics(), 0)])

    def speak_all(self, sessions: int, lanes: int, batch: int) -> float:
        """As many sentences on ``lanes`` threads, ``batch`` windows a call; seconds of sound."""

        def speak(together: int) -> None:
            clauses = [self._acoustics() for _ in range(together)]
            for place in range(len(self._spans)):
                self._generate([self._cut(each, place) for each in clauses])

        groups = [min(batch, sessions - begun) for begun in range(0, sessions, batch)]
        with ThreadPoolExecutor(lanes) as threads:
            list(threads.map(speak, groups))
        return sessions * self._frames * seconds(FRAME_SAMPLES * 2)

    def render_windows(self, windows: int, lanes: int, batch: int) -> None:
        """The generator alone, on the second window so many times."""
        acoustics = self._acoustics()
        place = min(1, len(self._spans) - 1)
        inputs = generator_inputs([self._cut(acoustics, place)] * batch)
        with ThreadPoolExecutor(lanes) as threads:
            list(
                threads.map(
                    lambda _: self._run("generator", ("audio",), inputs), range(windows // batch)
                )
            )

    def _acoustics(self) -> Acoustics:
        outputs = ("durations", "asr", "f0", "n")
        durations, asr, f0, n = self._run("plan", outputs, self._plan_inputs())
        style = self._style
        front = {"asr": asr, "f0": f0, "n": n, "frames": durations.sum(-1), "style": style}
        phase0 = np.zeros((1, PHASES), np.float32)
        (features,) = self._run("front", ("features",), front)
        source = {"f0": f0, "phase0": phase0, "noise": self._noise}
        (harmonics,) = self._run("source", ("harmonics",), source)
        return Acoustics(features, harmonics)

    def _plan_inputs(self) -> dict[str, Any]:
        return {
            "input_ids": self._ids,
            "lengths": np.array([self._ids.shape[1]], np.int64),
            "style": self._style,
            "speed": np.ones(1, np.float32),
        }

    def _cut(self, acoustics: Acoustics, place: int) -> Cut:
        return acoustics, self._spans[place], self._style, self._given

    def _generate(self, windows: Sequence[Cut]) -> None:
        self._run("generator", ("audio", "own_mean", "own_square"), generator_inputs(windows))

    def _run(self, role: str, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        found: list[Any] = self._sessions[role].run(outputs, inputs)
        return found


class Package:
    """The whole sentence at once; ``name`` says by what."""

    def __init__(self, model: Model, sentence: Sentence) -> None:
        file = model.path(model.graphs(WHOLE)[0])
        voices = model.path(model.manifest.voices[0])
        self._sentence = sentence
        self._voice = model.voices.default
        self._style = model.voices.style(self._voice, len(sentence.symbols))
        self._package: Any = None
        if importlib.util.find_spec(PACKAGE) is None:
            self.name = "one session with onnxruntime's defaults"
            self._session = open_plain_session(file)
        else:
            self.name = "the package kokoro-onnx"
            self._package = importlib.import_module(PACKAGE).Kokoro(str(file), str(voices))

    def speak(self) -> None:
        """Symbols are given to the package too, which spares it phonemising."""
        if self._package is not None:
            self._package.create(self._sentence.symbols, self._voice, is_phonemes=True)
            return
        speed = np.ones(1, np.float32)
        feed = {"tokens": self._sentence.ids, "style": self._style, "speed": speed}
        self._session.run(("audio",), feed)
