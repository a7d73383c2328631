"""``voice-gateway models place``: measure a model on this machine and say how it will be run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Config, Json, Overrides

if TYPE_CHECKING:
    from gateway.engine.kokoro.placing import Report


def place(
    model: Annotated[Path, typer.Argument(help="Directory of a split model.", metavar="DIR")],
    again: Annotated[
        bool, typer.Option("--again", help="Measure even if this machine was measured before.")
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Try each way to run each stage in a process of its own, remember the results, show them.

    Takes at most engine.placement.time_limit_s; do it while the machine has nothing else to do.

    [bold]Examples[/bold]

        voice-gateway models place DIR

        voice-gateway models place DIR --again --set engine.placement.time_limit_s=300
    """
    from gateway.cli.placement_view import as_facts, print_placement
    from gateway.engine.kokoro.placing import placer_of
    from gateway.settings import load

    placer = placer_of(model, load(config, overrides or ()).engine)
    placement = None if again else placer.remembered()
    if placement is None:
        with _progress() as report:
            placement = placer.measure(report)
    if as_json:
        typer.echo(json.dumps(as_facts(placer.title, placement)))
    else:
        print_placement(placer.title, placement)


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on a terminal's standard error, else a line for each way."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        TextColumn("{task.description}", markup=False),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("", total=None)

        def report(done: int, count: int, label: str) -> None:
            if not console.is_terminal:
                typer.echo(f"{done}/{count} {label}", err=True)
            bars.update(task, completed=done, total=count, description=label)

        yield report
