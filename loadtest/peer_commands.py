"""The command ``peer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

if TYPE_CHECKING:
    from loadtest.peers.servers import Contender
    from loadtest.peers.table import Row

_LOADS_MAX = 16


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("peer")(peer_command)


def peer_command(
    name: Annotated[
        str,
        typer.Argument(
            help="kokoro-onnx or piper (made here); openai, elevenlabs, cartesia, deepgram or "
            "voice.v1 (a server by --url, else our gateway)."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Model folder; for piper, the .onnx file of a voice.")
    ] = None,
    voice: Annotated[str, typer.Option(help="Voice, as the server calls it.")] = "",
    url: Annotated[str, typer.Option(help="A server that runs already: http://host:port.")] = "",
    api_key: Annotated[
        str, typer.Option(envvar="LOADTEST_API_KEY", help="Key of that server.")
    ] = "",
    model_name: Annotated[str, typer.Option(help="What requests name as the model.")] = "tts-1",
    beside: Annotated[
        str, typer.Option(help="Protocols of our gateway to measure in turn with it; '' for none.")
    ] = "voice.v1,openai",
    loads: Annotated[str, typer.Option(help="Sessions at once, rising.")] = "1,2,3,4,6",
    seconds: Annotated[float, typer.Option(help="Arrivals of a step.", min=1, max=600)] = 18.0,
    chars: Annotated[int, typer.Option(help="Length of an answer.", min=20, max=5000)] = 80,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of our gateway: section.name=value")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed speaks other texts.", min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write a run file.")] = None,
) -> None:
    """Another server and ours, in turn: first audio, gaps, and how many sessions they carry.

    Every contender gets the same texts at the same times, from the same player, in a fresh server
    process for each load. Its turns end after the first load that it can't speak without gaps.

    Exit status 1 if a step was invalid: this process was too late with its tokens.
    """
    from loadtest.peers.servers import Wish, contender, ours

    try:
        wish = Wish(model, voice, url, api_key, model_name, tuple(settings or ()))
        contenders = [contender(name, wish)]
        own = Wish(model if name != "piper" else None, voice, settings=tuple(settings or ()))
        contenders += [ours(each, own) for each in _protocols(beside) if url or each != name]
        steps = _loads(loads)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    rows = _measure(contenders, steps, seconds, chars, seed * 1_000_000)
    _tell(rows, json_file)
    raise typer.Exit(0 if all(row.valid for each in rows.values() for row in each) else 1)


def _measure(
    contenders: Sequence[Contender], loads: Sequence[int], seconds: float, chars: int, seed: int
) -> dict[str, list[Row]]:
    from loadtest.peers.load import Load, run_step
    from loadtest.peers.table import row

    rows: dict[str, list[Row]] = {each.name: [] for each in contenders}
    for number, sessions in enumerate(loads):
        load = Load(sessions, seconds, chars, seed + 10_000 * number)
        turned = number % len(contenders)  # nobody always goes first
        for each in (*contenders[turned:], *contenders[:turned]):
            done = rows[each.name]
            if done and not done[-1].holds_gapless:
                continue
            typer.echo(f"{sessions} at once: {each.name}", err=True)
            with each.server() as server:
                step = run_step(each.driver, server, load)
            done.append(row(step))
            for problem in sorted({outcome.problem for outcome in step.outcomes} - {""}):
                typer.echo(f"  {problem}", err=True)
    return rows


def _tell(rows: dict[str, list[Row]], json_file: Path | None) -> None:
    from loadtest.cpu import machine_kind
    from loadtest.peers.table import as_text, figures
    from loadtest.runfile import Runs, as_document

    typer.echo(machine_kind())
    typer.echo(as_text(rows))
    if json_file is not None:
        document = as_document(Runs(machine_kind(), (figures(rows),)))
        document["steps"] = {name: [asdict(each) for each in steps] for name, steps in rows.items()}
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _protocols(text: str) -> list[str]:
    from loadtest.peers.servers import PROTOCOLS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"--beside: {name!r} is none of {', '.join(PROTOCOLS)}")
    return names


def _loads(text: str) -> list[int]:
    try:
        loads = [int(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"--loads is {text!r}: give whole numbers, like 1,2,4") from None
    if not 1 <= len(loads) <= _LOADS_MAX or min(loads) < 1 or sorted(set(loads)) != loads:
        raise ValueError(f"--loads is {text!r}: give at most {_LOADS_MAX} rising numbers from 1 on")
    return loads
