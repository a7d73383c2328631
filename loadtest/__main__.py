"""``python -m loadtest``: the benchmarks as commands.

Figures go to standard output, progress to standard error.  Exit status of ``overhead`` and
``pacing``: 0 says that the benchmark ran, whether or not the goals were met; 1 that it could not
run.  The others fail when a stated limit is missed (load_commands.py).
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gateway.errors import GatewayError
from loadtest import compare_commands, load_commands, peer_commands
from loadtest.machine import machine, progress

if TYPE_CHECKING:
    from loadtest.overhead import Overhead
    from loadtest.pacing import Pacing

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
Save = Annotated[Path | None, typer.Option(help="Write a run file, for `compare`.")]


@app.command("overhead")
def overhead_command(
    turns: Annotated[
        int,
        typer.Option(help="Texts to speak; a p99 worth its name needs 1,000.", min=10, max=10_000),
    ] = 200,
    seed: Seed = 1,
    as_json: Json = False,
    save: Save = None,
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
    _save(result, save)
    typer.echo(report.to_json(result, about) if as_json else report.overhead_text(result, about))


@app.command("wires")
def wires_command(
    turns: Annotated[
        int, typer.Option(help="Texts to speak through each protocol.", min=10, max=10_000)
    ] = 200,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """First audio through the protocols of other services, against voice.v1 in the same run.

    One gateway process speaks a text of its own through each protocol in turn, with the same engine
    and the same format. Measured: from sending the text and its end to receiving the first audio.

    Takes about 0.3 s a turn. Goal: the median is at most 2 ms later than that of voice.v1.
    """
    from loadtest import report, wires

    result = wires.measure(turns, seed * 1_000_000, progress)
    about = machine()
    typer.echo(report.to_json(result, about) if as_json else report.wires_text(result, about))


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
    save: Save = None,
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
    _save(result, save)
    typer.echo(report.to_json(result, about) if as_json else report.pacing_text(result, about))


compare_commands.register(app)
peer_commands.register(app)


def _save(result: Overhead | Pacing, path: Path | None) -> None:
    if path is None:
        return
    from loadtest.cpu import machine_kind
    from loadtest.figures import figures_of
    from loadtest.runfile import Runs, to_json

    path.write_bytes(to_json(Runs(machine_kind(), (figures_of(result),))))


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
