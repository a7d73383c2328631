"""Lead against underruns: our pacer beside one with a fixed lead, over the same networks.

    python -m tests.sim leads [--network NAME] [--sessions N] [--jobs K] [--json] [--svg FILE]

Ours is the real session: it adapts its lead to what listeners report.  The others are
tests/sim/open_loop.py with leads from 0.1 to 1.2 s.  All listeners have the same seeds: the same
faults at the same times, the same devices, answers of the same length.

A session *tore* if it heard a gap of more than 50 ms.  Leads are true ones, while something is
being sent (tests/sim/lead_meter.py).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.sim.listeners import UNDERRUN_S
from tests.sim.networks import CALM_LINK, CROWDED_WIFI, MOBILE, STALLED_TCP, WIFI, NetworkFaults
from tests.sim.open_loop import listen
from tests.sim.plan import draw
from tests.sim.plot import Panel, Point, figure
from tests.sim.run import play
from tests.sim.scenario import CALM, CallerHabits, Scenario

NETWORKS: Mapping[str, NetworkFaults] = {
    "calm": CALM_LINK,
    "wifi": WIFI,
    "wifi-crowded": CROWDED_WIFI,
    "mobile": MOBILE,
    "stalled-tcp": STALLED_TCP,
}
FIXED_S = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6, 0.8, 1.2)
OURS = "adaptive (ours)"
DEVICES = ("ideal", "slow", "fast", "worklet", "bursty", "bluetooth")
SESSIONS = 200
SESSIONS_PER_WORLD = 8
SPEECH = CallerHabits(players=DEVICES, turns=3, sentences_max=12)
DURATION_S = 240.0


@dataclass(frozen=True, slots=True)
class Row:
    """What one pacer made of one network."""

    network: str
    pacer: str
    sessions: int
    torn: int
    worst_gap_ms: float
    lead_p50_ms: int
    lead_p95_ms: int

    @property
    def torn_share(self) -> float:
        """Share of sessions with a gap over 50 ms."""
        return self.torn / self.sessions


def scenario_of(network: str) -> Scenario:
    """Some 45 s of speech in each session, over this network."""
    link = NETWORKS[network]
    return replace(
        CALM,
        sessions=SESSIONS_PER_WORLD,
        habits=SPEECH,
        duration_s=DURATION_S,
        down=link,
        up=link,
    )


def measure(network: str, lead_s: float | None, seeds: Iterable[int]) -> Row:
    """One pacer over one network; ``lead_s`` None is ours."""
    leads: Counter[int] = Counter()
    worst: list[float] = []
    for seed in seeds:
        plan = draw(seed, scenario_of(network))
        if lead_s is None:
            _, callers, _ = play(plan)
            for caller in callers:
                worst.append(max((u.duration_s for u in caller.underruns), default=0.0))
                leads.update(round(1000 * lead) for _, lead in caller.leads.samples)
        else:
            for outcome in listen(plan, lead_s):
                worst.append(outcome.worst_gap_s)
                leads.update(round(1000 * lead) for _, lead in outcome.leads)
    return Row(
        network=network,
        pacer=OURS if lead_s is None else f"fixed {1000 * lead_s:.0f} ms",
        sessions=len(worst),
        torn=sum(gap > UNDERRUN_S for gap in worst),
        worst_gap_ms=round(1000 * max(worst), 1),
        lead_p50_ms=quantile(leads, 0.5),
        lead_p95_ms=quantile(leads, 0.95),
    )


def quantile(counts: Mapping[int, int], share: float) -> int:
    """The least value that at least ``share`` of what was counted does not exceed."""
    wanted = share * sum(counts.values())
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    raise ValueError("quantile: nothing was counted")


def compare(networks: Sequence[str], sessions: int, jobs: int) -> list[Row]:
    """Every pacer over every network, with at least ``sessions`` sessions each."""
    seeds = range(-(-sessions // SESSIONS_PER_WORLD))
    pacers = (None, *FIXED_S)
    tasks = [(network, lead_s) for network in networks for lead_s in pacers]
    if jobs == 1:
        return [measure(network, lead_s, seeds) for network, lead_s in tasks]
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(measure, network, lead_s, seeds) for network, lead_s in tasks]
        return [future.result() for future in running]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| network | pacer | sessions | torn | worst gap, ms | lead p50 / p95, ms |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.network} | {row.pacer} | {row.sessions} | {row.torn} ({row.torn_share:.2%}) "
            f"| {row.worst_gap_ms:.0f} | {row.lead_p50_ms} / {row.lead_p95_ms} |"
        )


def panels(rows: Sequence[Row]) -> list[Panel]:
    """A panel for each network: share of torn sessions over the median lead."""
    made = []
    for network in dict.fromkeys(row.network for row in rows):
        mine = [row for row in rows if row.network == network]
        points = [(Point(r.lead_p50_ms, 100 * r.torn_share), r.pacer == OURS) for r in mine]
        made.append(
            Panel(
                f"{network} ({mine[0].sessions} sessions each)",
                line=tuple(point for point, ours in points if not ours),
                marks=tuple(point for point, ours in points if ours),
            )
        )
    return made


def plot(rows: Sequence[Row]) -> str:
    """The figure of docs/pacing.md, as SVG."""
    return figure(
        panels(rows),
        title="Sessions with a gap over 50 ms, against the lead that it cost",
        x_label="median lead, ms",
        y_label="% of sessions",
        line_label="fixed lead, open loop",
        mark_label=OURS,
    )


def main(arguments: Sequence[str]) -> int:
    """``python -m tests.sim leads``."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim leads", description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), help="only this one")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="at least, for each row")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--svg", type=Path, help="write the figure here")
    options = parser.parse_args(arguments)
    networks = [options.network] if options.network else list(NETWORKS)
    rows = compare(networks, options.sessions, options.jobs)
    if options.json:
        print(json.dumps({"underrun_s": UNDERRUN_S, "rows": [asdict(row) for row in rows]}))
    else:
        print("\n".join(table(rows)))
    if options.svg:
        options.svg.parent.mkdir(parents=True, exist_ok=True)
        options.svg.write_text(plot(rows))
    return 0
