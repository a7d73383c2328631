"""One context: an ordered stream of text that becomes an ordered stream of frames.

    text ─► chunker ─► [one chunk at the engine] ─► pacer ─► client ─► playout (our model of it)
              ▲ pulls the next chunk when ``lead + queued`` falls below ``request_ahead_s``

At most one chunk is with the engine: that gives order without reordering, fairness, bounded memory,
and one owner for the encoder.  A cancel raises ``generation``, replaces chunker, pacer and playout,
and drops whatever still arrives for the old one.
"""

from __future__ import annotations

import math

from gateway.errors import GatewayError, LimitExceeded, ProtocolViolation
from gateway.media import EncodedFrame, media_samples
from gateway.session.events import (
    Cancel,
    Cancelled,
    ChunkStarted,
    CloseTrack,
    Done,
    Failed,
    FinishTrack,
    Flushed,
    Heard,
    OpenTrack,
    Output,
    Report,
    Reschedule,
    Synthesize,
    Withdraw,
    WordsTimed,
)
from gateway.session.flushes import Flushes
from gateway.session.heard import ChunkWords, HeardWords
from gateway.session.pacer import Pacer
from gateway.session.playout import Playout
from gateway.session.speech import Speech, Surroundings
from gateway.session.states import (
    AUDIO,
    TEXT,
    AudioInput,
    AudioState,
    Machine,
    TextInput,
    TextState,
)
from gateway.session.steering import Steering
from gateway.session.timers import earliest
from gateway.synthesis import EncodedRendering, RequestId, SynthesisRequest, TextChunk
from gateway.trace import Event, Field

_SKIPPED_MAX = 4
"""Chunks in which nothing can be spoken that are passed over at a time.  100,000 characters of
punctuation take a second; the other sessions are served in between."""


class Utterance:
    """One context of a session."""

    def __init__(self, speech: Speech, around: Surroundings) -> None:
        self.speech = speech
        self.generation = 0
        self._around = around
        self._text = Machine(TEXT, TextState.EMPTY)
        self._audio = Machine(AUDIO, AudioState.SILENT)
        self._begin_generation(underruns=0)

    def _begin_generation(self, underruns: int) -> None:
        pacing = self._around.pacing
        message_s = pacing.message_duration_max_ms / 1000
        self._chunker = self._around.make_chunker(self.speech.language, self.speech.text)
        self._pacer = Pacer(self.speech.frame_samples, self._lead_target_s, message_s)
        self._playout = Playout(media_samples(pacing.prebuffer_s), self._around.listener)
        self._steering = Steering(self._around, self._playout, underruns)
        self._heard = HeardWords()
        self._flushes = Flushes()
        self._in_flight: TextChunk | None = None
        self._requested: RequestId | None = None
        self._words: ChunkWords | None = None
        self._finishing = False
        self._skipping = False
        self._track_open = False
        self._talkspurt_open = False
        self._talkspurt_requested_at = 0.0
        self._speech_end_samples = 0
        self._text_offset = 0
        self._done_sent = False
        self._forget_at: float | None = None

    # ── what the session asks ──────────────────────────────────────────────────────────────────

    @property
    def context(self) -> str:
        """The client's name for this context."""
        return self.speech.context

    @property
    def text_state(self) -> TextState:
        """State of the text side."""
        return self._text.state

    @property
    def audio_state(self) -> AudioState:
        """State of the audio side."""
        return self._audio.state

    @property
    def finished(self) -> bool:
        """Whether nothing more can happen, so that the session may forget the context."""
        return self._audio.state is AudioState.DONE

    @property
    def sent_everything(self) -> bool:
        """Whether ``done`` was said; the listener may still be playing the last of it."""
        return self._done_sent

    @property
    def busy(self) -> bool:
        """Whether anything is being said or prepared."""
        return (
            self._in_flight is not None
            or self._finishing
            or len(self._pacer) > 0
            or self._playout.playing
        )

    @property
    def progress(self) -> tuple[int, int]:
        """Code points of text taken in this generation, and number of the next frame to be sent."""
        return self._chunker.text_offset + self._chunker.pending_chars, self._pacer.sequence_number

    def lead_s(self, now: float) -> float:
        """Seconds the listener holds, by our model."""
        return self._playout.lead_s(now)

    # ── what the client says ───────────────────────────────────────────────────────────────────

    def receive_text(self, text: str, now: float) -> None:
        """Append ``text``; raises ProtocolViolation or LimitExceeded."""
        self._check_text(TextInput.TEXT, "text")
        limit = self._around.limits.pending_text_chars_max
        pending = self._chunker.pending_chars + len(text)
        if pending > limit:
            raise LimitExceeded(
                f"text: {pending} characters of context {self.context!r} would wait to be spoken, "
                f"the limit is {limit}; send more once some of it has been spoken",
                field="text",
                limit=limit,
            )
        if not text:
            return
        self._fire_text(TextInput.TEXT, now)
        self._chunker.receive_text(text, now)
        self._advance(now)

    def receive_flush(self, now: float) -> None:
        """Speak what is there; raises ProtocolViolation after ``end``."""
        self._check_text(TextInput.TEXT, "flush")
        self._chunker.receive_flush(now)
        self._flushes.ask(self._chunker.text_offset + self._chunker.pending_chars)
        self._advance(now)

    def receive_end(self, now: float) -> None:
        """No more text; raises ProtocolViolation the second time."""
        self._check_text(TextInput.END, "end")
        self._fire_text(TextInput.END, now)
        self._chunker.receive_end(now)
        self._advance(now)

    def receive_report(self, report: Report, now: float) -> None:
        """Correct the playout model; ignore what is about an older generation or namesake."""
        if report.generation not in (None, self.generation):
            return
        if report.context_number not in (None, self.speech.context_number):
            return
        self._steering.receive_report(report, self.context, now)
        self._pacer.set_target(self._lead_target_s)
        self._advance(now)
        if self._in_flight is not None:
            deadline = self._steering.moved_deadline(self._pacer.queued_s)
            if deadline is not None:
                self._emit(Reschedule(self.context, self.generation, deadline))

    def end_if_open(self, now: float) -> None:
        """As ``receive_end``, but no mistake if the text was ended before."""
        if self._text.allows(TextInput.END):
            self.receive_end(now)

    def abandon(self) -> None:
        """The session forgets this context: take back what was asked of the engines."""
        self._emit(Withdraw(self.context, self.generation))
        if self._track_open:
            self._emit(CloseTrack(self.context, self.generation))

    def cancel(self, event: Cancel, now: float) -> None:
        """Silence at once; the answer says what was heard."""
        self._playout.handle_timer(now)
        heard = self._heard_now(event.played_samples, now)
        self.abandon()
        self._fire_audio(AudioInput.CANCEL, now)
        stays_open = self._text.state is not TextState.ENDED
        self._fire_text(TextInput.CANCEL, now)
        self.generation += 1
        self._begin_generation(self._steering.underruns)
        self._emit(Cancelled(self.context, self.generation, heard, stays_open))
        offset = heard.text_offset
        self._note(now, Event.CANCELLED, text_offset=offset, fade_ms=event.fade_ms)
        self._fire_audio(AudioInput.RESTART if stays_open else AudioInput.ENDED, now)

    def _heard_now(self, played_samples: int | None, now: float) -> Heard:
        if played_samples is not None:
            return self._heard.at(min(played_samples, self._playout.sent), "client")
        return self._heard.at(self._steering.heard_samples(now), "model")

    # ── what the engines say ───────────────────────────────────────────────────────────────────

    def receive_rendered(self, rendered: EncodedRendering, now: float) -> None:
        """Audio of the chunk in flight; what is of an older generation is dropped."""
        chunk = self._chunk_of(rendered.request)
        if chunk is None:
            return
        started = self._words is not None
        if self._words is None:
            self._words = ChunkWords(chunk, rendered.position_samples)
        words = self._words.receive(rendered.words, final=rendered.final)
        self._heard.add(words)
        number = rendered.request.chunk
        if not started:
            self._note(now, Event.CHUNK_STARTED, chunk=number)
            self._emit(
                ChunkStarted(
                    self.context,
                    self.generation,
                    number,
                    chunk.source,
                    chunk.source_start,
                    chunk.source_end,
                    rendered.position_samples,
                    words,
                )
            )
        elif words:
            self._emit(WordsTimed(self.context, self.generation, number, words))
        self._speech_end_samples = rendered.end_samples
        self._steering.receive_rendered(rendered, self._pacer.queued_s, now)
        self._heard.forget_before(self._playout.played(now))
        self._push(rendered.frames, ends_talkspurt=False)
        if rendered.final:
            self._chunk_over(chunk, now)
        self._advance(now)

    def receive_failure(self, request: RequestId, error: GatewayError, now: float) -> None:
        """The chunk in flight is lost; the context goes on with the next one."""
        chunk = self._chunk_of(request)
        if chunk is None:
            return
        self._note(now, Event.ERROR, code=error.code)
        self._emit(Failed(error, self.context))
        self._chunk_over(chunk, now)
        self._advance(now)

    def receive_finished(
        self, generation: int, frames: tuple[EncodedFrame, ...], now: float
    ) -> None:
        """The encoder gave its last frames of the talkspurt."""
        if generation != self.generation:
            return
        assert self._finishing, "the encoder finished without being asked"
        self._finishing = False
        self._talkspurt_open = False
        self._push(frames, ends_talkspurt=True)
        self._advance(now)

    def _chunk_of(self, request: RequestId) -> TextChunk | None:
        """The chunk in flight, if ``request`` asked for it."""
        return self._in_flight if request == self._requested else None

    def _chunk_over(self, chunk: TextChunk, now: float) -> None:
        self._in_flight = None
        self._text_offset = chunk.source_end
        self._note(now, Event.CHUNK_FINISHED, text_offset=chunk.source_end)

    def _push(self, frames: tuple[EncodedFrame, ...], *, ends_talkspurt: bool) -> None:
        self._pacer.push([frame.payload for frame in frames], ends_talkspurt)

    # ── time ───────────────────────────────────────────────────────────────────────────────────

    def handle_timer(self, now: float) -> None:
        """Do what has become due."""
        self._advance(now)

    def next_timer(self, now: float) -> float | None:
        """When ``handle_timer`` should be called next; None: only an input changes anything."""
        lead_s = self._playout.lead_s(now)
        due_at = None if self._around.congested else self._pacer.due_at(lead_s, now)
        due_at = earliest(due_at, self._playout.dry_at)
        due_at = earliest(due_at, self._forget_at)
        return earliest(due_at, self._next_request_at(lead_s + self._pacer.queued_s, now))

    def _ahead_s(self, now: float) -> float:
        return self._playout.lead_s(now) + self._pacer.queued_s

    def _unsent_s(self, ahead_s: float) -> float:
        """Of ``ahead_s``, what holds back synthesis: where no lead limits sending, what waits."""
        return self._pacer.queued_s if self.speech.lead_s == math.inf else ahead_s

    def _next_request_at(self, ahead_s: float, now: float) -> float | None:
        """When the chunker may give a chunk that it does not give now."""
        if self._in_flight is not None or self._finishing or not self._chunker.pending_chars:
            return None
        if self._skipping:
            return now
        text = self.speech.text
        unsent_s = self._unsent_s(ahead_s)
        if unsent_s > self._request_ahead_s:
            return None if self._around.congested else now + unsent_s - self._request_ahead_s
        # The less the listener holds, the shorter a chunk may be.
        for lead_s in (text.lead_for_paragraphs_s, text.lead_for_sentences_s):
            if ahead_s > lead_s:
                return earliest(now + ahead_s - lead_s, self._chunker.next_timer())
        return self._chunker.next_timer()

    @property
    def _lead_target_s(self) -> float:
        given = self.speech.lead_s
        return self._around.lead.target_s if given is None else given

    @property
    def _request_ahead_s(self) -> float:
        return self._around.lead.request_ahead_s

    # ── the one place where things move ────────────────────────────────────────────────────────

    def _advance(self, now: float) -> None:
        self._observe_playout(now)
        self._send_due(now)
        self._request_next(now)
        self._settle(now)

    def _observe_playout(self, now: float) -> None:
        """Let the audio state follow the playout model."""
        self._playout.handle_timer(now)
        sounding = self._audio.state in (AudioState.SPEAKING, AudioState.DRAINING)
        if sounding and not self._playout.playing:
            if self._playout.ended:
                self._fire_audio(AudioInput.PLAYED_OUT, now)
            else:
                self._steering.receive_ran_dry()
                self._note(now, Event.UNDERRUN)
                self._fire_audio(AudioInput.RAN_DRY, now)
        elif self._playout.playing and not sounding:
            self._fire_audio(AudioInput.PLAYOUT_BEGAN, now)

    def _request_next(self, now: float) -> None:
        self._skipping = False
        for _ in range(_SKIPPED_MAX):
            if self._in_flight is not None or self._finishing:
                return
            ahead_s = self._ahead_s(now)
            if self._unsent_s(ahead_s) > self._request_ahead_s:
                return
            chunk = self._chunker.next_chunk(
                lead_s=ahead_s, first=not self._talkspurt_open, now=now
            )
            if chunk is None:
                self._finish_talkspurt()
                return
            if chunk.spoken:
                self._request(chunk, now)
                return
            self._text_offset = chunk.source_end
        self._skipping = True

    def _request(self, chunk: TextChunk, now: float) -> None:
        if not self._track_open:
            self._track_open = True
            self._emit(OpenTrack(self.context, self.generation, self.speech.codec))
        first = not self._talkspurt_open
        if first:
            self._talkspurt_open = True
            self._talkspurt_requested_at = now
        self._in_flight = chunk
        self._words = None
        number = next(self._around.chunk_numbers)
        dry_at = self._playout.dry_at
        if dry_at is None:
            deadline = now + self._around.pacing.first_audio_budget_s
        else:
            deadline = dry_at + self._pacer.queued_s
        request_id = RequestId(self._around.session, self.context, self.generation, number)
        self._requested = request_id
        self._steering.receive_requested(deadline)
        self._note(
            now,
            Event.CHUNK_REQUESTED,
            chunk=number,
            chars=len(chunk.spoken),
            slack_s=deadline - now,
        )
        self._emit(
            Synthesize(
                SynthesisRequest(
                    id=request_id,
                    chunk=chunk,
                    voice=self.speech.voice,
                    language=self.speech.language,
                    speed=self.speech.speed,
                    deadline=deadline,
                    first=first,
                )
            )
        )

    def _finish_talkspurt(self) -> None:
        if self._talkspurt_open and self._chunker.at_talkspurt_end:
            self._finishing = True
            self._flushes.finish_talkspurt(self._chunker.text_offset)
            self._emit(FinishTrack(self.context, self.generation))

    def _send_due(self, now: float) -> None:
        if not self._pacer or self._around.congested:
            return
        while (packet := self._pacer.take(self._playout.lead_s(now))) is not None:
            if packet.marker:
                latency_s = now - self._talkspurt_requested_at
                self._note(now, Event.FIRST_AUDIO, latency_s=latency_s)
            if self._audio.allows(AudioInput.FRAMES_SENT):
                self._fire_audio(AudioInput.FRAMES_SENT, now)
            end = packet.timestamp_samples + len(packet.payloads) * self.speech.frame_samples
            # The pre-skip is decoded but never heard, so it is no part of the listener's buffer.
            audible = max(self._playout.sent, end - self.speech.preskip_samples)
            number = packet.sequence_number + len(packet.payloads) - 1
            self._playout.receive_sent(audible, packet.last, now, number)
            self._observe_playout(now)
            if packet.last:
                self._fire_audio(AudioInput.TALKSPURT_SENT, now)
            self._emit(self.speech.audio(packet, self.generation))
            if packet.last:
                self._emit_flushed(self._flushes.talkspurt_sent())

    def _settle(self, now: float) -> None:
        """Say ``done`` once the last frame has left, and end once it has sounded."""
        if self._in_flight or self._finishing or len(self._pacer) or self._talkspurt_open:
            return
        if self._flushes:
            self._emit_flushed(self._flushes.answer(self._chunker.text_offset))
        if self._text.state is not TextState.ENDED or not self._chunker.at_end:
            return
        if not self._done_sent:
            self._done_sent = True
            self._forget_at = now + self._playout.lead_s(now) + self._around.limits.linger_s
            self._emit(
                Done(
                    self.context,
                    self.generation,
                    self._speech_end_samples,
                    self._pacer.sequence_number,
                    self._text_offset,
                )
            )
        overdue = self._forget_at is not None and now >= self._forget_at
        if overdue and self._audio.allows(AudioInput.PLAYED_OUT):
            # A listener that reports no progress must not hold the context for ever.
            self._fire_audio(AudioInput.PLAYED_OUT, now)
        if self._audio.state is AudioState.SILENT:
            self._fire_audio(AudioInput.ENDED, now)
            if self._track_open:
                self._emit(CloseTrack(self.context, self.generation))

    def _emit_flushed(self, count: int) -> None:
        for _ in range(count):
            self._emit(Flushed(self.context, self.generation))

    # ── helpers ────────────────────────────────────────────────────────────────────────────────

    def _check_text(self, given: TextInput, message: str) -> None:
        if not self._text.allows(given):
            raise ProtocolViolation(
                f"{message}: context {self.context!r} was ended; start a new context",
                field="context",
            )

    def _emit(self, output: Output) -> None:
        self._around.emit(output)

    def _note(self, now: float, event: Event, **fields: Field) -> None:
        self._around.trace.add(now, event, context=self.context, **fields)

    def _fire_text(self, given: TextInput, now: float) -> None:
        if self._text.fire(given):
            self._note(now, Event.TEXT_STATE, state=self._text.state)

    def _fire_audio(self, given: AudioInput, now: float) -> None:
        if self._audio.fire(given):
            self._note(now, Event.AUDIO_STATE, state=self._audio.state)
