"""``voice-gateway voices``: what can speak, here or at a running gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gateway.cli.options import ApiKey, Config, Json, Overrides

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
    api_key: ApiKey = None,
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List the voices.

    [bold]Examples[/bold]

        voice-gateway voices --language en

        voice-gateway voices --url ws://127.0.0.1:8000 --json
    """
    if url is None:
        listing = local_voices(config, overrides)
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


def local_voices(config: Any, overrides: Sequence[str] | None) -> Mapping[str, Any]:
    """The voices of the engines on this machine, in the form of ``GET /v1/voices``.

    Engines that don't start are left out; raises SetupError if none does.
    """
    from dataclasses import asdict

    from gateway.app import ENGINES
    from gateway.engine.base import Engine
    from gateway.engine.catalogue import Catalogue
    from gateway.errors import SetupError
    from gateway.settings import load

    settings = load(config, [*(overrides or ()), "engine.espeak.workers=1"])
    started: list[Engine] = []
    try:
        for factory in ENGINES.values():
            engine = factory(settings)
            if engine is None:
                continue
            try:
                engine.start()
            except SetupError as error:
                typer.echo(f"warning: {error}", err=True)
            else:
                started.append(engine)
        catalogue = Catalogue(started, settings.engine.default_voice)
        return {
            "default": catalogue.default_voice,
            "voices": [asdict(voice) for voice in catalogue.voices],
        }
    finally:
        for engine in started:
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
