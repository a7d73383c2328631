"""The child process that tries one way to run a stage.

    python -m gateway.engine.kokoro.trial_work JOB.json

A job of kind ``cases`` writes the inputs and expected outputs that all trials use; a ``trial``
opens one graph one way and measures it.  What is found is appended to the job's ``report`` line by
line, so that what a child found before it crashed or hung is not lost.  A child ends itself after
``timeout_s`` (by a signal, which works inside a provider that hangs too), should its parent not
live to do it.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from gateway.engine.hardware import peak_memory_bytes
from gateway.engine.kokoro.cases import Case, error_of, make_cases, read_cases, write_cases
from gateway.engine.kokoro.device import Piece, Pieces, Tensor
from gateway.engine.kokoro.graphs import NEXT, ROLES, check_contract
from gateway.engine.kokoro.shares import provider_shares
from gateway.engine.kokoro.stages import Feed, Stage, open_stage
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.windows import WindowSizes
from gateway.engine.placement import CPU, THROUGHPUT, Timing, Way
from gateway.errors import SetupError

WINDOWED = ("features", "harmonics")
"""Inputs of the generator that are cut from what earlier stages left on the device."""

CALLS_MIN, CALLS_MAX = 3, 50


class Job(BaseModel):
    """What a child is asked; paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cases", "trial"]
    model: Path
    folder: Path
    """Where the cases lie, or shall be written."""
    report: Path
    timeout_s: float
    measure_s: float = 0.4
    """How long each figure is measured, at least three calls."""
    way: Way | None = None
    threads: int = 1
    sizes: tuple[int, int, int] = (12, 40, 4)
    shares: bool = False
    """Also say which provider ran which share, even if all is on the CPU."""


class Reporter:
    """Appends findings to a file, each a line of JSON that is written at once."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("a", buffering=1)

    def say(self, **facts: object) -> None:
        """One line."""
        self._stream.write(json.dumps(facts) + "\n")

    def close(self) -> None:
        """No more findings."""
        self._stream.close()


def main(arguments: list[str]) -> int:
    """Do the job; 0 also if the way turned out not to work, which the report says."""
    job = Job.model_validate_json(Path(arguments[0]).read_bytes())
    _end_after(job.timeout_s)
    reporter = Reporter(job.report)
    try:
        if job.kind == "cases":
            cases = make_cases(open_model(job.model), job.threads, WindowSizes(*job.sizes))
            write_cases(job.folder, cases)
        else:
            assert job.way is not None
            try_way(job, job.way, reporter)
    except SetupError as error:
        reporter.say(fault=error.message)
    except Exception as error:  # a provider may raise anything; it is the way that fails
        reporter.say(fault=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    reporter.say(end=True, memory_bytes=peak_memory_bytes())
    reporter.close()
    _end_after(0)
    return 0


def _end_after(seconds: float) -> None:
    """Ask the system for a deadly signal then; for none if 0."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def try_way(job: Job, way: Way, reporter: Reporter) -> None:
    """Open, compare, measure."""
    cases = read_cases(job.folder, way.stage)
    file = job.model / way.file
    stage = open_stage(file, way, [case.frames for case in cases])
    check_contract(way.stage, stage, file)
    reporter.say(error=max(_error(stage, way, case) for case in cases))
    for i, case in enumerate(cases):
        for batch, lanes in _loads(way, longest=i == len(cases) - 1):
            wait_s, rate = _measure(stage, way, case, batch, lanes, job.measure_s)
            reporter.say(
                timing={
                    "frames": case.frames,
                    "batch": batch,
                    "lanes": lanes,
                    "wait_s": wait_s,
                    "rate": rate,
                }
            )
    if job.shares or way.provider != CPU:
        shares = provider_shares(file, way, cases[-1], job.folder)
        reporter.say(shares=[[each.provider, each.nodes, each.time] for each in shares])


def _loads(way: Way, longest: bool) -> Iterator[tuple[int, int]]:
    """(batch, lanes) to measure: alone always, all others for the longest window only."""
    yield 1, 1
    if way.stage == THROUGHPUT and longest:
        yield from ((b, lanes) for b in way.batches for lanes in way.lanes if (b, lanes) != (1, 1))


def _error(stage: Stage, way: Way, case: Case) -> float:
    names = sorted(ROLES[way.stage][1])
    outputs = stage.run(names, feed_for(stage, case, 1), _kept(stage, way))
    return error_of(way.stage, dict(zip(names, outputs, strict=True)), case.expected)


def _kept(stage: Stage, way: Way) -> tuple[str, ...]:
    return tuple(NEXT.get(way.stage, ())) if stage.device else ()


def feed_for(stage: Stage, case: Case, batch: int) -> Feed:
    """The case's inputs ``batch`` times; on a device, windows are cut from tensors lying there."""
    feed: dict[str, Tensor | Pieces] = {}
    for name, array in case.feed.items():
        if stage.device and name in WINDOWED:
            there = stage.device.put(array)
            feed[name] = Pieces((Piece(there, 0, 0, array.shape[-1]),) * batch)
        else:
            feed[name] = np.repeat(array, batch, axis=0)
    return feed


def _measure(
    stage: Stage, way: Way, case: Case, batch: int, lanes: int, measure_s: float
) -> tuple[float, float]:
    """Median seconds of a call, and frames a second over all lanes."""
    feed, kept = feed_for(stage, case, batch), _kept(stage, way)
    names = sorted(ROLES[way.stage][1])

    def call() -> None:
        stage.run(names, feed, kept)

    call()  # a new shape allocates, and some providers tune or record
    call()
    with ThreadPoolExecutor(lanes) as pool:
        started = time.perf_counter()
        runs = list(pool.map(lambda _: _calls(call, measure_s), range(lanes)))
        took_s = time.perf_counter() - started
    times = [each for run in runs for each in run]
    return statistics.median(times), batch * case.frames * len(times) / took_s


def _calls(call: Callable[[], None], measure_s: float) -> list[float]:
    times: list[float] = []
    while len(times) < CALLS_MIN or (sum(times) < measure_s and len(times) < CALLS_MAX):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def read_report(file: Path) -> dict[str, Any]:
    """What a child reported in whole lines: fault, error, timings, shares, memory, its end."""
    found: dict[str, Any] = {"timings": [], "shares": [], "fault": "", "error": None, "end": False}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            facts = json.loads(line)
        except ValueError:
            continue  # the last line of a child that was killed
        if "timing" in facts:
            found["timings"].append(Timing(**facts.pop("timing")))
        found |= facts
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
