"""``python -m loadtest``: the benchmarks as commands.

Figures go to standard output, progress to standard error.  Exit status of ``overhead`` and
``pacing``: 0 says that the benchmark ran, whether or not the goals were met; 1 that it could not
run.  The others fail when a stated limit is missed (load_commands.py).
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from gateway.errors import GatewayError
from loadtest import load_commands
from loadtest.machine import machine, progress

app = typer.Typer(
    help="Benchmarks of the gateway, each with its reference measured in the same run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object (seconds, ratios).")]
load_commands.register(app)

Seed = Annotated[int, typer.Option(help="Another seed speaks other texts.", min=1)]


@app.command("overhead")
def overhead_command(
    turns: Annotated[
        int,
        typer.Option(help="Texts to speak; a p99 worth its name needs 1,000.", min=10, max=10_000),
    ] = 200,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Time from the first full clause to the first Opus packet, less the engine's own.

    A gateway process with default settings speaks one text after the other to one client over a
    real WebSocket. Measured: from sending the message that completes the first clause to receiving
    the first binary message. In turn with it, EspeakEngine.render alone, in a process of its own,
    speaks the same chunk; measured: to the block of PCM that suffices for one Opus frame. The
    overhead of a turn is the difference of the two.

    All these texts differ, so the cache serves none of them; after each turn a text that it knows
    is said again and measured separately.

    Takes about 0.15 s a turn. Goals, on an idle machine: p50 5 ms, p99 15 ms.
    """
    from loadtest import overhead, report

    result = overhead.measure(turns, seed * 1_000_000, progress)
    about = machine()
    typer.echo(report.to_json(result, about) if as_json else report.overhead_text(result, about))


@app.command("pacing")
def pacing_command(
    sessions: Annotated[
        int, typer.Option(help="Sessions that play at once.", min=1, max=5000)
    ] = 200,
    seconds: Annotated[
        float, typer.Option(help="Length of each measured window.", min=2, max=300)
    ] = 20.0,
    rounds: Annotated[
        int, typer.Option(help="Gateway and bare sender take turns this often.", min=1, max=20)
    ] = 2,
    message_ms: Annotated[
        int, typer.Option(help="Longest audio message: 20, 40, 60 or 100 ms.")
    ] = 60,
    codec: Annotated[
        str, typer.Option(help="opus; or pcmu: hardly any encoding, so that sending shows.")
    ] = "opus",
    reports_per_s: Annotated[
        float,
        typer.Option(help="Receiver reports of each listener, to both servers.", min=0, max=50),
    ] = 0.0,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Lateness and CPU time of many playing sessions, against a bare websockets sender.

    A gateway process with default settings speaks a different long text to each session, with
    everything on: synthesis, Opus, pacing, metrics. The listeners are raw sockets in one process;
    the kernel stamps when each message arrives. Then a plain server (websockets and uvloop, a task
    for each session) sends the very same messages at the same due times to as many listeners.

    Lateness: arrival less due time; the due time follows from the message's timestamp, by the
    gateway's pacing rule. CPU: of the event loop (main thread), the lanes (other threads) and the
    espeak workers (child processes), from /proc. Rate: frames per CPU second of the event loop.

    Takes rounds x 2 x (seconds + 10) s. Goals: p99 of lateness 10 ms; rate 0.6 of the bare one's.
    """
    from loadtest import pacing, report

    if message_ms not in (20, 40, 60, 100):
        raise typer.BadParameter("choose 20, 40, 60 or 100", param_hint="--message-ms")
    if codec not in ("opus", "pcm", "pcmu", "pcma"):
        raise typer.BadParameter("choose opus, pcm, pcmu or pcma", param_hint="--codec")
    load = pacing.Load(sessions, seconds, rounds, message_ms, codec, reports_per_s, seed)
    result = pacing.measure(load, progress)
    about = machine()
    typer.echo(report.to_json(result, about) if as_json else report.pacing_text(result, about))


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """End through the ``finally`` blocks, so that no server is left behind."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        app()
    except (ChildProcessError, ConnectionError, GatewayError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
