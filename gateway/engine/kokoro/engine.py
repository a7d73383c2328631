"""Kokoro as an ``Engine``: durations first, so that lengths and word times are exact at once.

    plan     text ──Frontend──► tokens ──plan──► durations ──► length, word times, windows
                                             └─► front, source of the first clause
    render   windows of one size ──generator──► PCM

A call computes on the lane's own thread; several lanes share the sessions.  How many lanes, threads
and rows a batch, and on which provider, is placement's choice (placing.py); on a CPU batches bring
nothing and one thread a window does best.  While nothing else is computed a window may use more,
because a single listener has no use for idle cores.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from gateway.engine.base import Emit, EngineInfo, Voice
from gateway.engine.espeak_phonemizer import EspeakPhonemizer
from gateway.engine.hardware import usable_cores
from gateway.engine.kokoro.calls import Calls
from gateway.engine.kokoro.cast import STAND_IN_NOTICE, Cast, ReadRequest
from gateway.engine.kokoro.clause import Clause, Place
from gateway.engine.kokoro.frontend import Frontend
from gateway.engine.kokoro.graphs import ROLES, SplitGraphs
from gateway.engine.kokoro.lexicon import load_lexicons
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.placing import Placer, this_machine
from gateway.engine.kokoro.reading import FRAME_SAMPLES, SAMPLE_RATE, Reading
from gateway.engine.kokoro.store import Model, open_model
from gateway.engine.kokoro.windows import Method, WindowSizes, divide, whole
from gateway.engine.placement import THROUGHPUT, Placement, Way
from gateway.errors import SetupError, SynthesisError
from gateway.media import PcmBlock, to_media_samples
from gateway.phases import phase
from gateway.settings import EngineSettings, KokoroSettings
from gateway.synthesis import Plan, Rendering, RequestId, SpokenWord, SynthesisRequest, Window

logger = logging.getLogger(__name__)

FIRST_TOKENS = 16
"""A short first clause: what is spoken before the model is said to be ready."""

WARM_UP_TOKENS = 40
"""A sentence of two seconds: its second window is of the size that most windows have."""


class Reader(Protocol):
    """Text → symbols; ``EspeakReader`` is one."""

    def start(self) -> None:
        """Raises SetupError."""
        ...

    def close(self) -> None:
        """Idempotent; ``start`` need not have been called."""
        ...

    def read(self, spoken: str, language: str) -> Reading:
        """Raises InvalidValue for the language, SynthesisError for the text."""
        ...


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How a model is run; the defaults are for one core."""

    sizes: WindowSizes = field(default_factory=WindowSizes)
    method: Method = Method.BLENDED
    prior_frames: float = 160.0
    lanes: int = 1
    batch_max: int = 1
    plan_threads: int = 1
    render_threads: int = 1
    alone_threads: int = 1
    """Of a window that is rendered while nothing else is."""
    seed: int = 0
    """Of the noise in the source: the same text gives the same samples."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """How to run each stage; those without one run on the CPU with the threads above."""

    @classmethod
    def of(cls, settings: KokoroSettings) -> RenderOptions:
        """As ``engine.kokoro`` says; where that leaves it to placement, for these cores."""
        return cls(
            sizes=WindowSizes(
                settings.first_window_frames, settings.window_frames, settings.context_frames
            ),
            method=Method(settings.statistics),
            prior_frames=settings.prior_frames,
            lanes=settings.lanes or usable_cores(),
            plan_threads=settings.plan_threads or min(4, usable_cores()),
            alone_threads=settings.alone_threads,
        )

    def placed(self, placement: Placement, settings: KokoroSettings) -> RenderOptions:
        """These, with what placement chose; lanes and plan threads that are set stay as set."""
        ways = {stage: choice.way for stage, choice in placement.choices.items()}
        if settings.plan_threads:
            for stage in ways.keys() - {THROUGHPUT}:
                ways[stage] = replace(ways[stage], threads=settings.plan_threads)
        chosen = placement.choices[THROUGHPUT]
        return replace(
            self,
            sizes=replace(self.sizes, equal=self.sizes.equal or chosen.way.static),
            lanes=settings.lanes or chosen.lanes,
            batch_max=chosen.batch_max,
            plan_threads=ways["plan"].threads,
            render_threads=chosen.way.threads,
            ways=ways,
        )

    @property
    def usual_frames(self) -> tuple[int, ...]:
        """Sizes of a clause's first window, and of those that follow it."""
        sizes = self.sizes
        first, *others = sizes.cores()
        return first + sizes.context, *(each + 2 * sizes.context for each in others)


class EspeakReader:
    """The text frontend with espeak-ng workers and lexicons of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings.kokoro
        self._phonemizer = EspeakPhonemizer(settings.espeak, settings.kokoro.phonemizer_workers)
        self._frontend: Frontend | None = None

    def start(self) -> None:
        """Raises SetupError for a lexicon that can't be read, or without the extra ``espeak``."""
        lexicons = load_lexicons(self._settings.lexicons)
        self._phonemizer.start()
        self._frontend = Frontend(self._phonemizer.phonemize, lexicons, self._settings.unreadable)

    def close(self) -> None:
        """End the workers; idempotent."""
        self._phonemizer.close()

    def read(self, spoken: str, language: str) -> Reading:
        """As ``Frontend.read``."""
        assert self._frontend is not None, "start() comes first"
        return self._frontend.read(spoken, language)


def kokoro_engine(
    folder: Path, settings: EngineSettings, naming: Naming | None = None
) -> KokoroEngine:
    """The engine of the split model in ``folder``, as the settings want it; not yet started."""
    options = RenderOptions.of(settings.kokoro)
    return KokoroEngine(
        folder,
        EspeakReader(settings),
        options,
        naming=naming,
        place=lambda model: place(model, settings, options),
    )


def place(model: Model, settings: EngineSettings, options: RenderOptions) -> RenderOptions:
    """``options`` as this machine was measured, or by its profile.  May measure: docs/placement.md.

    Raises SetupError for settings that name a provider that is not there.
    """
    placer = Placer(model, settings, this_machine(settings.placement.providers))
    placement = placer.resolve()
    for stage, choice in placement.choices.items():
        logger.info("%s runs as %s (%s)", stage, choice.way.label, placement.source)
    return options.placed(placement, settings.kokoro)


class KokoroEngine:
    """The split model in ``folder``; it starts and closes its ``reader``."""

    def __init__(
        self,
        folder: Path,
        reader: Reader,
        options: RenderOptions | None = None,
        default_voice: str = "",
        naming: Naming | None = None,
        place: Callable[[Model], RenderOptions] | None = None,
    ) -> None:
        self._place = place
        self._folder = folder
        self._reader = reader
        self._options = options or RenderOptions()
        self._default_voice = default_voice
        self._naming = naming or Naming()
        self._cast: Cast | None = None
        self._graphs: SplitGraphs | None = None
        self._info: EngineInfo | None = None
        self._calls = Calls()

    @property
    def info(self) -> EngineInfo:
        """Facts; valid after ``start``."""
        assert self._info is not None, "start() comes first"
        return self._info

    def start(self) -> None:
        """Verify the model, open its graphs and run each once.

        Raises SetupError for a model that is damaged, of another kind, or lacks the default voice.
        """
        model = open_model(self._folder, ROLES)
        cast = Cast(model, self._naming, self._default_voice)
        phase(logger, "verify", "model %s is what its manifest says", self._naming.engine)
        graphs = self._open(model)
        self._reader.start()
        self._graphs, self._cast = graphs, cast
        self._info = self._facts(model, cast)
        self._try(FIRST_TOKENS, windows_max=1)
        phase(logger, "first run", "model %s computes", self._naming.engine)

    def warm_up(self) -> None:
        """Render a longer text's windows of both sizes, so that later ones find memory."""
        self._try(WARM_UP_TOKENS, windows_max=2)

    def close(self) -> None:
        """Give up the sessions; calls that run end first, later ones raise SynthesisError."""
        self._graphs = None
        self._reader.close()

    def find(self, voice: str, language: str) -> Voice:
        """A voice or mix by name, else the first of ``language``, else the default."""
        return self._open_cast().find(voice, language)

    def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
        """Durations of all texts in one batch; then the features of each one's first clause."""
        with self._calls.enter():
            return self._plan(self._open_graphs(), requests)

    def _plan(
        self, graphs: SplitGraphs, requests: Sequence[SynthesisRequest]
    ) -> list[Plan | SynthesisError]:
        cast = self._open_cast()
        read = [cast.read(request, self._reader.read) for request in requests]
        texts = [each for each in read if isinstance(each, ReadRequest)]
        clauses = iter(self._clauses(graphs, texts))
        plans: list[Plan | SynthesisError] = []
        for request, each in zip(requests, read, strict=True):
            if isinstance(each, SynthesisError):
                plans.append(each)
                continue
            own = next(clauses)
            if own:
                own[0].acoustics(graphs)
            plans.append(_plan_of(request, each.parts, own))
        return plans

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        """Render windows of one size in one call of the generator."""
        graphs = self._open_graphs()
        places: list[tuple[int, Clause, int]] = []
        for i, window in enumerate(windows):
            place = window.state
            assert isinstance(place, Place)
            if place.clause is None:
                emit(i, Rendering(PcmBlock(np.zeros(0, np.float32), SAMPLE_RATE), final=True))
            else:
                places.append((i, place.clause, place.index))
        if not places:
            return
        with self._calls.enter() as alone:
            made = graphs.generate(
                [
                    (
                        clause.acoustics(graphs),
                        clause.spans[place],
                        clause.style,
                        clause.given(place, graphs.statistics),
                    )
                    for _, clause, place in places
                ],
                alone=alone,
            )
        for (i, clause, place), (audio, moments) in zip(places, made, strict=True):
            pcm = PcmBlock(clause.receive(place, audio, moments), SAMPLE_RATE)
            emit(i, Rendering(pcm, final=True))

    # ── parts of these ─────────────────────────────────────────────────────────────────────────

    def _open(self, model: Model) -> SplitGraphs:
        """The graphs as placement wants them or, should those not open any more, on the CPU."""
        if model.manifest.stand_in:
            logger.warning("model %s is %s", model.manifest.name, STAND_IN_NOTICE)
        plain = self._options
        if self._place is not None:
            self._options = self._place(model)
        try:
            return _graphs(model, self._options)
        except SetupError as error:
            if not self._options.ways:
                raise
            logger.warning("what placement chose does not open, so all runs on the CPU: %s", error)
            self._options = plain
            return _graphs(model, plain)

    def _facts(self, model: Model, cast: Cast) -> EngineInfo:
        options = self._options
        return EngineInfo(
            name=self._naming.engine,
            version=model.manifest.name,
            sample_rate=model.manifest.sample_rate,
            voices=cast.listed(),
            default_voice=cast.default.id,
            lanes=options.lanes,
            batch_max=options.batch_max,
            plans_ahead=True,
            stand_in=model.manifest.stand_in,
            lanes_alone=max(1, min(options.lanes, options.alone_threads)),
        )

    def _clauses(self, graphs: SplitGraphs, texts: Sequence[ReadRequest]) -> list[list[Clause]]:
        """The clauses of each text, their durations planned."""
        parts = [(ready, i) for ready in texts for i in range(len(ready.parts))]
        if not parts:
            return [[] for _ in texts]
        planned = graphs.plan(
            [ready.parts[i].input_ids() for ready, i in parts],
            np.concatenate([ready.styles[i] for ready, i in parts]),
            [ready.speed for ready, _ in parts],
        )
        options = self._options
        clauses = [
            Clause(
                planned=each,
                style=ready.styles[i],
                prior=graphs.prior(ready.voice, options.prior_frames),
                spans=(whole(each.frames),)
                if options.method is Method.EXACT
                else divide(each.frames, options.sizes),
                method=options.method,
                seed=options.seed,
            )
            for (ready, i), each in zip(parts, planned, strict=True)
        ]
        left = iter(clauses)
        return [[next(left) for _ in ready.parts] for ready in texts]

    def _open_graphs(self) -> SplitGraphs:
        if self._graphs is None:
            raise SynthesisError(f"engine {self._naming.engine} is closed")
        return self._graphs

    def _open_cast(self) -> Cast:
        assert self._cast is not None, "start() comes first"
        return self._cast

    def _try(self, tokens: int, windows_max: int) -> None:
        """Speak a text of so many tokens, or its first windows; raises SetupError if that fails.

        The first run of a graph allocates, and finds what does not work at all.
        """
        ((clause,),) = self._clauses(self._open_graphs(), [self._open_cast().sample(tokens)])
        name = RequestId("start-up", "", 0, 0)
        for index, span in enumerate(clause.spans[:windows_max]):
            made: list[PcmBlock] = []

            def emit(_: int, rendering: Rendering, made: list[PcmBlock] = made) -> bool:
                made.append(rendering.pcm)
                return True

            self.render([Window(name, index, False, state=Place(clause, index))], emit)
            frames = span.end - span.begin
            samples = np.concatenate([block.samples for block in made])
            if len(samples) != frames * FRAME_SAMPLES or not np.isfinite(samples).all():
                raise SetupError(
                    f"the model in {self._folder} does not compute speech: {frames} frames gave "
                    f"{len(samples)} samples, or some that are no numbers; build it again"
                )


def _graphs(model: Model, options: RenderOptions) -> SplitGraphs:
    return SplitGraphs.open(
        model,
        plan_threads=options.plan_threads,
        render_threads=options.render_threads,
        alone_threads=options.alone_threads,
        ways=options.ways,
        frames=options.usual_frames,
    )


def _plan_of(
    request: SynthesisRequest, parts: Sequence[Reading], clauses: Sequence[Clause]
) -> Plan:
    """Windows, length and words of the clauses one behind the other."""
    places = [Place(clause, i) for clause in clauses for i in range(len(clause.spans))]
    places = places or [Place(None)]
    windows = tuple(
        Window(
            request.id,
            index=i,
            final=i == len(places) - 1,
            shape=place.clause.spans[place.index].size if place.clause else 0,
            state=place,
        )
        for i, place in enumerate(places)
    )
    words: list[SpokenWord] = []
    frames = 0
    for part, clause in zip(parts, clauses, strict=True):
        offset = to_media_samples(frames * FRAME_SAMPLES, SAMPLE_RATE)
        durations = [int(each) for each in clause.planned.durations]
        words += [
            SpokenWord(
                word.spoken_start,
                word.spoken_end,
                word.start_samples + offset,
                word.end_samples + offset,
            )
            for word in part.spoken_words(durations)
        ]
        frames += clause.planned.frames
    length = to_media_samples(frames * FRAME_SAMPLES, SAMPLE_RATE)
    return Plan(request.id, windows, length, tuple(words))
