"""What ``say`` does: one context of one session, from tokens to files, loudspeaker and figures.

tokens ──► gateway ──► frames ──┬──► file        as they came, or decoded
                                ├──► loudspeaker
                                └──► Result      times, underruns at a virtual listener
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.cli.loudspeaker import Loudspeaker, open_loudspeaker
from gateway.client import (
    Audio,
    Chunk,
    Context,
    Done,
    ServerError,
    ServerWarning,
    Session,
    Started,
    StreamDecoder,
)
from gateway.codecs.base import CodecInfo
from gateway.codecs.files import AudioFileWriter, open_audio_file
from gateway.media import EncodedFrame, seconds


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked of the voice; None leaves it to the gateway."""

    voice: str | None = None
    language: str | None = None
    speed: float | None = None
    codec: str | None = None
    sample_rate: int | None = None
    bitrate: int | None = None
    frame_duration_ms: int | None = None


@dataclass(slots=True)
class Result:
    """The figures of one answer.

    ``first_audio_ms`` runs from the first text sent to the first audio that came;
    ``first_sound_ms`` to the first sample played by a listener that gathers the advised prebuffer.
    """

    voice: str
    language: str
    codec: str
    sample_rate: int
    first_audio_ms: float | None = None
    first_sound_ms: float | None = None
    audio_s: float = 0.0
    wall_s: float = 0.0
    underruns: int = 0
    underrun_s: float = 0.0
    jitter_ms: float = 0.0
    text_chars: int = 0
    chunks: int = 0
    frames: int = 0
    bytes: int = 0
    out: str | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def speak(
    session: Session,
    wishes: Wishes,
    tokens: AsyncIterable[str],
    *,
    out: Path | None = None,
    play: bool = False,
    progress: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Speak ``tokens`` and return once all audio has come (and, with ``play``, has sounded).

    A file without ``play`` is made as fast as the gateway can.

    Raises what the gateway answers to the wishes, and SetupError if there is no loudspeaker.
    """
    # Whoever only writes a file need not wait as long as it sounds.
    paced = out is None or play
    context = await session.start(**asdict(wishes), paced=paced)
    started = context.started
    result = Result(started.voice, started.language, started.codec, started.sample_rate)
    result.out = None if out is None else str(out)
    with ExitStack() as stack:
        writer = stack.enter_context(_file(out, started))
        speaker = stack.enter_context(_speaker(play, started))
        answer = _Answer(result, context, writer, speaker)
        feeder = asyncio.create_task(answer.feed(tokens, session))
        try:
            async for event in context:
                answer.receive(event)
                progress(result)
            await feeder
        finally:
            feeder.cancel()
        answer.finish(session.now)
    return result


def _file(out: Path | None, started: Started) -> AbstractContextManager[AudioFileWriter | None]:
    if out is None:
        return nullcontext()
    return open_audio_file(
        out,
        CodecInfo(
            started.codec,
            started.sample_rate,
            started.frame_duration_ms,
            started.bitrate,
            started.preskip_samples,
            started.channels,
        ),
    )


def _speaker(play: bool, started: Started) -> AbstractContextManager[Loudspeaker | None]:
    return open_loudspeaker(started.sample_rate) if play else nullcontext()


class _Answer:
    """Takes the events of one context apart."""

    def __init__(
        self,
        result: Result,
        context: Context,
        writer: AudioFileWriter | None,
        speaker: Loudspeaker | None,
    ) -> None:
        self._result = result
        self._context = context
        self._writer = writer
        self._speaker = speaker
        self._decoder = StreamDecoder(context.started) if speaker else None
        self._first_text_s: float | None = None

    async def feed(self, tokens: AsyncIterable[str], session: Session) -> None:
        """Send the tokens; a failure ends the iteration of the context as well."""

        async def counted() -> AsyncIterator[str]:
            async for token in tokens:
                if self._first_text_s is None:
                    self._first_text_s = session.now
                self._result.text_chars += len(token)
                yield token

        try:
            await self._context.speak(counted())
        except Exception as error:
            self._context.close(error)

    def receive(self, event: object) -> None:
        """Count, write and play one event."""
        match event:
            case Audio():
                self._receive_audio(event)
            case Chunk():
                self._result.chunks += 1
            case ServerWarning():
                self._result.warnings.append(event.message)
            case ServerError():
                self._result.errors.append(event.message)
            case Done():
                self._receive_done(event)

    def _receive_audio(self, audio: Audio) -> None:
        self._result.frames += len(audio.frames)
        self._result.bytes += sum(len(frame) for frame in audio.frames)
        self._result.audio_s = seconds(self._context.player.received_samples)
        if self._writer is not None:
            for frame in audio.frames:
                self._writer.write(EncodedFrame(frame, audio.frame_duration_samples))
        if self._speaker is not None and self._decoder is not None:
            self._speaker.write(self._decoder.decode(audio))

    def _receive_done(self, done: Done) -> None:
        self._result.audio_s = seconds(done.duration_samples)
        received = self._context.player.received_samples
        padding = received - done.duration_samples
        # The end may be cut within the last frame only; that is all the padding there should be.
        if self._writer is not None and 0 <= padding < self._context.started.frame_duration_ms * 48:
            self._writer.finish(done.duration_samples)

    def finish(self, now: float) -> None:
        """Figures that are known at the end."""
        player, result, start = self._context.player, self._result, self._first_text_s
        result.underruns = player.underrun_count(now)
        result.underrun_s = round(player.underrun_total_s(now), 4)
        result.jitter_ms = round(1000 * seconds(player.jitter_samples), 2)
        result.audio_s = round(result.audio_s, 4)
        if start is not None:
            result.wall_s = round(now - start, 4)
            result.first_audio_ms = _milliseconds(start, player.first_arrival_s)
            result.first_sound_ms = _milliseconds(start, player.first_sound_s)


def _milliseconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(1000 * (end - start), 2)
