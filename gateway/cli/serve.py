"""``voice-gateway serve``: run the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import Config, Models, Overrides, model_overrides


def command(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; the same as --set server.host=…")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port; the same as --set server.port=…", min=0, max=65535)
    ] = None,
    models: Models = None,
    config: Config = None,
    overrides: Overrides = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the settings in effect as TOML, and exit."),
    ] = False,
) -> None:
    """Run the gateway.

    Settings come from flags, then the environment (VOICE_GATEWAY_SECTION__NAME), then a TOML file.

    [bold]Examples[/bold]

        voice-gateway serve

        voice-gateway serve --model kokoro-v1.1-fp32 --model /srv/models/ours

        voice-gateway serve --host 0.0.0.0 --set limits.sessions_max=200

        voice-gateway serve --print-config > voice-gateway.toml
    """
    from gateway.settings import layers_of, load

    flags = [*(overrides or ()), *model_overrides(models)]
    if host is not None:
        flags.append(f"server.host={host}")
    if port is not None:
        flags.append(f"server.port={port}")
    settings = load(config, flags)
    if print_config:
        from gateway.config_report import render

        typer.echo(render(settings, layers_of(config, flags).origin), nl=False)
        return
    from gateway.server import serve

    raise typer.Exit(serve(settings))
