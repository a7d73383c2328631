"""A placement as a table or as JSON: what was tried, what won, why the others lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.engine.placement import Placement, Trial, Verdict

COLUMNS = ("stage", "way", "lanes × batch", "one call", "frames/s", "error", "memory", "", "why")


def as_facts(title: str, placement: Placement) -> dict[str, Any]:
    """For JSON; ``cost`` is None for a way that is out."""
    return {
        "model": title,
        "source": placement.source,
        "choices": {
            stage: {
                "file": choice.way.file,
                "precision": choice.way.precision,
                "provider": choice.way.provider,
                "options": dict(choice.way.options),
                "threads": choice.way.threads,
                "lanes": choice.lanes,
                "batch_max": choice.batch_max,
            }
            for stage, choice in placement.choices.items()
        },
        "tried": [_tried(verdict) for verdict in placement.verdicts],
    }


def print_placement(title: str, placement: Placement) -> None:
    """The table, or only the choices if nothing was measured."""
    from rich.table import Table
    from rich.text import Text

    from gateway.cli.output import table_console

    console = table_console()
    console.print(Text(f"\n{title}\n{placement.source}"))
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for verdict in placement.verdicts:
        style = "green" if verdict.won else ""
        table.add_row(*_cells(verdict), style=style)
    if placement.verdicts:
        console.print(table)
    for stage, choice in placement.choices.items():
        many = f", {choice.lanes} lanes, batches of at most {choice.batch_max}"
        text = f"{stage}: {choice.way.file}, {choice.way.label}"
        console.print(Text(text + (many if stage == "generator" else "")))


def _cells(verdict: Verdict) -> tuple[str, ...]:
    trial = verdict.trial
    won = "won" if verdict.won else "out" if math.isinf(verdict.cost) else "lost"
    loads = wait = rate = ""
    if trial.timings:
        longest = max(timing.frames for timing in trial.timings)
        best = max((t for t in trial.timings if t.frames == longest), key=lambda t: t.rate)
        alone = next(t for t in trial.timings if t.frames == longest)
        loads, rate = f"{best.lanes} × {best.batch}", f"{best.rate:.0f}"
        wait = f"{1e3 * alone.wait_s:.1f} ms / {longest} frames"
    return (
        trial.way.stage,
        trial.way.label,
        loads,
        wait,
        rate,
        _error(trial),
        f"{trial.memory_bytes / 2**20:.0f} MiB" if trial.memory_bytes else "",
        won,
        verdict.reason + _shares(trial),
    )


def _error(trial: Trial) -> str:
    if trial.error is None:
        return ""
    return f"{trial.error:.2f} dB" if trial.way.stage == "generator" else f"{trial.error:.1e}"


def _shares(trial: Trial) -> str:
    """Which provider took what: " [CoreML 97 % of the time in 3 nodes, CPU 3 % in 40]"."""
    parts = [
        f"{each.provider.removesuffix('ExecutionProvider')} {each.time:.0%} of the time "
        f"in {each.nodes} nodes"
        for each in trial.shares
    ]
    return f" [{', '.join(parts)}]" if parts else ""


def _tried(verdict: Verdict) -> dict[str, Any]:
    from dataclasses import asdict

    facts = asdict(verdict.trial)
    facts["way"]["options"] = dict(verdict.trial.way.options)
    facts["way"]["config"] = dict(verdict.trial.way.config)
    cost = None if math.isinf(verdict.cost) else verdict.cost
    return facts | {"won": verdict.won, "cost": cost, "reason": verdict.reason}
