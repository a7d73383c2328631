"""The commands ``compare``, ``baseline`` and ``sensitivity``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from loadtest import compare, interleave, judge
from loadtest.cpu import machine_kind
from loadtest.runfile import to_json

_Pairs = Annotated[int, typer.Option(help="Runs of each side.", min=judge.PAIRS_MIN, max=1000)]
_TreeCommand = Annotated[
    str, typer.Option("--command", help="What is run in a source tree; {json} is its run file.")
]
_Seed = Annotated[int, typer.Option(help="Draws who goes first.", min=0)]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("compare")(compare_command)
    app.command("baseline")(baseline_command)
    app.command("sensitivity")(sensitivity_command)


def compare_command(
    a: Annotated[str, typer.Argument(help="Run file, folder, tree, command or 'baseline'.")],
    b: Annotated[str, typer.Argument(help="The same; what is suspected of being worse.")],
    pairs: _Pairs = compare.PAIRS,
    tree_command: _TreeCommand = interleave.TREE_COMMAND,
    tolerance: Annotated[
        float, typer.Option(help="Changes up to this share never count.", min=0, max=1)
    ] = judge.TOLERANCE,
    regression: Annotated[
        float, typer.Option(help="A change of this share must not go unnoticed.", min=0, max=10)
    ] = judge.REGRESSION,
    seed: _Seed = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write verdicts to this file.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the runs in this folder, as a.json and b.json.")
    ] = None,
) -> None:
    """Did B get worse than A?  Runs in turn, an interval for each figure, a verdict.

    A and B may be run files (or folders of them), source trees in which a command is run, or
    commands in which `{json}` stands for the run file that they write. Commands and trees are run
    in turn, so that what slows the machine slows both. A may be `baseline`: what was stored for
    this kind of machine; only ratios are compared then.

    Exit status: 0 not worse, 1 worse, 2 wrong command line or nothing to compare, 3 undecided (the
    regression that must be noticed cannot be excluded: more pairs, or a quieter machine).

    Example: `python -m loadtest compare ../main . --pairs 20`
    """
    if tolerance >= regression:
        raise typer.BadParameter("must be above --tolerance", param_hint="--regression")
    terms = judge.Terms(tolerance=tolerance, regression=regression)
    try:
        result = compare.compare(
            a, b, pairs=pairs, seed=seed, tree_command=tree_command, terms=terms,
            machine=machine_kind(), progress=_progress,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(compare.as_text(result, terms))
    if json_file is not None:
        json_file.write_text(compare.as_json(result, terms) + "\n")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / "a.json").write_bytes(to_json(result.a_runs))
        (keep / "b.json").write_bytes(to_json(result.b_runs))
    raise typer.Exit(result.status)


def baseline_command(
    source: Annotated[str, typer.Argument(help="Run file, folder, tree or command.")],
    pairs: _Pairs = compare.PAIRS,
    tree_command: _TreeCommand = interleave.TREE_COMMAND,
) -> None:
    """Store the ratios of these runs as the baseline of this kind of machine."""
    try:
        path = compare.store_baseline(source, pairs, tree_command, machine_kind(), _progress)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"stored {path}")


def sensitivity_command(
    pairs: Annotated[int, typer.Option(help="Runs with and without.", min=20, max=2000)] = 200,
    turns: Annotated[int, typer.Option(help="Texts of a run.", min=3, max=200)] = 40,
    slowdown: Annotated[float, typer.Option(help="The sleep, of the time.", min=0, max=2)] = 0.15,
    drawn: Annotated[int, typer.Option(help="Trials drawn anew.", min=1, max=10_000)] = 500,
    seed: Annotated[int, typer.Option(help="Another seed speaks other texts.", min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it to this file.")] = None,
) -> None:
    """Does `compare` find a sleep that is put into the gateway's engine, and only then?

    Takes about 0.03 s a pair and turn. Exit status 1 if less than 95 % of the trials with the sleep
    are called worse, or more than 2 % of those without.
    """
    from loadtest import sensitivity

    result = sensitivity.measure(pairs, turns, slowdown, drawn, seed * 10_000_000, _progress)
    for name, rates in (("with", result.found), ("without", result.alarms)):
        typer.echo(
            f"{name} the sleep: worse {rates.worse:.1%}, undecided {rates.undecided:.1%} of "
            f"{rates.trials} trials; worse {rates.drawn_worse:.1%}, undecided "
            f"{rates.drawn_undecided:.1%} of {rates.drawn_trials} drawn anew"
        )
    typer.echo(
        f"{result.pairs} pairs of {result.turns} turns; "
        f"first audio {result.plain_s * 1000:.2f} ms; "
        f"change over all pairs {result.change:+.1%}; "
        f"other programs used {result.foreign_cpu_share:.0%} of the machine"
    )
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2))
    raise typer.Exit(0 if result.holds else 1)


def _progress(text: str) -> None:
    typer.echo(text, err=True)
