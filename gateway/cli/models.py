"""``voice-gateway models``: fetch, build, list and place the models of neural voices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import models_build, models_place
from gateway.cli.options import Config, Json, Overrides
from gateway.errors import InvalidValue, SetupError

if TYPE_CHECKING:
    from gateway.engine.kokoro.install import Report
    from gateway.engine.kokoro.published import Precision

app = typer.Typer(
    help="Fetch, build, list and place the models of neural voices.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("export")(models_build.export)
app.command("standin")(models_build.standin)
app.command("quantize")(models_build.quantize)
app.command("place")(models_place.place)

COLUMNS = ("name", "state", "graphs", "voices", "size", "directory")
MODELS = ("kokoro",)


@app.command("get")
def get(
    model: Annotated[str, typer.Argument(help="kokoro.", metavar="MODEL")],
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    release: Annotated[
        str, typer.Option(help="v1.1, v1.0 or onnx-community; v1.1 can time words.")
    ] = "",
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Take the files from here; no network.", metavar="DIR"),
    ] = None,
    base: Annotated[
        str, typer.Option("--url", help="Fetch from a mirror of the files.", metavar="BASE")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Where to put the model; default: in engine.models_dir.", metavar="DIR"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print places and checksums, fetch nothing.")
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Install published files: fetched, or copied with --from, and verified either way.

    [bold]Examples[/bold]

        voice-gateway models get kokoro

        voice-gateway models get kokoro --precision int8 --from /media/usb
    """
    from gateway.engine.kokoro.install import Order, install
    from gateway.engine.kokoro.published import find_release

    if model not in MODELS:
        raise InvalidValue(f"model: there is no {model!r}; there is {', '.join(MODELS)}")
    if base and not base.startswith(("https://", "http://")):
        raise InvalidValue(f"--url: {base!r} should begin with https:// or http://")
    wanted, found = _precision(precision), find_release(release)
    folder = out or _models_dir(config, overrides) / f"kokoro-{found.name}-{wanted}"
    order = Order(found, wanted, folder, source, base)
    if dry_run:
        for file, url in zip(order.files, order.urls, strict=True):
            typer.echo(f"{file.sha256}  {file.bytes:>9}  {url}")
        return
    with _progress() as report:
        new = install(order, report)
    typer.echo(f"{'installed' if new else 'already installed'}: {folder}")


@app.command("list")
def list_models(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """List the installed models, verified.

    [bold]Example[/bold]

        voice-gateway models list --json
    """
    from gateway.engine.kokoro.store import model_folders

    folder = _models_dir(config, overrides)
    models = [describe(each) for each in model_folders(folder)]
    if as_json:
        typer.echo(json.dumps({"models_dir": str(folder), "models": models}))
    elif models:
        _print_table(models)
    else:
        typer.echo(f"no models in {folder}; fetch one with: voice-gateway models get kokoro")


def describe(folder: Path) -> dict[str, Any]:
    """What ``models list --json`` says of the model in ``folder``; ``error`` is "" if it is sound.

    What can't be known of a damaged model is left out.
    """
    from gateway.engine.kokoro.manifest import read_manifest
    from gateway.engine.kokoro.store import open_model

    facts: dict[str, Any] = {"name": folder.name, "directory": str(folder), "error": ""}
    try:
        manifest = read_manifest(folder)
        facts |= {
            "architecture": manifest.architecture,
            "stand_in": manifest.stand_in,
            "bytes": sum(stored.bytes for stored in manifest.files),
            "graphs": [
                {"role": graph.role, "precision": graph.precision, "file": graph.file}
                for graph in manifest.graphs
            ],
            "variants": [
                {"role": role, **each.model_dump(include={"precision", "file", "distance_db"})}
                for role, variants in manifest.variants.items()
                for each in variants
            ],
            "licence": manifest.licence,
            "source": manifest.source,
        }
        facts["voices"] = list(open_model(folder).voices.names)
    except SetupError as error:
        facts["error"] = error.message
    return facts


def _precision(text: str) -> Precision:
    from gateway.engine.kokoro.published import PRECISIONS

    for precision in PRECISIONS:
        if text == precision:
            return precision
    raise InvalidValue(f"--precision: {text!r} is none of {', '.join(PRECISIONS)}")


def _models_dir(config: Path | None, overrides: list[str] | None) -> Path:
    from gateway.engine.kokoro.store import default_models_dir
    from gateway.settings import load

    return load(config, overrides or ()).engine.models_dir or default_models_dir()


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar for each file on a terminal's standard error, else a line."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal
    ) as bars:

        def report(file: Any) -> Any:
            if not console.is_terminal:
                typer.echo(f"{file.file} ({file.bytes / 1e6:.0f} MB)", err=True)
            task = bars.add_task(file.file, total=file.bytes)
            return lambda done: bars.update(task, completed=done)

        yield report


def _print_table(models: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from gateway.cli.output import table_console

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for model in models:
        listed = (*model.get("graphs", ()), *model.get("variants", ()))
        graphs = [f"{graph['role']} {graph['precision']}" for graph in listed]
        state = model["error"] or ("stand-in: random weights" if model["stand_in"] else "ok")
        voices = str(len(model["voices"])) if "voices" in model else ""
        size = f"{model['bytes'] / 1e6:.0f} MB" if "bytes" in model else ""
        table.add_row(model["name"], state, ", ".join(graphs), voices, size, model["directory"])
    table_console().print(table)
