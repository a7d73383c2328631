"""The embedded voice: espeak-ng in worker processes.

    render(window) ─► pool.acquire ─► worker: text out, PCM and marks in ─► SpeechStream ─► emit
                                          (espeak_process)                  (espeak_stream)

espeak-ng is small, speaks 130 languages some hundred times faster than they sound, and cannot say
how long a text will be before it has spoken it.  So ``plan`` only looks up the voice, and one
window per request is streamed.  It is GPL-3: the wheel that carries it is an extra, and only the
worker program loads it (espeak_worker).

Two renderings of a text are not alike bit by bit: most voices mix in noise, and a worker's past
shows.  The Klatt voices 1–5 keep the timing exact to the sample and klatt6 repeats every bit; other
voices differ by some 0.3 % in length.  Whoever repeats a chunk that was half emitted may go on from
the same sample offset: word times hold, but there may be a click at the seam.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.engine.base import Emit, EngineInfo, Voice
from gateway.engine.espeak_pool import WorkerPool
from gateway.engine.espeak_process import EspeakText, WorkerProcess
from gateway.engine.espeak_stream import SpeechStream
from gateway.engine.espeak_text import ends_with_pause, prepare
from gateway.engine.espeak_voices import DEFAULT_LANGUAGE, ENGINE_NAME, EspeakVoice, VoiceTable
from gateway.errors import (
    EngineCrashed,
    EngineTimeout,
    InvalidValue,
    SetupError,
    SynthesisError,
)
from gateway.settings import EspeakSettings
from gateway.synthesis import Plan, Rendering, SynthesisRequest, Window

WORDS_PER_MINUTE = 175
"""espeak's own default, at speed 1.  It takes 80–450; clients' speeds 0.5–2 make it 88–350."""

WORDS_PER_MINUTE_MIN, WORDS_PER_MINUTE_MAX = 80, 450

TEXT_CHARS_MAX = 100_000
"""One request; about two hours of speech, and far less than a frame to a worker may hold."""

_LOADER = "espeakng_loader"
_DISTRIBUTION = "espeakng-loader"
_SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"


def espeak_available() -> bool:
    """Whether the extra is installed, library and data; nothing is loaded."""
    folder = _folder()
    return folder is not None and _library(folder).is_file() and _data(folder).is_dir()


def espeak_facts() -> dict[str, str]:
    """Where the library lies and which one it is, for ``voice-gateway doctor``.

    Starts a worker to ask for the version (0.1 s).  Raises SetupError if it cannot speak.
    """
    folder = installed_folder()
    engine = EspeakEngine(EspeakSettings(workers=1))
    try:
        engine.start()
        return {
            "library": str(_library(folder)),
            "data": str(_data(folder)),
            "version": engine.info.version,
            "wheel": f"{_DISTRIBUTION} {importlib.metadata.version(_DISTRIBUTION)}",
            "voices": str(len(engine.info.voices)),
        }
    finally:
        engine.close()


class EspeakEngine:
    """An ``Engine`` (engine/base.py) of ``settings.workers`` lanes.

    ``default_voice`` is any name that ``resolve`` takes; empty means American English.
    """

    def __init__(self, settings: EspeakSettings, default_voice: str = "") -> None:
        self._settings = settings
        self._default_voice = default_voice or DEFAULT_LANGUAGE
        self._folder: Path | None = None
        self._info: EngineInfo | None = None
        self._table: VoiceTable | None = None
        self._pool = WorkerPool(self._spawn, settings.workers, acquire_timeout_s=settings.timeout_s)

    @property
    def info(self) -> EngineInfo:
        """Facts; valid after ``start``."""
        assert self._info is not None, "start() comes first"
        return self._info

    def start(self) -> None:
        """Start the workers, all at once, and ask one for its voices.

        Raises SetupError if the extra is not installed, the library does not load, or the default
        voice does not exist.
        """
        self._folder = installed_folder()
        self._pool.start()
        try:
            self._table = VoiceTable(self._list_voices())
            default = self._table.resolve(self._default_voice)
        except InvalidValue as error:
            self.close()
            raise SetupError(f"engine.default_voice: {error.message}") from error
        except (EOFError, TimeoutError) as error:
            self.close()
            raise SetupError(
                "an espeak-ng worker broke down as it listed its voices; "
                "check the installation with: voice-gateway doctor"
            ) from error
        self._info = EngineInfo(
            name=ENGINE_NAME,
            version=self._pool.version,
            sample_rate=self._pool.sample_rate,
            voices=self._table.voices,
            default_voice=default.voice.id,
            lanes=self._settings.workers,
            batch_max=1,
            plans_ahead=False,
        )

    def warm_up(self) -> None:
        """Nothing: workers are as fast the first time."""

    def close(self) -> None:
        """End the workers within two seconds; idempotent.  A running ``render`` fails."""
        self._pool.close()

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that are ready now."""
        return self._pool.pids()

    def resolve(self, voice: str, language: str = "") -> EspeakVoice:
        """The voice to speak with: ``voice``, else one for ``language``, else the default.

        Many more voices are accepted than ``info`` lists.  Raises InvalidValue naming the field.
        """
        assert self._table is not None, "start() comes first"
        if voice or not language:
            return self._table.resolve(voice or self.info.default_voice)
        return self._table.for_language(language)

    def find(self, voice: str, language: str) -> Voice:
        """As ``resolve``; the id of the result is the canonical name."""
        return self.resolve(voice, language).voice

    def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
        """One final window for each request, without work; an unknown voice is an error."""
        return [self._plan(request) for request in requests]

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        """Speak the one window on an idle worker.

        Raises EngineCrashed or EngineTimeout if the worker died or hung; it is being replaced by
        then, and the window may be rendered again.
        """
        (window,) = windows
        utterance = window.state
        assert isinstance(utterance, EspeakText)
        if not utterance.text:
            for rendering in self._new_stream(utterance).finish():
                emit(0, rendering)
            return
        worker = self._pool.acquire()
        try:
            self._speak(worker, utterance, emit)
        except EOFError as error:
            raise EngineCrashed(f"espeak-ng worker {worker.pid} died as it spoke") from error
        except TimeoutError as error:
            raise EngineTimeout(
                f"espeak-ng worker {worker.pid} gave no audio for {self._settings.timeout_s} s "
                "(engine.espeak.timeout_s) and is replaced"
            ) from error
        finally:
            self._pool.release(worker)

    def _plan(self, request: SynthesisRequest) -> Plan | SynthesisError:
        try:
            voice = self.resolve(request.voice, request.language)
        except InvalidValue as error:
            return SynthesisError(error.message, field=error.field)
        text = prepare(request.chunk.spoken)
        if len(text) > TEXT_CHARS_MAX:
            return SynthesisError(
                f"a chunk of {len(text)} characters is longer than {TEXT_CHARS_MAX}; "
                "text.chunk_chars_max should prevent that",
                limit=TEXT_CHARS_MAX,
            )
        rate = round(WORDS_PER_MINUTE * request.speed)
        utterance = EspeakText(
            text=text,
            selector=voice.selector,
            words_per_minute=max(WORDS_PER_MINUTE_MIN, min(WORDS_PER_MINUTE_MAX, rate)),
            pause_at_end=ends_with_pause(text),
        )
        window = Window(request.id, index=0, final=True, state=utterance)
        return Plan(request.id, (window,))

    def _speak(self, worker: WorkerProcess, utterance: EspeakText, emit: Emit) -> None:
        worker.begin(utterance)
        try:
            for rendering in self._renderings(worker, utterance):
                if not emit(0, rendering):
                    return
        finally:
            worker.abandon()

    def _renderings(self, worker: WorkerProcess, utterance: EspeakText) -> Iterator[Rendering]:
        stream = self._new_stream(utterance)
        while (block := worker.next_block()) is not None:
            yield from stream.receive(block.marks, block.pcm)
        yield from stream.finish()

    def _new_stream(self, utterance: EspeakText) -> SpeechStream:
        rate = self.info.sample_rate
        return SpeechStream(utterance.text, rate, rate * self._settings.block_ms // 1000)

    def _list_voices(self) -> str:
        worker = self._pool.acquire()
        try:
            return worker.list_voices()
        finally:
            self._pool.release(worker)

    def _spawn(self) -> WorkerProcess:
        assert self._folder is not None, "start() comes first"
        return spawn_worker(self._settings, self._folder)


def spawn_worker(settings: EspeakSettings, folder: Path) -> WorkerProcess:
    """A new worker of the library in ``folder``; raises OSError if no process can be made."""
    return WorkerProcess(
        library=str(_library(folder)),
        data=str(folder),
        block_ms=settings.block_ms,
        timeout_s=settings.timeout_s,
    )


def _folder() -> Path | None:
    """Where the wheel lies, found without importing it."""
    spec = importlib.util.find_spec(_LOADER)
    return Path(spec.origin).parent if spec and spec.origin else None


def installed_folder() -> Path:
    """Where library and data lie.  Raises SetupError if the extra is not installed."""
    folder = _folder()
    if folder is None or not espeak_available():
        raise SetupError(
            "the embedded voice is not installed; "
            "install it with: pip install 'voice-gateway[espeak]'"
        )
    return folder


def _library(folder: Path) -> Path:
    return folder / f"libespeak-ng{_SUFFIX}"


def _data(folder: Path) -> Path:
    return folder / "espeak-ng-data"
