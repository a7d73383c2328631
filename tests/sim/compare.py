"""How many sessions a machine holds, by how it is scheduled: the same world, the same listeners.

    python -m tests.sim compare [--seeds N] [--hardware NAME] [--approach TEXT] [--json]

A machine *holds* N sessions if, of all sessions measured with N of them there at any time, at most
``SHARE_MAX`` had a gap over 50 ms.  The largest such N is searched by bisection, down to one
session or 3 %.  Each approach gets the lanes and the window sizes that it does best with.  Chunks
that are rendered whole are also tried with listeners who wait before they play (*prebuffer*), which
no windowed approach needs; the wait is part of the first audio's time.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

from gateway.engine.kokoro.windows import WindowSizes
from tests.sim.hardware import HARDWARE, Hardware
from tests.sim.inference import Approach, InferenceEngines
from tests.sim.listeners import UNDERRUN_S, Audience, Heard
from tests.sim.world import World

SHARE_MAX = 0.001
SESSIONS_PER_SEED = 500
SEEDS = 2
ARRIVALS_OVER_S = 20.0
WARM_UP_S = 30.0
"""Sessions that began before this are not counted: the cost model is still learning."""
RESOLUTION = 0.03
PLOT_WIDTH = 60

WINDOWS = tuple(WindowSizes(first=first) for first in (12, 16, 20))
"""As the engine cuts them, with its default and with larger first windows."""
PREBUFFERS_S = (0.0, 1.0, 2.0)
"""The next chunk is asked for when less than 3 s are left, so that more would not help."""
APPROACHES: Mapping[str, tuple[Approach, ...]] = {
    **{
        f"fifo, whole chunks{f', {wait_s:g} s prebuffer' if wait_s else ''}": (
            Approach("fifo", prebuffer_s=wait_s),
        )
        for wait_s in PREBUFFERS_S
    },
    "round robin, whole chunks, 2 s prebuffer": (Approach("round-robin", prebuffer_s=2.0),),
    "edf, whole chunks, 2 s prebuffer": (Approach("edf", prebuffer_s=2.0),),
    "fifo, windows": tuple(Approach("fifo", sizes) for sizes in WINDOWS),
    "round robin, windows": tuple(Approach("round-robin", sizes) for sizes in WINDOWS),
    "edf, windows (ours)": tuple(Approach("edf", sizes) for sizes in WINDOWS),
}
BASELINE = "fifo, whole chunks, 2 s prebuffer"
"""Without prebuffer, a long sentence behind a short clause is late though nobody else is there."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened with so many sessions at a time."""

    seats: int
    sessions: int
    with_gap: int
    held: bool
    first_audio_p50_s: float
    first_audio_p95_s: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class Finding:
    """The most that one approach holds on one machine.

    ``trial`` shows it; if even one session is too many, it shows what becomes of one.
    """

    machine: str
    approach: str
    lanes: str
    windows: tuple[int, ...]
    seats: int
    trial: Trial


def attempt(
    hardware: Hardware,
    approach: Approach,
    seats: int,
    seeds: int,
    sessions: int,
    *,
    gaps_max: int | None = None,
) -> Trial:
    """Run ``seeds`` worlds of ``sessions`` counted sessions.

    It stops once too many had a gap, or more than ``gaps_max``.
    """
    allowed = int(SHARE_MAX * seeds * sessions)
    gaps_max = allowed if gaps_max is None else gaps_max
    counted: list[Heard] = []
    with_gap, busy_s, lane_s = 0, 0.0, 0.0
    for seed in range(seeds):
        world = World(seed)
        engines = InferenceEngines(world, hardware, approach)
        audience = Audience(world, engines, seats, ARRIVALS_OVER_S, WARM_UP_S, approach.prebuffer_s)
        while len(audience.heard) < sessions and with_gap + audience.with_gap <= gaps_max:
            assert world.step(), "a world without end ended"
        counted += audience.heard
        with_gap += audience.with_gap
        busy_s += engines.busy_s
        lane_s += world.now * hardware.lanes
        if with_gap > gaps_max:
            break
    first = sorted(wait_s for heard in counted for wait_s in heard.first_audio_s) or [0.0]
    return Trial(
        seats,
        len(counted),
        with_gap,
        with_gap <= allowed,
        first[len(first) // 2],
        first[len(first) * 95 // 100],
        busy_s / lane_s,
    )


def search(hardware: Hardware, approach: Approach, seeds: int, sessions: int) -> Trial | None:
    """The trial with the most sessions that were held; None if one is too many."""
    low, high = 0, 1
    # In one world alone, one gap more than the limit may be chance.
    luck = 1 + int(SHARE_MAX * sessions)
    while True:
        trial = attempt(hardware, approach, high, 1, sessions, gaps_max=luck)
        if trial.with_gap > luck:
            break
        # Far below its limit, how busy it is says about where the limit is.
        low, high = high, max(2 * high, int(0.6 * high / trial.utilisation) if high > 1 else 0)
    best: Trial | None = None
    middle = low
    while middle > 0:
        trial = attempt(hardware, approach, middle, seeds, sessions)
        if trial.held:
            best, low = trial, middle
        else:
            low, high = (0 if best is None else low), middle
        if high - low <= max(1, RESOLUTION * high):
            break
        middle = (low + high) // 2
    return best


Task = tuple[str, str, Hardware, Approach, int, int]


def _find(task: Task) -> Finding:
    machine, name, hardware, approach, seeds, sessions = task
    trial = search(hardware, approach, seeds, sessions)
    seats = trial.seats if trial else 0
    trial = trial or attempt(hardware, approach, 1, 1, sessions, gaps_max=sessions)
    windows = approach.windows.cores() if approach.windows else ()
    return Finding(machine, name, hardware.name, windows, seats, trial)


def compare(
    machines: Sequence[str], seeds: int = SEEDS, sessions: int = SESSIONS_PER_SEED, named: str = ""
) -> list[Finding]:
    """The best finding of every approach whose name contains ``named``, on every machine."""
    tasks: list[Task] = [
        (machine, name, hardware, approach, seeds, sessions)
        for machine in machines
        for name, approaches in APPROACHES.items()
        if named in name
        for approach in approaches
        for hardware in HARDWARE[machine]
    ]
    best: dict[tuple[str, str], Finding] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        # The machines that hold most take longest, so they begin.
        findings = [*pool.map(_find, reversed(tasks))]
    for finding in reversed(findings):
        key = finding.machine, finding.approach
        if key not in best or _merit(finding) > _merit(best[key]):
            best[key] = finding
    return list(best.values())


def _merit(finding: Finding) -> tuple[int, int]:
    return finding.seats, -finding.trial.with_gap


def table(findings: Sequence[Finding]) -> Iterator[str]:
    """Lines of Markdown, a table for each machine."""
    for machine in dict.fromkeys(finding.machine for finding in findings):
        rows = [finding for finding in findings if finding.machine == machine]
        baseline = next((f.seats for f in rows if f.approach == BASELINE), 0)
        yield f"\n**{machine}**\n"
        yield (
            f"| approach | sessions held | against {BASELINE} | with a gap | utilisation "
            "| first audio p50 / p95, ms | lanes | windows |"
        )
        yield "|---|---|---|---|---|---|---|---|"
        for row in rows:
            yield _row(row, baseline)


def _row(finding: Finding, baseline: int) -> str:
    trial = finding.trial
    ratio = f"{finding.seats / baseline:.2f} ×" if baseline else "–"
    seats = f"{finding.seats}" if finding.seats else "0 (of one alone:)"
    windows = "-".join(map(str, finding.windows)) or "whole"
    return (
        f"| {finding.approach} | {seats} | {ratio} | {trial.with_gap} of {trial.sessions} "
        f"| {trial.utilisation:.0%} "
        f"| {1000 * trial.first_audio_p50_s:.0f} / {1000 * trial.first_audio_p95_s:.0f} "
        f"| {finding.lanes} | {windows} |"
    )


def plot(findings: Sequence[Finding]) -> Iterator[str]:
    """Lines of a bar chart: sessions held, a mark for each (or for each few, if they are many)."""
    each = -(-max((finding.seats for finding in findings), default=0) // PLOT_WIDTH) or 1
    width = max((len(finding.approach) for finding in findings), default=0)
    for machine in dict.fromkeys(finding.machine for finding in findings):
        yield f"\n{machine}"
        for finding in findings:
            if finding.machine == machine:
                bar = "█" * -(-finding.seats // each)
                yield f"  {finding.approach:{width}}  {bar} {finding.seats}"


def main(arguments: Sequence[str]) -> int:
    """``python -m tests.sim compare``."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim compare", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="worlds for each point")
    parser.add_argument(
        "--sessions", type=int, default=SESSIONS_PER_SEED, help="counted sessions of a world"
    )
    parser.add_argument("--hardware", choices=sorted(HARDWARE), help="only this machine")
    parser.add_argument("--approach", default="", help="only those with this in their name")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    machines = [options.hardware] if options.hardware else list(HARDWARE)
    findings = compare(machines, options.seeds, options.sessions, options.approach)
    if options.json:
        figures = [asdict(finding) for finding in findings]
        print(json.dumps({"underrun_s": UNDERRUN_S, "share_max": SHARE_MAX, "held": figures}))
    else:
        print(
            f"Sessions held at <= {SHARE_MAX:.1%} of sessions with a gap over "
            f"{1000 * UNDERRUN_S:.0f} ms ({options.seeds} worlds of {options.sessions} sessions)"
        )
        print("\n".join((*table(findings), *plot(findings))))
    return 0
