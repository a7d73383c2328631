"""``voice-gateway doctor``: look whether everything is here, and say what to do if not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Config, Json, Overrides

if TYPE_CHECKING:
    from gateway.doctor import Check
    from gateway.engine.placement import Placement

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def command(
    config: Config = None,
    overrides: Overrides = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="Also say how this model is run here, and why; may be repeated.",
            metavar="DIR",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this machine: libraries, engines, settings, port, limits.  Exits with 1 on a failure.

    [bold]Examples[/bold]

        voice-gateway doctor --json

        voice-gateway doctor --model DIR
    """
    from gateway.cli.placement_view import as_facts, print_placement
    from gateway.doctor import run_checks

    models = tuple(model or ())
    checks = list(run_checks(config, tuple(overrides or ()), models))
    failed = any(check.status == "fail" for check in checks)
    placements = [] if failed else [_placement(folder, config, overrides) for folder in models]
    if as_json:
        facts = {"ok": not failed, "checks": [asdict(check) for check in checks]}
        placed = [as_facts(name, placement) for name, placement in placements]
        typer.echo(json.dumps(facts | ({"placements": placed} if models else {})))
    else:
        _print_table(checks)
        for name, placement in placements:
            print_placement(name, placement)
    if failed:
        raise typer.Exit(1)


def _placement(
    folder: Path, config: Path | None, overrides: list[str] | None
) -> tuple[str, Placement]:
    from gateway.engine.kokoro.placing import placer_of
    from gateway.settings import load

    placer = placer_of(folder, load(config, overrides or ()).engine)
    return placer.title, placer.remembered() or placer.start


def _print_table(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from gateway.cli.output import table_console

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        detail = Text(check.detail, overflow="fold")
        if check.advice:
            detail.append(f"\n→ {check.advice}", style="italic")
        table.add_row(Text(check.status, style=_STYLES[check.status]), check.name, detail)
    table_console().print(table)
