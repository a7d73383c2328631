"""The measurements behind ``voice-gateway bench``; see cli/bench.py for what they mean."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.engine.kokoro.engine import KokoroEngine, RenderOptions
from gateway.engine.kokoro.graphs import Acoustics, SplitGraphs
from gateway.engine.kokoro.manifest import WHOLE
from gateway.engine.kokoro.phrases import CALIBRATION, HELD_OUT
from gateway.engine.kokoro.reading import NONE, SAMPLE_RATE, Reading
from gateway.engine.kokoro.runtime import open_plain_session
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.windows import Floats, Statistics, divide
from gateway.media import seconds
from gateway.settings import KokoroSettings
from gateway.synthesis import (
    Alignment,
    Plan,
    Rendering,
    RequestId,
    SynthesisRequest,
    TextChunk,
    Window,
)

BATCHES = (1, 2, 4)
SENTENCE_TOKENS = 110


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure beside its reference."""

    name: str
    value: float
    unit: str
    of: str
    reference: float
    ratio: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class SymbolReader:
    """Takes text that is symbols already, so that no phonemiser is measured."""

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


def measure_first_audio(folder: Path, tokens: int, rounds: int) -> list[Figure]:
    """Ours against bare onnxruntime and, if the model has it, the whole graph; seconds."""
    options = RenderOptions.of(KokoroSettings())
    engine = KokoroEngine(folder, SymbolReader(), options)
    engine.start()
    bare = _Bare(folder, options)
    whole = _Whole(folder)
    symbols = symbols_of(tokens)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: engine.render(_planned(engine, symbols).windows[:1], _nobody),
        "bare": lambda: bare.first_window(symbols),
    }
    if whole.exists:
        sides["whole"] = lambda: whole.speak(symbols)
    medians = _medians(sides, rounds)
    engine.close()
    ours = medians["ours"]
    figures = [
        _figure(
            "first-audio", ours, "s", "plan and first window in onnxruntime alone", medians["bare"]
        )
    ]
    if whole.exists:
        of = "the whole sentence in one graph with onnxruntime's defaults"
        figures.append(_figure("first-audio", ours, "s", of, medians["whole"]))
    return figures


def measure_throughput(folder: Path, sessions: int, rounds: int) -> list[Figure]:
    """Sound per second of ours against bare onnxruntime at each batch size; the best counts."""
    options = RenderOptions.of(KokoroSettings(plan_threads=1))
    engine = KokoroEngine(folder, SymbolReader(), options)
    engine.start()
    bare = _Bare(folder, options)
    symbols = symbols_of(SENTENCE_TOKENS)
    sound_s = sessions * seconds(_planned(engine, symbols).length_samples or 0)
    sides: dict[str, Callable[[], object]] = {"ours": lambda: _speak_all(engine, symbols, sessions)}
    for batch in BATCHES:
        if sessions % batch == 0:
            sides[f"batch {batch}"] = lambda b=batch: bare.speak_all(symbols, sessions, b)  # type: ignore[misc]
    medians = _medians(sides, rounds)
    engine.close()
    ours = sound_s / medians.pop("ours")
    best = min(medians, key=medians.__getitem__)
    of = f"the same stages in onnxruntime alone, {best}"
    return [_figure("throughput", ours, "s of sound a second", of, sound_s / medians[best])]


def _figure(name: str, value: float, unit: str, of: str, reference: float) -> Figure:
    return Figure(name, value, unit, of, reference, value / reference)


def _medians(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median wall time of each; one round is for warming up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def _planned(engine: KokoroEngine, symbols: str) -> Plan:
    chunk = TextChunk(symbols, 0, len(symbols), symbols, (Alignment(0, 1, 0, 1),))
    name = RequestId("bench", "bench", 0, 0)
    (plan,) = engine.plan([SynthesisRequest(name, chunk, "", "", 1.0, 0.0, True)])
    assert isinstance(plan, Plan), plan
    return plan


def _nobody(index: int, rendering: Rendering) -> bool:
    return True


def _speak_all(engine: KokoroEngine, symbols: str, sessions: int) -> None:
    """All sentences on the engine's lanes, each lane one window after the other."""

    def speak(_: int) -> None:
        windows: Sequence[Window] = _planned(engine, symbols).windows
        for window in windows:
            engine.render([window], _nobody)

    with ThreadPoolExecutor(engine.info.lanes) as lanes:
        list(lanes.map(speak, range(sessions)))


class _Bare:
    """The graphs with inputs that lie ready: no text, no statistics, no joining."""

    def __init__(self, folder: Path, options: RenderOptions) -> None:
        model = open_model(folder)
        self._graphs = SplitGraphs.open(
            model, plan_threads=options.plan_threads, render_threads=options.render_threads
        )
        self._options = options
        self._style: Floats = model.voices.style(model.voices.default, SENTENCE_TOKENS)
        zeros = np.zeros(self._graphs.statistics, np.float32)
        self._given = Statistics(zeros, zeros, 1.0)

    def first_window(self, symbols: str) -> None:
        """Plan, front, source, and the generator on the first window."""
        self._windows(symbols, 1, slice(0, 1))

    def speak_all(self, symbols: str, sessions: int, batch: int) -> None:
        """As many sentences, ``batch`` of them in each call of the generator."""
        with ThreadPoolExecutor(self._options.lanes) as lanes:
            list(
                lanes.map(
                    lambda _: self._windows(symbols, batch, slice(None)), range(sessions // batch)
                )
            )

    def _windows(self, symbols: str, batch: int, which: slice) -> None:
        ids = SymbolReader().read(symbols, "").input_ids()
        clauses: list[Acoustics] = []
        for _ in range(batch):
            (planned,) = self._graphs.plan([ids], self._style, [1.0])
            clauses.append(self._graphs.acoustics(planned, self._style, seed=0))
        for span in divide(planned.frames, self._options.sizes)[which]:
            self._graphs.generate([(each, span, self._style, self._given) for each in clauses])


class _Whole:
    """The whole sentence in one call."""

    def __init__(self, folder: Path) -> None:
        model = open_model(folder)
        self._files = [graph for graph in model.manifest.graphs if graph.role == WHOLE]
        self._style = model.voices.style(model.voices.default, SENTENCE_TOKENS)
        self._session = open_plain_session(model.path(self._files[0])) if self._files else None

    @property
    def exists(self) -> bool:
        """Whether the model has such a graph."""
        return bool(self._files)

    def speak(self, symbols: str) -> float:
        """Seconds of sound."""
        assert self._session is not None
        ids = SymbolReader().read(symbols, "").input_ids()
        speed = np.ones(1, np.float32)
        feed = {"tokens": ids, "style": self._style, "speed": speed}
        return float(self._session.run(("audio",), feed)[0].shape[-1] / SAMPLE_RATE)
