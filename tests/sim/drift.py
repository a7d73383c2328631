"""Clocks that differ, for an hour: does the listener ever run dry, does the delay grow?

    python -m tests.sim drift [--minutes N] [--ppm N] [--json]

One session speaks without a pause into a single context while its listener's clock runs too slowly
or too fast.  At ±200 ppm an hour of speech drifts by 0.72 s: a sender that does not listen must run
its listener dry, or pile up that much.  The same session with a listener that never reports is the
control.  The lead is the true one (tests/sim/lead_meter.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tests.sim.engine import CHARACTER_S
from tests.sim.plan import Action, CallerPlan, TurnPlan, WorldPlan
from tests.sim.players import Player
from tests.sim.run import play
from tests.sim.scenario import CALM

SENTENCE = "The river rises in the hills and runs for a hundred miles to the sea, past many towns."
SETTLE_S = 60.0
"""The lead of the first minute is not counted: the sender has just begun to learn."""
AHEAD_S = 10.0
"""The text comes at least this much before it is spoken…"""
TEXT_PACE = 0.99
"""…and a little faster than that."""
PPM = 200.0
GROWTH_MAX_MS = 20.0
"""More than this is a trend, not the noise of an average."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One hour of one listener."""

    ppm: float
    reports: bool
    speech_s: float
    underruns: int
    worst_gap_ms: float
    lead_first_ms: float
    """Mean lead of the first sixth of the time, after the first minute."""
    lead_last_ms: float
    """…and of the last sixth."""
    lead_max_ms: float

    @property
    def grown_ms(self) -> float:
        """How much longer audio waits at the end than at the beginning."""
        return self.lead_last_ms - self.lead_first_ms

    @property
    def steady(self) -> bool:
        """Whether nothing tore and nothing grew."""
        return self.underruns == 0 and self.grown_ms <= GROWTH_MAX_MS


def plan_of(speech_s: float, ppm: float, *, reports: bool) -> WorldPlan:
    """One session, one answer, ``speech_s`` long."""
    sentence_s = TEXT_PACE * len(SENTENCE) * CHARACTER_S
    count = round(speech_s / sentence_s)
    early = round(AHEAD_S / sentence_s)
    actions = [
        Action("text", sentence_s if number > early else 0.0, SENTENCE + " ")
        for number in range(count)
    ]
    player = Player(clock_ppm=ppm, report_every_s=0.25 if reports else 0.0)
    turn = TurnPlan(0.0, (*actions, Action("end")))
    scenario = replace(CALM, sessions=1, duration_s=speech_s + 60.0)
    return WorldPlan(1, scenario, (CallerPlan("s0", 0.0, player, (turn,)),))


def measure(speech_s: float, ppm: float, *, reports: bool = True) -> Drift:
    """Let it speak; raises AssertionError where the simulator's own checks fail."""
    _, (caller,), _ = play(plan_of(speech_s, ppm, reports=reports))
    began = caller.leads.samples[0][0]
    settled = [(now, lead) for now, lead in caller.leads.samples if now > began + SETTLE_S]
    sixth = len(settled) // 6
    assert sixth, "too short to measure"
    leads = [1000 * lead for _, lead in settled]
    return Drift(
        ppm=ppm,
        reports=reports,
        speech_s=round(settled[-1][0] - began, 1),
        underruns=len(caller.underruns),
        worst_gap_ms=round(1000 * max((u.duration_s for u in caller.underruns), default=0.0), 1),
        lead_first_ms=round(statistics.fmean(leads[:sixth]), 1),
        lead_last_ms=round(statistics.fmean(leads[-sixth:]), 1),
        lead_max_ms=round(max(leads), 1),
    )


def main(arguments: Sequence[str]) -> int:
    """``python -m tests.sim drift``; the exit status says whether reports kept it steady."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim drift", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of speech")
    parser.add_argument("--ppm", type=float, default=PPM, help="by how much the clocks differ")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    runs = [
        measure(60 * options.minutes, ppm, reports=reports)
        for reports in (True, False)
        for ppm in (-options.ppm, options.ppm)
    ]
    if options.json:
        print(json.dumps([asdict(run) for run in runs]))
    else:
        print(
            "| clock | reports | speech, s | underruns | worst, ms | lead first → last, max, ms |"
        )
        print("|---|---|---|---|---|---|")
        for run in runs:
            print(
                f"| {run.ppm:+g} ppm | {'yes' if run.reports else 'no'} | {run.speech_s:.0f} "
                f"| {run.underruns} | {run.worst_gap_ms:.0f} "
                f"| {run.lead_first_ms:.0f} → {run.lead_last_ms:.0f}, {run.lead_max_ms:.0f} |"
            )
    return 0 if all(run.steady for run in runs if run.reports) else 1
