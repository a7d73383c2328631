"""Which way to run each stage of a model on this machine: a decision over measurements.  Pure.

    Way      one way to run one stage: file, provider, its options, threads
    Timing   what it took for one shape and batch: alone, and with all its lanes busy
    Trial    a way and what came of it: timings and the error against CPU fp32, or a fault
    decide   trials → a Choice for each stage, and for every trial why it won or lost

What counts is the wait in the stages that first audio waits for once (plan, front, source), and in
the generator, which is nearly all of the work, frames per second with every lane busy.

A way is *out* if it crashed, hung, took too much memory, or computed something else than fp32 on
the CPU.  Among the others the fastest wins, unless one that is simpler (it stands earlier in the
order of trials: fp32 before int8, CPU before accelerators, few threads before many) is within
``Limits.margin`` of it: what gains little is not worth its risk.  If nothing is left the profile's
choice stands; see profiles.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

CPU = "CPUExecutionProvider"
STAGES = ("plan", "front", "source", "generator")
THROUGHPUT = "generator"
"""The stage that is judged by its rate, not by its wait."""

Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a stage.

    ``options`` go to the provider, ``config`` to the session.  ``static``: a session of its own for
    each window size and batch, their dimensions fixed, as CoreML and TensorRT want it; windows of
    other sizes run on the CPU.
    """

    stage: str
    file: str
    precision: str = "fp32"
    provider: str = CPU
    options: Options = ()
    config: Options = ()
    threads: int = 1
    lanes: tuple[int, ...] = (1,)
    """How many calls at once are worth trying."""
    batches: tuple[int, ...] = (1,)
    static: bool = False
    distance_db: float | None = None
    """Of another precision: what its maker measured against fp32."""

    @property
    def label(self) -> str:
        """For tables: "int8 CPU × 2", "fp32 CUDA enable_cuda_graph=1"."""
        name = self.provider.removesuffix("ExecutionProvider")
        parts = [self.precision, f"{name} × {self.threads}" if self.provider == CPU else name]
        parts += [f"{key}={value}" for key, value in (*self.options, *self.config)]
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians for ``batch`` rows of ``frames`` frames each; ``rate`` is frames a second."""

    frames: int
    batch: int
    lanes: int
    wait_s: float
    """Of one call, alone if ``lanes`` is 1."""
    rate: float


@dataclass(frozen=True, slots=True)
class Share:
    """What a provider ran of a graph; ``time`` is its share of the time in all nodes, 0 to 1."""

    provider: str
    nodes: int
    time: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a way.  ``fault`` is empty if it ran to its end within its limits.

    ``error`` against fp32 on the CPU: of the generator in dB of log-spectral distance, of others as
    a share of the root mean square; None if nothing was computed.  ``memory_bytes`` is the child
    process's peak.
    """

    way: Way
    timings: tuple[Timing, ...] = ()
    error: float | None = None
    memory_bytes: int = 0
    fault: str = ""
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a way may cost and how wrong it may be."""

    margin: float = 0.1
    """By how much, of 1, a way must be faster than a simpler one."""
    distance_max_db: float = 0.5
    error_max: float = 0.02
    """For fp32: providers round differently, TF32 to 11 bits."""
    error_max_lower: float = 0.25
    """For lower precisions, whose fidelity the maker measured: this finds what is broken here."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a stage is run."""

    way: Way
    lanes: int = 1
    batch_max: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A trial's outcome: its cost (seconds in sum, or seconds a frame), and why it won or lost."""

    trial: Trial
    won: bool
    cost: float
    reason: str


@dataclass(frozen=True, slots=True)
class Placement:
    """A choice for each stage, where it comes from, and what was found on the way to it."""

    choices: Mapping[str, Choice]
    source: str
    verdicts: tuple[Verdict, ...] = field(default=())


def decide(trials: Sequence[Trial], limits: Limits, fallback: Placement) -> Placement:
    """The best way for each stage.  ``trials`` of a stage are ordered from simple to elaborate."""
    choices = dict(fallback.choices)
    verdicts: list[Verdict] = []
    for stage in STAGES:
        own = [trial for trial in trials if trial.way.stage == stage]
        judged = _judge(own, limits)
        verdicts += judged
        for verdict in judged:
            if verdict.won:
                choices[stage] = _choice(verdict.trial, limits.margin)
    won = sum(verdict.won for verdict in verdicts)
    source = f"measured: {len(trials)} ways tried" if won else fallback.source
    return Placement(choices, source, tuple(verdicts))


def fault_of(trial: Trial, limits: Limits) -> str:
    """Why a trial is out of the question; empty if it is not."""
    if trial.fault:
        return trial.fault
    if trial.error is None or not trial.timings:
        return "measured nothing"
    way, most_db = trial.way, limits.distance_max_db
    if way.distance_db is not None and not way.distance_db <= most_db:
        return (
            f"{way.distance_db:.2f} dB from fp32 by its manifest; {limits.distance_max_db} may be"
        )
    if way.stage == THROUGHPUT:
        if not trial.error <= most_db:
            return f"{trial.error:.2f} dB from fp32 on the CPU; {most_db:g} may be"
    else:
        limit = limits.error_max if way.precision == "fp32" else limits.error_max_lower
        if not trial.error <= limit:
            return f"differs from fp32 on the CPU by {trial.error:.1%}; {limit:.0%} may be"
    return ""


def cost_of(trial: Trial) -> float:
    """Seconds: of a frame at the best rate for the generator, else of all shapes, called alone."""
    if trial.way.stage == THROUGHPUT:
        return 1 / max(timing.rate for timing in _longest(trial))
    return sum(timing.wait_s for timing in trial.timings if timing.batch == timing.lanes == 1)


def _judge(trials: Sequence[Trial], limits: Limits) -> list[Verdict]:
    faults = [fault_of(trial, limits) for trial in trials]
    costs = [inf if fault else cost_of(trial) for trial, fault in zip(trials, faults, strict=True)]
    best = min(costs, default=inf)
    if best == inf:
        winner = None
    else:
        winner = next(i for i, cost in enumerate(costs) if cost <= best * (1 + limits.margin))
    return [
        Verdict(trial, i == winner, cost, fault or _reason(i, winner, costs, limits.margin))
        for i, (trial, cost, fault) in enumerate(zip(trials, costs, faults, strict=True))
    ]


def _reason(i: int, winner: int | None, costs: Sequence[float], margin: float) -> str:
    assert winner is not None
    if i == winner:
        faster = costs[i] > min(costs)
        return f"simplest within {margin:.0%} of the fastest" if faster else "fastest"
    times = costs[i] / costs[winner]
    if times < 1:
        return f"{1 / times - 1:.0%} faster, not more than {margin:.0%}, and less simple"
    return f"{times:.2f} × the winner's time"


def _choice(trial: Trial, margin: float) -> Choice:
    """Lanes and batch of the best rate; of batches that do about as well, the smallest.

    A large batch makes its first window wait for the others, so it must earn that.
    """
    if trial.way.stage != THROUGHPUT:
        return Choice(trial.way)
    timings = sorted(_longest(trial), key=lambda timing: (timing.batch, timing.lanes))
    best = max(timing.rate for timing in timings)
    chosen = next(timing for timing in timings if timing.rate * (1 + margin) >= best)
    return Choice(trial.way, chosen.lanes, chosen.batch)


def _longest(trial: Trial) -> list[Timing]:
    """Timings of the longest window: nearly all windows of a long text have that size."""
    frames = max(timing.frames for timing in trial.timings)
    return [timing for timing in trial.timings if timing.frames == frames]
