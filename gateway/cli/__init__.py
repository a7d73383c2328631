"""The command ``voice-gateway``: one module for each sub-command, listed here.

    0  success          2  wrong usage, or a value that the gateway refuses
    1  failure          3  no gateway there, or it takes no sessions now

An error is one line on standard error, never a traceback; results go to standard output.  Modules
import what is heavy (numpy, websockets, the server) inside their functions, so that ``--help``
answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from gateway import __version__
from gateway.cli import bench, doctor, models, say, serve, voices
from gateway.errors import GatewayError, InvalidValue, Unavailable

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

app = typer.Typer(
    name="voice-gateway",
    help="A WebSocket server that turns incremental text into gapless speech.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.command)
app.command("say")(say.command)
app.command("voices")(voices.command)
app.command("doctor")(doctor.command)
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voice-gateway {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exits the process."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="voice-gateway")
        sys.exit(0)
    except (GatewayError, OSError) as error:
        # TimeoutError and ConnectionError are OSErrors.
        typer.echo(f"error: {error}", err=True)
        sys.exit(_exit_code(error))


def _exit_code(error: Exception) -> int:
    if isinstance(error, ConnectionError | Unavailable):
        return EXIT_UNREACHABLE
    return EXIT_USAGE if isinstance(error, InvalidValue) else EXIT_FAILURE
