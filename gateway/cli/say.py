"""``voice-gateway say``: speak a text through a gateway, to a file or loudspeaker, with figures."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import DEFAULT_URL, ApiKey, Json, Models, Url
from gateway.errors import InvalidValue

if TYPE_CHECKING:
    from gateway.cli.speaking import Result, Wishes

FILE_ENDINGS = (".wav", ".opus", ".ogg")


def command(
    text: Annotated[str, typer.Argument(help="What to say, or - for standard input.")],
    url: Url = DEFAULT_URL,
    local: Annotated[
        bool, typer.Option("--local", help="Start a gateway for this one command.")
    ] = False,
    models: Models = None,
    voice: Annotated[str | None, typer.Option(help="See voice-gateway voices.")] = None,
    language: Annotated[str | None, typer.Option(help="BCP 47 tag, e.g. en-us or de.")] = None,
    speed: Annotated[float | None, typer.Option(help="0.5 to 2.", min=0.5, max=2.0)] = None,
    codec: Annotated[str | None, typer.Option(help="opus, pcm, pcmu or pcma.")] = None,
    sample_rate: Annotated[
        int | None, typer.Option(help="8000, 12000, 16000, 24000 or 48000 Hz.")
    ] = None,
    bitrate: Annotated[int | None, typer.Option(help="Opus bit/s, 6000 to 256000.")] = None,
    frame_duration_ms: Annotated[
        int | None, typer.Option("--frame-ms", help="20, 40 or 60.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to FILE.wav or FILE.opus.", metavar="FILE")
    ] = None,
    play: Annotated[bool, typer.Option("--play", help="Play on the loudspeaker.")] = False,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(help="Send the text token by token at this pace, as an LLM does.", min=0.01),
    ] = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Speak a text, and tell how long the first audio took.

    With --model, a gateway with that model is started for this one command (--local).

    [bold]Examples[/bold]

        voice-gateway say --local --play "Hello there."

        voice-gateway say --model kokoro-v1.1-fp32 --voice af_heart "Hello there." --out a.wav

        voice-gateway say "A longer text." --out speech.opus --tokens-per-second 20

        llm "Tell me a story" | voice-gateway say - --play
    """
    from gateway.cli.speaking import Wishes

    if out is not None and out.suffix.lower() not in FILE_ENDINGS:
        raise InvalidValue(
            f"--out {out}: the ending must be one of {', '.join(FILE_ENDINGS)}", field="out"
        )
    wishes = Wishes(voice, language, speed, codec, sample_rate, bitrate, frame_duration_ms)
    with _gateway(url, local, models or ()) as address, ExitStack() as stack:
        progress = _nothing if as_json else stack.enter_context(_progress_line())
        result = asyncio.run(
            _run(address, api_key, wishes, text, tokens_per_second, out, play, progress)
        )
    typer.echo(json.dumps(asdict(result)) if as_json else _summary(result))
    for error in result.errors:
        typer.echo(f"error: {error}", err=True)
    if result.errors:
        raise typer.Exit(1)


async def _run(
    url: str,
    api_key: str | None,
    wishes: Wishes,
    text: str,
    tokens_per_s: float | None,
    out: Path | None,
    play: bool,
    progress: Callable[[Result], None],
) -> Result:
    from gateway.cli.speaking import speak
    from gateway.client import connect

    async with connect(url, api_key=api_key) as session:
        return await speak(
            session, wishes, _tokens(text, tokens_per_s), out=out, play=play, progress=progress
        )


def _tokens(text: str, tokens_per_s: float | None) -> AsyncIterable[str]:
    from gateway.cli.tokens import once, paced, read_stream

    pieces = read_stream(sys.stdin.buffer) if text == "-" else once(text)
    return pieces if tokens_per_s is None else paced(pieces, tokens_per_s)


def _gateway(url: str, local: bool, models: Sequence[str]) -> AbstractContextManager[str]:
    if not local and not models:
        return nullcontext(url)
    from gateway.cli.local import local_gateway

    return local_gateway(models)


def _nothing(_: Result) -> None:
    pass


@contextmanager
def _progress_line() -> Iterator[Callable[[Result], None]]:
    """A line on standard error that follows the audio, if that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _nothing
        return
    with console.status("connecting …") as status:
        yield lambda result: status.update(
            f"{result.voice}: {result.audio_s:.1f} s of audio, {result.chunks} chunks"
        )


def _summary(result: Result) -> str:
    where = f" → {result.out}" if result.out else ""
    first = "no audio" if result.first_audio_ms is None else f"{result.first_audio_ms:.0f} ms"
    underruns = (
        f"{result.underruns} underruns ({1000 * result.underrun_s:.0f} ms)"
        if result.underruns
        else "no underruns"
    )
    lines = [
        f"{result.audio_s:.2f} s of speech by {result.voice} ({result.language}), "
        f"{result.codec} {result.sample_rate / 1000:g} kHz{where}",
        f"first audio after {first}; {underruns}; {result.chunks} chunks, "
        f"{result.frames} frames, {result.bytes / 1000:.1f} kB",
    ]
    return "\n".join([*lines, *(f"warning: {text}" for text in result.warnings)])
