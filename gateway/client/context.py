"""A context: the stream text → audio inside a session, as its client handles it.

                    send_text, flush, end, speak                     async for event in context
    your tokens ─────────────────────────────────►  gateway  ─────────────────────────────────► you
                    cancel → Cancelled(heard)                        Audio, Chunk, Words, Done, …

A context keeps a *player*: a jitter buffer that plays what arrives in real time, though no
loudspeaker need exist.  Its position is what reports tell the gateway, and what ``cancel`` gives as
the played samples.  A program with a real loudspeaker says ``report=False`` when it starts the
context, and calls ``report`` and ``cancel(played_samples=…)`` with the device's own position.

A cancel raises the generation here at once, without waiting for the gateway: whatever still arrives
for the old one is dropped, so that silence begins in this instant.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from gateway.client.decoding import StreamDecoder
from gateway.client.jitter_buffer import JitterBuffer, PlayoutReport
from gateway.client.mailbox import Mailbox
from gateway.client.wire import (
    Audio,
    Cancelled,
    Chunk,
    Done,
    Flushed,
    Heard,
    ServerError,
    ServerWarning,
    Started,
    Word,
    Words,
    build_message,
    full_generation,
)
from gateway.errors import ProtocolViolation
from gateway.media import Samples, media_samples

if TYPE_CHECKING:
    from gateway.client.client import Session

ContextEvent: TypeAlias = (
    Audio | Chunk | Words | Flushed | Done | Cancelled | ServerWarning | ServerError
)

MESSAGE_CHARS_MAX = 4000
"""Longer text is sent in several messages: in JSON it stays below the gateway's 64 KiB."""

_WORDS_KEPT = 4096
_PROGRESS_TIMEOUT_S = 5.0
"""``speak`` sends on after this even if the gateway tells of no progress (it says what it skips
only by the next chunk)."""


class Context:
    """An open context; made by ``Session.start``.

    Iterate it to receive its events; the iteration ends after ``Done``, or after a ``Cancelled``
    that closed the context.  It raises what ended the session otherwise.
    """

    def __init__(self, session: Session, started: Started, queue_max: int, report: bool) -> None:
        self.started = started
        """The gateway's answer: voice, codec, sample rate, pre-skip, with every default."""
        self.generation = started.generation
        """Raised by every cancel; events of an older one are dropped."""
        self.player = JitterBuffer(
            session.ready.prebuffer_samples,
            preskip_samples=started.preskip_samples,
            generation=started.generation,
        )
        """The virtual listener; its times are the event loop's."""
        self.done: Done | None = None
        """Set once everything was sent."""
        self.output_latency_s = 0.0
        """How long a sample that is played takes to be heard: the device's delay, if it is known.
        Reports tell it, and ``cancel`` counts only what was heard."""
        self._session = session
        self._decoder = StreamDecoder(started)
        self._mailbox: Mailbox[ContextEvent] = Mailbox(queue_max, session.receive_room)
        self._reports_itself = report
        self._last_report: PlayoutReport | None = None
        self._words: deque[Word] = deque(maxlen=_WORDS_KEPT)
        self._cancelling = asyncio.Lock()
        self._cancelled: Cancelled | None = None
        self._sent_chars = 0
        self._begun_chars = 0
        self._progress = asyncio.Event()

    @property
    def id(self) -> str:
        """The context's name in this session."""
        return self.started.context

    @property
    def over(self) -> bool:
        """Whether no text can be sent any more: done, cancelled for good, or the session ended."""
        return self._mailbox.closed

    # ── text ───────────────────────────────────────────────────────────────────────────────────

    async def send_text(self, text: str) -> None:
        """Append ``text``: a token, a word, a page.

        Raises InvalidValue for an unpaired surrogate, ProtocolViolation once the context is over.
        """
        for start in range(0, len(text), MESSAGE_CHARS_MAX):
            piece = text[start : start + MESSAGE_CHARS_MAX]
            await self._send("text", text=piece)
            self._sent_chars += len(piece)

    async def flush(self) -> None:
        """Speak what is there now, though no clause ended."""
        await self._send("flush")

    async def end(self) -> None:
        """No more text; ``Done`` follows the last audio."""
        await self._send("end")

    async def speak(
        self, tokens: str | Iterable[str] | AsyncIterable[str], *, end: bool = True
    ) -> None:
        """Send all ``tokens`` (an LLM's stream, or one string), then ``end`` unless told otherwise.

        Waits while the gateway holds as much unspoken text as it takes, so a book may be given; run
        it in a task beside the iteration.  Returns early, without ``end``, if the context is
        cancelled meanwhile: the rest of an answer that was interrupted must not be spoken.
        """
        generation = self.generation
        stream = _as_async([tokens] if isinstance(tokens, str) else tokens)
        async for token in stream:
            for start in range(0, len(token), MESSAGE_CHARS_MAX):
                piece = token[start : start + MESSAGE_CHARS_MAX]
                await self._wait_for_progress(len(piece), generation)
                if self.generation != generation:
                    return
                await self.send_text(piece)
        if end and self.generation == generation:
            await self.end()

    async def _wait_for_progress(self, chars: int, generation: int) -> None:
        limit = self._session.ready.limits.get("pending_text_chars_max", float("inf"))
        while (
            self._sent_chars - self._begun_chars + chars > limit
            and self.generation == generation
            and not self.over
        ):
            self._progress.clear()
            try:
                await asyncio.wait_for(self._progress.wait(), _PROGRESS_TIMEOUT_S)
            except TimeoutError:
                return

    async def _send(self, kind: str, **fields: object) -> None:
        if self.over:
            self._session.raise_if_over()
            raise ProtocolViolation(
                f"{kind}: context {self.id!r} is over; start another one", field="context"
            )
        await self._session.send(build_message(kind, context=self.id, **fields))

    # ── barge-in ───────────────────────────────────────────────────────────────────────────────

    async def cancel(self, played_samples: int | None = None) -> Cancelled:
        """Silence at once; the answer says what was heard, and whether text may still be sent.

        ``played_samples`` is the loudspeaker's position, by default the player's.  Works while the
        tail of a finished context still plays.  Raises TimeoutError if no answer comes.
        """
        async with self._cancelling:
            if self._cancelled is not None and not self._cancelled.open:
                return self._cancelled
            own_position = self.player.cancel(self._session.now)
            unheard = media_samples(self.output_latency_s)
            played = max(0, own_position - unheard) if played_samples is None else played_samples
            words = list(self._words)
            finished = self.done is not None
            self._begin_generation(self.player.generation)
            message = build_message("cancel", context=self.id, played_samples=played)
            try:
                answer = await self._session.ask("cancel", self.id, message)
            except ProtocolViolation:
                if not finished and self.done is None:
                    raise
                # The gateway forgot the context when its model of the tail had played out.
                answer = Cancelled(self.id, self.generation, heard_at(words, played), False)
            assert isinstance(answer, Cancelled)
            self._cancelled = answer
            return answer

    @property
    def heard(self) -> Heard:
        """What of this generation has been heard until now, as ``cancel`` would say."""
        played = self.player.played_samples(self._session.now) - media_samples(
            self.output_latency_s
        )
        return heard_at(self._words, max(0, played))

    def _begin_generation(self, generation: int) -> None:
        self.generation = generation
        self._words.clear()
        self._sent_chars = self._begun_chars = 0
        self._last_report = None
        self._progress.set()
        self._mailbox.discard(self._is_stale)

    def _is_stale(self, event: ContextEvent) -> bool:
        return (
            isinstance(event, Audio | Chunk | Words | Flushed | Done)
            and event.generation < self.generation
        )

    # ── what comes ─────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> AsyncIterator[ContextEvent]:
        return self

    async def __anext__(self) -> ContextEvent:
        try:
            return await self._mailbox.get()
        except EOFError:
            raise StopAsyncIteration from None

    async def decoded(self) -> AsyncIterator[Samples]:
        """The audio alone, as float32 blocks of shape [n] at ``started.sample_rate``.

        Begins where the speech begins (the codec's pre-skip is dropped); a few milliseconds of the
        codec's padding may follow its end.  Raises the gateway's errors, also those that cost only
        one chunk: call it again to hear what follows.
        """
        decoder = self._decoder
        async for event in self:
            if isinstance(event, ServerError):
                raise event.exception()
            if isinstance(event, Audio):
                samples = decoder.decode(event)
                if len(samples):
                    yield samples

    async def wait_played(self) -> None:
        """Wait until the listener has heard all that has come, and the device's delay is over."""
        left_s = (self.player.dry_at or 0.0) - self._session.now
        await asyncio.sleep(max(0.0, left_s) + self.output_latency_s)

    async def report(self, report: PlayoutReport) -> None:
        """Tell the gateway what the listener has heard (for a loudspeaker of your own)."""
        await self._session.report(self.started, report)

    # ── the session's side ─────────────────────────────────────────────────────────────────────

    @property
    def full(self) -> bool:
        """Whether events wait that nobody reads."""
        return self._mailbox.full

    def receive(self, event: ContextEvent, now: float) -> ContextEvent | None:
        """Take note of an event that arrived at ``now``; returns what is to be delivered."""
        match event:
            case Audio():
                return self._receive_audio(event, now)
            case Cancelled():
                self._cancelled = event
                if event.generation > self.generation:  # not our own cancel
                    self.player.cancel(now, event.generation)
                    self._begin_generation(event.generation)
            case Done():
                self.done = event
                if event.generation == self.generation:
                    self.player.receive_end(now)
            case Chunk() if event.generation == self.generation:
                self._begun_chars = event.end
                self._words.extend(event.words)
                self._progress.set()
            case Words() if event.generation == self.generation:
                self._words.extend(event.words)
        return event

    def _receive_audio(self, event: Audio, now: float) -> Audio | None:
        generation = full_generation(event.generation, self.generation)
        if generation < self.generation:
            return None
        if generation > self.generation:
            raise ProtocolViolation(
                f"audio of generation {generation} before it was opened", field="generation"
            )
        following = (self.player.sequence_number or 0) + (self.player.sequence_number is not None)
        if event.sequence_number != following:
            raise ProtocolViolation(
                f"audio has sequence number {event.sequence_number}, expected {following}",
                field="sequence_number",
            )
        self.player.receive_frame(
            event.timestamp,
            event.duration_samples,
            now,
            event.marker,
            event.last,
            frames=len(event.frames),
        )
        return replace(event, generation=generation)

    def deliver(self, event: ContextEvent) -> None:
        """Hand an event to whoever iterates, unless a cancel overtook it."""
        if not self._is_stale(event):
            self._mailbox.put(event)
        if isinstance(event, Done) or (isinstance(event, Cancelled) and not event.open):
            self.close()

    def close(self, error: Exception | None = None) -> None:
        """Nothing follows."""
        self._mailbox.close(error)
        self._progress.set()

    def due_report(self, now: float) -> PlayoutReport | None:
        """The report to send now; None if it would say what the last one said."""
        if not self._reports_itself or self.player.sequence_number is None:
            return None
        latency = media_samples(self.output_latency_s)
        report = replace(self.player.report(now), output_latency_samples=latency or None)
        if report == self._last_report:
            return None
        self._last_report = report
        return report


def heard_at(words: Iterable[Word], played_samples: int) -> Heard:
    """What was heard of ``words`` (in order of time) once ``played_samples`` had been played."""
    begun = [word for word in words if word.timestamp < played_samples]
    if not begun:
        return Heard(0, "", played_samples, "client")
    return Heard(begun[-1].end, begun[-1].text, played_samples, "client")


async def _as_async(tokens: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(tokens, AsyncIterable):
        async for token in tokens:
            yield token
    else:
        for token in tokens:
            yield token
