"""``voice-gateway bench``: what a model does on this machine, beside what onnxruntime could do.

Every figure comes with its reference and their ratio, measured in one process, in turns, so that a
machine that is busy or slows down is so for both; how much others took of it is said.  Figures are
medians over the rounds.  A stand-in's figures are marked: its weights are random, but it costs
what the model costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import Json

if TYPE_CHECKING:
    from gateway.cli.bench_kokoro import Run

app = typer.Typer(
    help="Measure a model on this machine.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelFolder = Annotated[
    Path, typer.Option("--model", help="Directory of a split model.", metavar="DIR")
]
Rounds = Annotated[int, typer.Option(help="Rounds to take the median of.", min=1)]


@app.command("first-audio")
def first_audio(
    model: ModelFolder,
    tokens: Annotated[int, typer.Option(help="Length of the sentence.", min=3, max=510)] = 150,
    rounds: Rounds = 5,
    as_json: Json = False,
) -> None:
    """Time from a sentence to its first packets, with nothing else to do.

    References: plan and first window in onnxruntime alone, on all cores; and the whole sentence by
    the package kokoro-onnx if that is installed, else in one session as that package opens it (if
    the model has that graph: standin --whole, export --whole).

    [bold]Example[/bold]

        voice-gateway bench first-audio --model DIR --json
    """
    from gateway.cli.bench_kokoro import measure_first_audio

    _print("first-audio", model, measure_first_audio(model, tokens, rounds), as_json)


@app.command("throughput")
def throughput(
    model: ModelFolder,
    sessions: Annotated[int, typer.Option(help="Sentences spoken at once.", min=1)] = 8,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """Seconds of sound made in a second, with every lane busy.

    Reference: onnxruntime alone, the same stages and windows, in the best of these shapes: batch
    1, 2 or 4, on one thread a core or one call on all cores.

    [bold]Example[/bold]

        voice-gateway bench throughput --model DIR --sessions 8 --json
    """
    from gateway.cli.bench_kokoro import measure_throughput

    _print("throughput", model, measure_throughput(model, sessions, rounds), as_json)


@app.command("startup")
def startup(
    model: Annotated[Path, typer.Option("--model", help="Directory of a model.", metavar="DIR")],
    rounds: Annotated[int, typer.Option(help="Restarts to take the median of.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Time from spawning a gateway to its first audio, with what each step took.

    Once cold (what the gateway remembers of the model is deleted; the page cache may hold files
    still), then as restarts.  Exits with 1 if a limit was missed: 10 s and 2 s.

    [bold]Example[/bold]

        voice-gateway bench startup --model DIR --json
    """
    from gateway.cli.bench_kokoro import Run
    from gateway.cli.bench_startup import measure_startup

    starts = measure_startup(model, rounds)
    figures = tuple(start.figure for start in starts)
    more = {"starts": [asdict(start) for start in starts]}
    _print("startup", model, Run(figures, f"{rounds} restarts", None), as_json, more)
    if not as_json:
        typer.echo("\n".join(start.table for start in starts))
    if not all(start.met for start in starts):
        raise typer.Exit(1)


@app.command("precision")
def precision(
    model: ModelFolder,
    variant: Annotated[str, typer.Option("--precision", help="int8 or fp16.")] = "int8",
    rounds: Rounds = 5,
    as_json: Json = False,
) -> None:
    """Time of a window in lower precision, beside the same in fp32.

    [bold]Example[/bold]

        voice-gateway bench precision --model DIR --precision int8 --json
    """
    from gateway.cli.bench_kokoro import measure_precision

    _print("precision", model, measure_precision(model, variant, rounds), as_json)


def _print(
    what: str, folder: Path, run: Run, as_json: bool, more: Mapping[str, Any] | None = None
) -> None:
    from gateway.cli.bench_kokoro import machine
    from gateway.engine.kokoro.store import open_model

    manifest = open_model(folder).manifest
    if as_json:
        facts: dict[str, Any] = {
            "benchmark": what,
            "model": manifest.name,
            "stand_in": manifest.stand_in,
            "machine": machine(),
            "of": run.about,
            "others": run.others,
            "figures": [figure.as_dict() for figure in run.figures],
            **(more or {}),
        }
        typer.echo(json.dumps(facts))
        return
    kind = "STAND-IN with random weights" if manifest.stand_in else "trained weights"
    typer.echo(f"{what}: {manifest.name} ({kind}), {run.about}; {machine()}")
    for figure in run.figures:
        goal = f" ({figure.goal}: {'met' if figure.met else 'missed'})" if figure.goal else ""
        typer.echo(
            f"  {figure.name}: {figure.value:.3f} {figure.unit} against {figure.reference:.3f} of "
            f"{figure.of}: ratio {figure.ratio:.3f}{goal}"
        )
    if run.others is not None:
        typer.echo(f"  others took {run.others:.0%} of the machine meanwhile")
