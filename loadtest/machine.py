"""What every command says beside its figures: on which machine, and how far it is."""

from __future__ import annotations

import os

import typer

from loadtest.cpu import machine_kind


def machine() -> str:
    """The kind of machine, and its load average at this moment."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{machine_kind()}, load average {load}"


def progress(text: str) -> None:
    """A line on standard error."""
    typer.echo(text, err=True)
