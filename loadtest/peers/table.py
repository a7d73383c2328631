"""Load steps as figures, a table and one number.  Pure.

*Capacity* is the largest load of those tried up to which every step held: 99.9 % of the answers
without a gap over 50 ms, and 95 % of first audio within 1 s.  *Gapless capacity* leaves the second
out: a server that takes a whole sentence first can still be gapless.  0: not even the least load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.peers.load import Step
from loadtest.runfile import RATIO, Figure, Run
from loadtest.statistics import percentile

GAPLESS_SHARE = 0.999
FIRST_AUDIO_P95_S = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One step.  Seconds; first audio is None if no answer was heard at all."""

    sessions: int
    answers: int
    failed: int
    gapless: float
    worst_gap_s: float
    first_audio_p50_s: float | None
    first_audio_p95_s: float | None
    after_sentence_p50_s: float | None
    speech_s: float
    server_cpu_share: float | None
    foreign_cpu_share: float
    late_s: float
    valid: bool

    @property
    def holds_gapless(self) -> bool:
        """Whether hardly anybody heard a gap."""
        return self.gapless >= GAPLESS_SHARE

    @property
    def holds(self) -> bool:
        """Whether it is prompt as well."""
        prompt = self.first_audio_p95_s is not None and self.first_audio_p95_s <= FIRST_AUDIO_P95_S
        return self.holds_gapless and prompt


def row(step: Step) -> Row:
    """The figures of ``step``; CPU is in cores."""
    outcomes = step.outcomes
    first = [each.first_audio_s for each in outcomes if each.first_audio_s is not None]
    after = [each.after_sentence_s for each in outcomes if each.after_sentence_s is not None]
    return Row(
        sessions=step.load.sessions,
        answers=len(outcomes),
        failed=sum(bool(each.problem) for each in outcomes),
        gapless=sum(each.gapless for each in outcomes) / len(outcomes),
        worst_gap_s=max(each.worst_gap_s for each in outcomes),
        first_audio_p50_s=_percentile(first, 50),
        first_audio_p95_s=_percentile(first, 95),
        after_sentence_p50_s=_percentile(after, 50),
        speech_s=sum(each.speech_s for each in outcomes) / len(outcomes),
        server_cpu_share=None if step.server_cpu_s is None else step.server_cpu_s / step.wall_s,
        foreign_cpu_share=step.foreign_cpu_share,
        late_s=step.late_s,
        valid=step.valid,
    )


def capacity(rows: Sequence[Row], *, prompt: bool = True) -> int:
    """The largest load up to which all steps held; ``rows`` by rising load."""
    best = 0
    for each in rows:
        if not (each.holds if prompt else each.holds_gapless):
            break
        best = each.sessions
    return best


def as_text(rows: Mapping[str, Sequence[Row]]) -> str:
    """A Markdown table of all contenders, and their capacities."""
    lines = [
        "| contender | sessions | answers (failed) | without a gap | worst gap "
        "| first audio p50 / p95 | after the sentence p50 "
        "| speech an answer | server CPU | others | |",
        "|---" * 11 + "|",
    ]
    for name, steps in rows.items():
        lines += [f"| {name} {_cells(each)}" for each in steps]
    for name, steps in rows.items():
        lines.append(
            f"{name}: capacity {capacity(steps)}, gapless {capacity(steps, prompt=False)}; "
            f"loads tried: {', '.join(str(each.sessions) for each in steps)}"
        )
    return "\n".join(lines)


def figures(rows: Mapping[str, Sequence[Row]]) -> Run:
    """For a run file: each contender's, and first audio and capacity of the first in the others'.

    Seconds at the least load that both were given.
    """
    found: dict[str, Figure] = {}
    for name, steps in rows.items():
        found[f"{name}: capacity"] = Figure(capacity(steps), "sessions", "higher")
        found[f"{name}: gapless capacity"] = Figure(
            capacity(steps, prompt=False), "sessions", "higher"
        )
        if steps[0].first_audio_p50_s is not None:
            found[f"{name}: first audio"] = Figure(steps[0].first_audio_p50_s, "s", "lower")
    (first, its_rows), *others = rows.items()
    reference = its_rows[0].first_audio_p50_s
    for name, steps in others:
        if reference and steps[0].first_audio_p50_s:
            ratio = steps[0].first_audio_p50_s / reference
            found[f"{name}: first audio of {first}'s"] = Figure(ratio, RATIO, "lower")
    return found


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return percentile(np.asarray(values), percent) if values else None


def _cells(each: Row) -> str:
    cpu = "–" if each.server_cpu_share is None else f"{each.server_cpu_share:.2f}"
    first = f"{_ms(each.first_audio_p50_s)} / {_ms(each.first_audio_p95_s)}"
    cells = (
        str(each.sessions),
        f"{each.answers} ({each.failed})",
        f"{each.gapless:.0%}",
        _ms(each.worst_gap_s),
        first,
        _ms(each.after_sentence_p50_s),
        f"{each.speech_s:.1f} s",
        cpu,
        f"{each.foreign_cpu_share:.0%}",
        "" if each.valid else "INVALID: generator late",
    )
    return "| " + " | ".join(cells) + " |"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:.0f} ms"
