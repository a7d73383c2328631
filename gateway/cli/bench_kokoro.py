"""The measurements behind ``voice-gateway bench``; see cli/bench.py for what they mean."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gateway.cli.bench_sides import Bare, Ours, Package, Sentence
from gateway.engine.kokoro.engine import RenderOptions
from gateway.engine.kokoro.manifest import WHOLE, Variant
from gateway.engine.kokoro.runtime import open_session, running_options
from gateway.engine.kokoro.store import Model, open_model
from gateway.errors import InvalidValue
from gateway.settings import KokoroSettings

SENTENCE_TOKENS = 60
FRAMES = (20, 28, 48)
"""Windows that precisions are compared on; 48 are the usual one with its context."""

BATCHES = (1, 2, 4)
TRIES = 2
"""Each batch shape is tried so often; its best time counts, as others may disturb."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure beside its reference; ``goal`` is what the ratio should be, with its sense."""

    name: str
    value: float
    unit: str
    of: str
    reference: float
    ratio: float
    goal: str = ""
    met: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """All figures of one run.

    ``others`` is the share of the machine's CPU time that other processes took meanwhile; None
    where the system does not tell.
    """

    figures: tuple[Figure, ...]
    about: str
    others: float | None


def measure_first_audio(folder: Path, tokens: int, rounds: int) -> Run:
    """Ours against bare onnxruntime and, if the model has it, the whole graph; seconds."""
    model = open_model(folder)
    sentence = Sentence.of(tokens)
    options = RenderOptions.of(KokoroSettings())
    cores = os.cpu_count() or 1
    ours = Ours(model, sentence, options)
    quiet = Bare(model, sentence, options.sizes, cores)
    spinning = Bare(model, sentence, options.sizes, cores, defaults=True)
    package = _package_of(model, sentence)
    sides: dict[str, Callable[[], object]] = {
        "ours": ours.first_audio,
        "bare": quiet.first_window,
        "bare, spinning": spinning.first_window,
    }
    if package is not None:
        sides["whole"] = package.speak
    watch = _Watch()
    medians = _medians(sides, rounds)
    others = watch.others()
    ours.close()
    bare = min(medians["bare"], medians["bare, spinning"])
    value = medians["ours"]
    of = f"plan and first window in onnxruntime alone, {cores} threads"
    figures = [_at_most(1.15, "first-audio", value, "s", of, bare)]
    if package is not None:
        of = f"the whole sentence by {package.name}"
        figures.append(_at_most(0.2, "first-audio", value, "s", of, medians["whole"]))
    return Run(tuple(figures), f"{len(sentence.symbols) + 2} tokens", others)


def measure_throughput(folder: Path, sessions: int, rounds: int) -> Run:
    """Sound per second of ours against bare onnxruntime in the best batch shape."""
    model = open_model(folder)
    sentence = Sentence.of(SENTENCE_TOKENS)
    options = RenderOptions.of(KokoroSettings())
    watch = _Watch()
    best, shape, lanes, batch = _best_shape(model, sentence, options)
    ours = Ours(model, sentence, options)
    sound_s = {"ours": 0.0, "bare": 0.0}

    def speak(side: str, speak_all: Callable[[], float]) -> None:
        sound_s[side] = speak_all()

    medians = _medians(
        {
            "ours": lambda: speak("ours", lambda: ours.speak_all(sessions)),
            "bare": lambda: speak("bare", lambda: best.speak_all(sessions, lanes, batch)),
        },
        rounds,
    )
    others = watch.others()
    ours.close()
    value, reference = (sound_s[side] / medians[side] for side in ("ours", "bare"))
    of = f"the same stages in onnxruntime alone, {shape}"
    figure = _figure("throughput", value, "s of sound a second", of, reference)
    figure = replace(figure, goal="≥ 0.9", met=figure.ratio >= 0.9)
    return Run((figure,), f"{sessions} sessions, {len(sentence.symbols) + 2} tokens each", others)


def measure_precision(folder: Path, precision: str, rounds: int) -> Run:
    """The generator in another precision against fp32, for each window and number of threads."""
    model = open_model(folder)
    (original, *_) = model.graphs("generator")
    variant = _variant_of(model, precision)
    figures = []
    watch = _Watch()
    for threads in sorted({1, os.cpu_count() or 1}):
        sessions = {
            name: open_session(model.path(graph), running_options(threads))
            for name, graph in (("fp32", original), (precision, variant))
        }
        for frames in FRAMES:
            inputs = _window_inputs(sessions["fp32"], frames)
            sides: dict[str, Callable[[], object]] = {
                name: partial(session.run, None, inputs) for name, session in sessions.items()
            }
            medians = _medians(sides, rounds)
            name = f"generator, {frames} frames, {threads} thread{'s'[: threads > 1]}"
            figures.append(_figure(name, medians[precision], "s", "fp32", medians["fp32"]))
    about = f"{precision}, {variant.distance_db:.2f} dB from fp32"
    return Run(tuple(figures), about, watch.others())


def _variant_of(model: Model, precision: str) -> Variant:
    for variant in model.manifest.variants.get("generator", ()):
        if variant.precision == precision:
            return variant
    raise InvalidValue(
        f"--precision: {model.folder} has no generator in {precision!r}; "
        f"make it with: voice-gateway models quantize {model.folder} --precision {precision}"
    )


def _window_inputs(session: Any, frames: int) -> dict[str, Any]:
    """Noise of about the size that the generator is used to; ``frames`` are its context's too."""
    random = np.random.Generator(np.random.Philox(0))
    sizes = {"features": 2 * frames, "harmonics": 120 * frames + 1}
    counts = {"count_coarse": 20 * frames, "count_fine": 120 * frames + 1}
    inputs: dict[str, Any] = {}
    for each in session.get_inputs():
        width = each.shape[1] if len(each.shape) > 1 else 0
        if each.name in sizes:
            shape = (1, width, sizes[each.name])
            inputs[each.name] = random.standard_normal(shape, np.float32)
        elif each.name in counts:
            inputs[each.name] = np.ones((1, counts[each.name]), np.float32)
        else:
            inputs[each.name] = np.full((1, width) if width else (1,), 0.5, np.float32)
    return inputs


def _best_shape(
    model: Model, sentence: Sentence, options: RenderOptions
) -> tuple[Bare, str, int, int]:
    """The way in which onnxruntime alone renders the most windows: sessions, name, lanes, batch."""
    cores = os.cpu_count() or 1
    each_one = Bare(model, sentence, options.sizes, 1)
    together = each_one if cores == 1 else Bare(model, sentence, options.sizes, cores)
    shapes = {
        f"{lanes} × {threads} thread{'s'[: threads > 1]}, batch {batch}": (bare, lanes, batch)
        for bare, lanes, threads in ((each_one, cores, 1), (together, 1, cores))
        for batch in BATCHES
    }
    for bare, lanes, batch in shapes.values():
        bare.render_windows(lanes * batch, lanes, batch)
    times = dict.fromkeys(shapes, math.inf)
    windows = max(BATCHES) * max(2, cores)  # so that every lane has a whole batch
    for _ in range(TRIES):
        for name, (bare, lanes, batch) in shapes.items():
            started = time.perf_counter()
            bare.render_windows(windows, lanes, batch)
            times[name] = min(times[name], time.perf_counter() - started)
    best = min(times, key=times.__getitem__)
    bare, lanes, batch = shapes[best]
    return bare, best, lanes, batch


def _package_of(model: Model, sentence: Sentence) -> Package | None:
    exists = any(graph.role == WHOLE for graph in model.manifest.graphs)
    return Package(model, sentence) if exists else None


def _figure(name: str, value: float, unit: str, of: str, reference: float) -> Figure:
    return Figure(name, value, unit, of, reference, value / reference)


def _at_most(limit: float, name: str, value: float, unit: str, of: str, reference: float) -> Figure:
    figure = _figure(name, value, unit, of, reference)
    return replace(figure, goal=f"≤ {limit:g}", met=figure.ratio <= limit)


def _medians(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median wall time of each; one round is for warming up.  Who goes first alternates."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        order = list(sides) if turn % 2 else list(reversed(sides))
        for name in order:
            started = time.perf_counter()
            sides[name]()
            if turn:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


class _Watch:
    """How much of the machine other processes take, from its making on; Linux only."""

    def __init__(self) -> None:
        self._began = self._read()

    def others(self) -> float | None:
        """Their share of all CPU time since."""
        began, now = self._began, self._read()
        if began is None or now is None:
            return None
        total, busy, own = (after - before for before, after in zip(began, now, strict=True))
        return max(0.0, (busy - own) / total) if total > 0 else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Seconds of all CPUs, those in which they were busy, and our own."""
        try:
            fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        except OSError:
            return None
        tick = os.sysconf("SC_CLK_TCK")
        ticks = [int(field) / tick for field in fields]
        idle = ticks[3] + ticks[4]
        return sum(ticks), sum(ticks) - idle, time.process_time()


def machine() -> str:
    """What the figures were taken on, in words."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
