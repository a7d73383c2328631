"""``compare A B``: where the runs come from, what is judged, and how it is told.

    A and B are   commands or trees     run in turn here, judged in pairs (interleave.py)
                  run files             made before; all figures if made on the same kind of machine
    A is          ``baseline``          what is stored for this kind of machine; ratios only
                                        (B then is run alone, or a run file)

A baseline is a run file in ``baselines/``, named for the machine's kind.  Seconds of another day
say how busy the machine was that day; a ratio was measured against its reference in the same run,
so it is all that a gate may go by.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from loadtest import judge
from loadtest.interleave import Progress, Side, run_in_turn, run_once, side
from loadtest.judge import PAIRS_MIN, Change, Terms, Verdict
from loadtest.runfile import RATIO, Runs, joined, read_runs, to_json

BASELINE = "baseline"
BASELINES = Path(__file__).parent / "baselines"
PAIRS = 20
STATUS_SAME, STATUS_WORSE, STATUS_UNDECIDED = 0, 1, 3
"""Exit statuses; 2 is the shell's word for a wrong command line."""

_NAME_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """``a`` and ``b`` as they were given, their runs, and the verdicts."""

    a: str
    b: str
    machine: str
    paired: bool
    a_runs: Runs
    b_runs: Runs
    changes: tuple[Change, ...]

    @property
    def verdict(self) -> Verdict:
        """Worse if any figure is, else undecided if any is; better if one is and none is worse."""
        verdicts = {change.verdict for change in self.changes}
        ranked: tuple[Verdict, ...] = ("worse", "undecided", "better", "same")
        return next(verdict for verdict in ranked if verdict in verdicts)

    @property
    def status(self) -> int:
        """The exit status."""
        return {"worse": STATUS_WORSE, "undecided": STATUS_UNDECIDED}.get(self.verdict, STATUS_SAME)


def compare(
    a: str,
    b: str,
    *,
    pairs: int,
    seed: int,
    tree_command: str,
    terms: Terms,
    machine: str,
    progress: Progress,
    baselines: Path = BASELINES,
) -> Comparison:
    """Get the runs of both and judge them; ``machine`` is the kind of this machine.

    Raises ValueError for what can't be compared, ChildProcessError for a command that fails.
    """
    before, after = stored(a, machine, baselines), stored(b, machine, baselines)
    paired = before is None and after is None
    if paired:
        before, after = run_in_turn(
            side(a, tree_command), side(b, tree_command), pairs, seed, progress
        )
    elif before is None:
        before = _run_alone(side(a, tree_command), pairs, progress)
    elif after is None:
        after = _run_alone(side(b, tree_command), pairs, progress)
    assert before is not None
    assert after is not None
    # Two files of one machine and one session may be compared in seconds; whoever gives them knows.
    ratios_only = BASELINE in (a, b) or before.machine != after.machine
    only = RATIO if ratios_only else None
    changes = judge.compare(before, after, paired=paired, terms=terms, only=only)
    return Comparison(a, b, after.machine, paired, before, after, tuple(changes))


def stored(text: str, machine: str, baselines: Path = BASELINES) -> Runs | None:
    """Runs that exist: the baseline of ``machine``, a run file, a folder of them; else None."""
    if text == BASELINE:
        path = baseline_path(machine, baselines)
        if not path.is_file():
            raise ValueError(
                f"no baseline is stored for {machine!r}: make one with "
                "`python -m loadtest baseline COMMAND`"
            )
        return read_runs(path)
    path = Path(text)
    if path.is_file():
        return read_runs(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    return joined(map(read_runs, files)) if files else None


def store_baseline(
    text: str, pairs: int, tree_command: str, machine: str, progress: Progress,
    baselines: Path = BASELINES,
) -> Path:  # fmt: skip
    """Keep ``text``'s runs as the baseline of ``machine``; only their ratios.

    Raises ValueError if they are too few, of another machine, or have no ratios.
    """
    runs = stored(text, machine, baselines) or _run_alone(side(text, tree_command), pairs, progress)
    if runs.machine != machine:
        raise ValueError(f"these runs are of {runs.machine!r}, this machine is {machine!r}")
    if len(runs.runs) < PAIRS_MIN:
        raise ValueError(f"a baseline needs at least {PAIRS_MIN} runs; these are {len(runs.runs)}")
    names = [name for name in runs.names() if runs.runs[0][name].unit == RATIO]
    if not names:
        raise ValueError(f"no figure of unit {RATIO!r} is in every run: nothing to keep")
    path = baseline_path(machine, baselines)
    path.parent.mkdir(exist_ok=True)
    kept = Runs(machine, tuple({name: run[name] for name in names} for run in runs.runs))
    path.write_bytes(to_json(kept) + b"\n")
    return path


def baseline_path(machine: str, baselines: Path = BASELINES) -> Path:
    """Where the baseline of a kind of machine is kept."""
    name = re.sub(r"[^a-z0-9.]+", "-", machine.lower()).strip("-.")[:_NAME_CHARS_MAX]
    return baselines / f"{name or 'unknown'}.json"


def _run_alone(what: Side, times: int, progress: Progress) -> Runs:
    runs = []
    for number in range(times):
        runs.append(run_once(what))
        progress(f"run {number + 1} of {times}")
    return joined(runs)


# ── how it is told ─────────────────────────────────────────────────────────────────────────────


def as_text(result: Comparison, terms: Terms) -> str:
    """A table, and what follows from it."""
    rows: list[tuple[str, ...]] = [("figure", "A", "B", "change", "interval", "verdict")]
    rows += [_row(change) for change in result.changes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    confidence = 1 - 2 * terms.false_alarms / len(result.changes)
    runs = f"{len(result.a_runs.runs)} and {len(result.b_runs.runs)}"
    return "\n".join(
        [
            f"A: {result.a}",
            f"B: {result.b}",
            f"{runs} runs, {'in turn' if result.paired else 'not in turn'}; {result.machine}",
            *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
            f"intervals of {confidence:.2%}; worse: above 0 and a change over {terms.tolerance:.0%}"
            f"; undecided: {terms.regression:.0%} can't be excluded",
            f"verdict: {result.verdict}",
        ]
    )


def as_json(result: Comparison, terms: Terms) -> str:
    """One object; an interval without an end is null there."""
    fields: dict[str, Any] = {
        "a": result.a,
        "b": result.b,
        "machine": result.machine,
        "runs": [len(result.a_runs.runs), len(result.b_runs.runs)],
        "paired": result.paired,
        "terms": asdict(terms),
        "changes": [asdict(change) for change in result.changes],
        "verdict": result.verdict,
    }
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode()


def _row(change: Change) -> tuple[str, ...]:
    if change.relative:
        told = [f"{value:+.1%}" for value in (change.change, change.low, change.high)]
    else:
        told = [f"{value:+.4g}" for value in (change.change, change.low, change.high)]
    ends = [
        "none" if math.isinf(value) else text
        for value, text in zip((change.low, change.high), told[1:], strict=True)
    ]
    unit = "" if change.unit == RATIO else f" {change.unit}"
    return (
        change.name,
        f"{change.a:.4g}{unit}",
        f"{change.b:.4g}{unit}",
        told[0],
        f"{ends[0]} … {ends[1]}",
        change.verdict,
    )
