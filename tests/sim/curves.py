"""What Kokoro's stages cost on this machine: the curves that the comparison runs on.

    python -m tests.sim measure --model DIR --lanes N --threads N [--out FILE]

The engine that serves is measured, through its own ``plan`` and ``render``: durations, features and
source are one call, and so is the generator.  Clauses are rendered whole here, so that their length
sets the size of the window.  Every lane is busy with the same call while one is timed, because that
is how lanes fare when it matters.  A figure is the median of its calls.

The weights may be those of a stand-in: it costs what the model costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from gateway.cli.bench_sides import SymbolReader, symbols_of
from gateway.engine.base import Engine
from gateway.engine.kokoro.engine import KokoroEngine, RenderOptions
from gateway.engine.kokoro.windows import Method
from gateway.synthesis import Plan, Rendering, RequestId, SynthesisRequest, TextChunk, Window

TOKENS = (5, 10, 18, 40, 80, 150)
"""Lengths of texts; their clauses, and so the windows, last about 2.6 frames a token."""
BATCHES = (1, 2, 4, 8)
BATCHED_TOKENS = 18
CALLS = 3
SPREAD_CALLS = 120
"""For each lane, of the shortest window: how much one call differs from another."""

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a call, by size; ``…_batch``: how much longer a call of so many pieces is.

    ``plan`` is by tokens, ``render`` by frames; ``spread`` has equal calls, as shares of their
    median.
    """

    what: str
    machine: str
    lanes: int
    threads: int
    plan: Points
    render: Points
    plan_batch: Points
    render_batch: Points
    spread: list[float]


def measure(
    folder: Path, lanes: int, threads: int, calls: int = CALLS, spread_calls: int = SPREAD_CALLS
) -> Measured:
    """Time the model in ``folder`` with ``lanes`` calls at once, each on ``threads`` threads.

    Raises SetupError for a directory that is no split model.
    """
    options = RenderOptions(
        method=Method.EXACT,
        lanes=lanes,
        batch_max=max(BATCHES),
        plan_threads=threads,
        render_threads=threads,
    )
    engine = KokoroEngine(folder, SymbolReader(), options)
    engine.start()
    bench = _Bench(engine, lanes, calls)
    plan: Points = []
    render: Points = []
    for tokens in TOKENS:
        frames, plan_s, render_s = bench.times(tokens, 1)
        plan.append((tokens, plan_s))
        render.append((frames, render_s))
    one, *more = [bench.times(BATCHED_TOKENS, batch) for batch in BATCHES]
    batched = list(zip(BATCHES, (one, *more), strict=True))
    spread = bench.spread(TOKENS[0], spread_calls)
    engine.close()
    return Measured(
        what=engine.info.version,
        machine=f"{_processor()}, {os.cpu_count()} cores, onnxruntime {version('onnxruntime')}",
        lanes=lanes,
        threads=threads,
        plan=_rounded(plan),
        render=_rounded(render),
        plan_batch=_rounded([(batch, each[1] / one[1]) for batch, each in batched]),
        render_batch=_rounded([(batch, each[2] / one[2]) for batch, each in batched]),
        spread=spread,
    )


class _Bench:
    def __init__(self, engine: Engine, lanes: int, calls: int) -> None:
        self._engine = engine
        self._lanes = lanes
        self._calls = calls

    def times(self, tokens: int, batch: int) -> tuple[int, float, float]:
        """Frames of the clause, seconds to plan and to render ``batch`` of them in one call."""
        requests, windows = self._planned(tokens, batch)
        frames = windows[0].shape
        assert isinstance(frames, int)
        plan_s = self._taken_s(lambda: self._engine.plan(requests), self._calls)
        render_s = self._taken_s(lambda: self._engine.render(windows, _nobody), self._calls)
        return frames, statistics.median(plan_s), statistics.median(render_s)

    def spread(self, tokens: int, calls: int) -> list[float]:
        """Rendering the same clause again and again: each call as a share of the median."""
        _, windows = self._planned(tokens, 1)
        taken = self._taken_s(lambda: self._engine.render(windows, _nobody), calls)
        usual = statistics.median(taken)
        return sorted(round(each / usual, 3) for each in taken)

    def _planned(self, tokens: int, batch: int) -> tuple[list[SynthesisRequest], list[Window]]:
        text = symbols_of(tokens + 2)
        requests = [_request(text, number) for number in range(batch)]
        plans = [plan for plan in self._engine.plan(requests) if isinstance(plan, Plan)]
        assert len(plans) == batch
        return requests, [plan.windows[0] for plan in plans]

    def _taken_s(self, call: Callable[[], object], calls: int) -> list[float]:
        together = threading.Barrier(self._lanes)

        def lane(_: int) -> list[float]:
            taken = []
            for _ in range(calls):
                together.wait()
                began = time.perf_counter()
                call()
                taken.append(time.perf_counter() - began)
            return taken

        with ThreadPoolExecutor(self._lanes) as lanes:
            return [each for taken in lanes.map(lane, range(self._lanes)) for each in taken]


def _request(text: str, number: int) -> SynthesisRequest:
    chunk = TextChunk(text, 0, len(text), text, ())
    name = RequestId("curves", "c", 0, number)
    return SynthesisRequest(name, chunk, "", "", 1.0, 0.0, True)


def _nobody(index: int, rendering: Rendering) -> bool:
    return True


def _rounded(points: Points) -> Points:
    return [(size, round(value, 4)) for size, value in points]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(arguments: Sequence[str]) -> int:
    """``python -m tests.sim measure``."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim measure", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="directory of a split model")
    parser.add_argument("--lanes", type=int, required=True, help="calls at once")
    parser.add_argument("--threads", type=int, default=1, help="threads of each call")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls to take the median of")
    parser.add_argument("--out", type=Path, help="where to write the JSON; else it is printed")
    options = parser.parse_args(arguments)
    found = measure(options.model, options.lanes, options.threads, options.calls)
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in asdict(found).items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if options.out:
        options.out.write_text(text)
    else:
        print(text, end="")
    return 0
