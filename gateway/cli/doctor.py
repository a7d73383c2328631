"""``voice-gateway doctor``: look whether everything is here, and say what to do if not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from gateway.cli.options import Config, Json, Overrides

if TYPE_CHECKING:
    from gateway.doctor import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def command(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check this machine: libraries, engines, settings, port, limits.  Exits with 1 on a failure.

    [bold]Example[/bold]

        voice-gateway doctor --json
    """
    from gateway.doctor import run_checks

    checks = list(run_checks(config, tuple(overrides or ())))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}))
    else:
        _print_table(checks)
    if failed:
        raise typer.Exit(1)


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
