"""A published whole-graph file as an ``Engine``: one stage, from tokens to speech.

    chunk ──reader──► tokens, style, speed ──one graph──► speech of the whole chunk, durations

It serves files as they are published (contracts.py), at the price of waiting: the first audio comes
when the chunk is done, so it can't plan ahead.  The split model is what the gateway is made for.

Word times
    Exact to the frame if the graph gives durations.  Else they are estimated, every token counting
    alike over the length that was spoken; the voices' description and the log say so.
Speed
    A graph whose ``speed`` is an integer takes 1, 2, …: others are rounded, which is logged once.
Lanes
    A listener waits for the whole chunk, so a call gets all the threads of a plan
    (``engine.kokoro.plan_threads``), and as many calls run at once as there are threads for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.engine.base import Emit, EngineInfo, Voice
from gateway.engine.kokoro.cast import STAND_IN_NOTICE, Cast
from gateway.engine.kokoro.contracts import WholeContract, whole_contract
from gateway.engine.kokoro.engine import Reader, RenderOptions
from gateway.engine.kokoro.manifest import WHOLE
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.optimised import open_optimised
from gateway.engine.kokoro.reading import FRAME_SAMPLES, SAMPLE_RATE, Reading
from gateway.engine.kokoro.runtime import describe, running_options
from gateway.engine.kokoro.store import Model, open_model
from gateway.engine.kokoro.windows import Floats
from gateway.errors import InvalidValue, SetupError, SynthesisError
from gateway.media import PcmBlock, to_media_samples
from gateway.phases import phase
from gateway.settings import KokoroSettings
from gateway.synthesis import Plan, Rendering, SpokenWord, SynthesisRequest, Window

logger = logging.getLogger(__name__)

ESTIMATED_NOTICE = "word times are estimated, since its graph gives no durations"

_FIRST_TOKENS = 4
_WARM_UP_TOKENS = 60


class WholeEngine:
    """The whole graph in ``folder``; it starts and closes its ``reader``."""

    def __init__(
        self, folder: Path, reader: Reader, settings: KokoroSettings, naming: Naming | None = None
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._naming = naming or Naming()
        options = RenderOptions.of(settings)
        self._threads = min(options.plan_threads, options.lanes)
        self._lanes = options.lanes // self._threads
        self._cast: Cast | None = None
        self._graph: _Graph | None = None
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """Facts; valid after ``start``."""
        assert self._info is not None, "start() comes first"
        return self._info

    def start(self) -> None:
        """Verify the model, open its graph and run it once.

        Raises SetupError for a model that is damaged, of another kind, or computes no speech.
        """
        name = self._naming.engine
        model = open_model(self._folder, (WHOLE,))
        phase(logger, "verify", "model %s is what its manifest says", name)
        graph = _Graph(model, self._threads)
        phase(logger, f"open {WHOLE}", "graph %s is open", graph.file)
        remark = "" if graph.timed else ESTIMATED_NOTICE
        for notice in (remark, STAND_IN_NOTICE if model.manifest.stand_in else ""):
            if notice:
                logger.warning("model %s: %s", name, notice)
        cast = Cast(model, self._naming, remark=remark)
        self._reader.start()
        self._graph, self._cast = graph, cast
        self._info = EngineInfo(
            name=name,
            version=model.manifest.name,
            sample_rate=model.manifest.sample_rate,
            voices=cast.listed(),
            default_voice=cast.default.id,
            lanes=self._lanes,
            batch_max=1,
            plans_ahead=False,
            stand_in=model.manifest.stand_in,
        )
        self._try(_FIRST_TOKENS)
        phase(logger, "first run", "model %s computes", name)

    def warm_up(self) -> None:
        """Speak a sentence of common length, so that later ones find memory allocated."""
        self._try(_WARM_UP_TOKENS)

    def close(self) -> None:
        """Give up the session; calls that run end first, later ones raise SynthesisError."""
        self._graph = None
        self._reader.close()

    def find(self, voice: str, language: str) -> Voice:
        """A voice or mix by name, else the first of ``language``, else the default."""
        return self._open_cast().find(voice, language)

    def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
        """One window each, which is the whole chunk; only the voices are looked up."""
        return [self._plan(request) for request in requests]

    def _plan(self, request: SynthesisRequest) -> Plan | SynthesisError:
        try:
            self.find(request.voice, request.language)
        except InvalidValue as error:
            return SynthesisError(error.message, field=error.field, limit=error.limit)
        return Plan(request.id, (Window(request.id, 0, final=True, state=request),))

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        """Read and speak each chunk; one of more than 510 tokens comes in parts."""
        for index, window in enumerate(windows):
            assert isinstance(window.state, SynthesisRequest)
            self._speak(index, window.state, emit)

    def _speak(self, index: int, request: SynthesisRequest, emit: Emit) -> None:
        graph = self._open_graph()
        text = self._open_cast().read(request, self._reader.read)
        if isinstance(text, SynthesisError):
            raise text
        if not text.parts:
            emit(index, Rendering(PcmBlock(np.zeros(0, np.float32), SAMPLE_RATE), final=True))
        before = 0
        for place, (part, style) in enumerate(zip(text.parts, text.styles, strict=True)):
            samples, durations = graph.run(part, style, text.speed)
            words = _words(part, durations, len(samples), before)
            final = place == len(text.parts) - 1
            before += len(samples)
            if not emit(index, Rendering(PcmBlock(samples, SAMPLE_RATE), final, words)):
                return

    def _try(self, tokens: int) -> None:
        """Speak a text of so many tokens; raises SetupError if no speech comes of it."""
        text = self._open_cast().sample(tokens)
        try:
            samples, _ = self._open_graph().run(text.parts[0], text.styles[0], text.speed)
        except SynthesisError as error:
            raise SetupError(f"{self._folder}: {error.message}; get the model again") from error
        if not len(samples) or not np.isfinite(samples).all():
            raise SetupError(
                f"the model in {self._folder} does not compute speech: {len(samples)} samples of "
                f"{tokens} tokens, or some that are no numbers; get it again"
            )

    def _open_graph(self) -> _Graph:
        if self._graph is None:
            raise SynthesisError(f"engine {self._naming.engine} is closed")
        return self._graph

    def _open_cast(self) -> Cast:
        assert self._cast is not None, "start() comes first"
        return self._cast


class _Graph:
    """The session, fed by its contract."""

    def __init__(self, model: Model, threads: int) -> None:
        graph = model.graphs(WHOLE)[0]
        self.file = model.path(graph)
        self._session, _ = open_optimised(
            self.file, graph.sha256, partial(running_options, threads), model.folder
        )
        self._contract: WholeContract = whole_contract(describe(self._session), str(self.file))
        self._rounded = False

    @property
    def timed(self) -> bool:
        """Whether it gives durations."""
        return self._contract.durations is not None

    def run(
        self, part: Reading, style: Floats, speed: float
    ) -> tuple[Floats, npt.NDArray[np.int64] | None]:
        """Speech [samples] in -1 … 1, and frames of each token, [n + 2], if the graph gives them.

        Raises SynthesisError for an answer that does not fit, or if onnxruntime fails.
        """
        contract = self._contract
        feed = {
            contract.tokens: part.input_ids().astype(contract.tokens_type),
            contract.style: style.astype(contract.style_type),
            contract.speed: self._speed(speed),
        }
        wanted = [contract.speech, *([contract.durations] if contract.durations else [])]
        try:
            speech, *durations = self._session.run(wanted, feed)
        except Exception as error:  # onnxruntime's errors have no common base but this
            raise SynthesisError(f"onnxruntime failed on a text: {error}") from error
        samples: Floats = np.clip(np.ravel(speech).astype(np.float32), -1.0, 1.0)
        if not durations:
            return samples, None
        frames: npt.NDArray[np.int64] = np.ravel(durations[0]).astype(np.int64)
        if len(frames) != len(part) + 2 or frames.min() < 0 or not frames.any():
            raise SynthesisError(
                f"{self.file.name} gives {len(frames)} durations for {len(part) + 2} tokens, or "
                "impossible ones"
            )
        return samples, frames

    def _speed(self, speed: float) -> npt.NDArray[Any]:
        kind = np.dtype(self._contract.speed_type)
        if kind.kind != "i":
            return np.array([speed], kind)
        whole = max(1, round(speed))
        if whole != speed and not self._rounded:
            self._rounded = True
            logger.warning(
                "%s takes whole speeds only: %g was rounded to %d", self.file, speed, whole
            )
        return np.array([whole], kind)


def _words(
    part: Reading, durations: npt.NDArray[np.int64] | None, samples: int, before: int
) -> tuple[SpokenWord, ...]:
    """Times of the words of a part of ``samples`` samples that begins ``before`` samples on.

    Frames of 25 ms; where the durations do not sum up to the length, or there are none, each token
    gets its share of it.
    """
    shares = np.ones(len(part) + 2, np.int64) if durations is None else durations
    ends = np.cumsum(shares)
    frames = samples / FRAME_SAMPLES
    if ends[-1] != frames:
        ends = np.rint(ends * (frames / ends[-1])).astype(np.int64)
    offset = to_media_samples(before, SAMPLE_RATE)
    length = to_media_samples(samples, SAMPLE_RATE)
    return tuple(
        SpokenWord(
            word.spoken_start,
            word.spoken_end,
            offset + min(word.start_samples, length),
            offset + min(word.end_samples, length),
        )
        for word in part.spoken_words([int(each) for each in np.diff(ends, prepend=0)])
    )
