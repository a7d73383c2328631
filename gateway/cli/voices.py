"""``voice-gateway voices``: what can speak, here or at a running gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.options import ApiKey, Config, Json, Models, Overrides, model_overrides

COLUMNS = ("id", "name", "language", "gender", "engine", "description")


def command(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="VOICE_GATEWAY_URL",
            help="Ask this gateway; without it, the engines on this machine are listed.",
            metavar="URL",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Only voices of this language, e.g. en or pt-br.")
    ] = None,
    models: Models = None,
    api_key: ApiKey = None,
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List the voices.

    [bold]Examples[/bold]

        voice-gateway voices --language en

        voice-gateway voices --model kokoro-v1.1-fp32

        voice-gateway voices --url ws://127.0.0.1:8000 --json
    """
    if url is None:
        listing = local_voices(config, [*(overrides or ()), *model_overrides(models)])
    else:
        from gateway.cli.http import get_json
        from gateway.client.address import parse_address

        listing = get_json(parse_address(url), "/v1/voices", api_key)
    voices = [voice for voice in listing["voices"] if speaks(voice["language"], language)]
    if as_json:
        typer.echo(json.dumps({"default": listing["default"], "voices": voices}))
    else:
        _print_table(voices, listing["default"])


def speaks(tag: str, wanted: str | None) -> bool:
    """Whether BCP 47 ``tag`` lies within ``wanted`` (RFC 4647, basic filtering)."""
    if wanted is None:
        return True
    tag, wanted = tag.lower(), wanted.lower()
    return tag == wanted or tag.startswith(f"{wanted}-")


def local_voices(config: Path | None, overrides: Sequence[str]) -> Mapping[str, Any]:
    """The voices of the engines on this machine, in the form of ``GET /v1/voices``.

    Engines that don't start are left out; raises SetupError if none does.
    """
    from dataclasses import asdict

    from gateway.app import engines_of
    from gateway.engine.base import Engine
    from gateway.engine.catalogue import Catalogue
    from gateway.errors import SetupError
    from gateway.settings import load

    settings = load(config, [*overrides, "engine.espeak.workers=1"])
    started: dict[str, Engine] = {}
    try:
        for name, make in engines_of(settings).items():
            try:
                engine = make(settings)
                if engine is not None:
                    started[name] = engine
                    engine.start()
            except SetupError as error:
                started.pop(name, None)
                typer.echo(f"warning: {name}: {error}", err=True)
        catalogue = Catalogue.of(started, settings.engine.default_voice)
        return {
            "default": catalogue.default_voice,
            "voices": [asdict(voice) for voice in catalogue.voices],
            "loading": [],
        }
    finally:
        for engine in started.values():
            engine.close()


def _print_table(voices: Sequence[Mapping[str, str]], default: str) -> None:
    from rich.table import Table

    from gateway.cli.output import table_console

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column, no_wrap=column != "description")
    for voice in voices:
        mark = " *" if voice["id"] == default else ""
        table.add_row(*(voice.get(name, "") + (mark if name == "id" else "") for name in COLUMNS))
    console = table_console()
    console.print(table)
    console.print(f"{len(voices)} voices; * is the default", style="dim")
