"""A session: one client and its contexts.  Pure; the model of this file is h11's connection.

Four kinds of methods: ``receive_*(…, now)``, ``handle_timer(now)``, ``next_timer(now)`` and
``outputs()``.  A shell calls one of the first two, drains ``outputs`` fully, and arms its timer for
``next_timer``.  A client's mistake becomes a ``Failed`` output and changes nothing; our own becomes
an AssertionError, which ends this session and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from gateway.errors import (
    Draining,
    GatewayError,
    LimitExceeded,
    ProtocolViolation,
)
from gateway.media import EncodedFrame
from gateway.session.events import (
    Cancel,
    ClientEvent,
    Close,
    CodecOptions,
    ContextPosition,
    End,
    EndSession,
    Failed,
    Flush,
    Output,
    Ready,
    Report,
    ResumeOffer,
    Start,
    Started,
    Text,
)
from gateway.session.lead import Lead
from gateway.session.receiver import Listener
from gateway.session.speech import MakeChunker, Speech, Surroundings
from gateway.session.states import SESSION, Machine, SessionInput, SessionState, TextState
from gateway.session.utterance import Utterance
from gateway.settings import Settings, TextSettings
from gateway.synthesis import EncodedRendering, RequestId
from gateway.trace import Event, Observer, Trace

CLOSE_NORMAL = 1000
CLOSE_IDLE = 1001

_DRAIN_QUIET_S = 1.0
"""A draining session that was silent for this long has finished its answer."""

_LOST = 1006
_TRACE_RECORDS_PARKED = 32
"""What is kept of the trace of a session whose client is gone: it may wait beside 1,000 others."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A voice that exists, and the language that it will speak."""

    voice: str
    language: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the composition root lends to every session.

    ``resolve_voice(voice, language)`` raises InvalidValue for an unknown one;
    ``check_codec(options)`` raises InvalidValue, else returns the pre-skip in media samples.
    """

    resolve_voice: Callable[[str | None, str | None], Resolved]
    check_codec: Callable[[CodecOptions], int]
    make_chunker: MakeChunker


class Session:
    """One client's session."""

    def __init__(
        self,
        session_id: str,
        settings: Settings,
        capabilities: Capabilities,
        now: float,
        observer: Observer | None = None,
        idle_timeout_s: float | None = None,
    ) -> None:
        """``idle_timeout_s``: instead of the setting, for a client that asks for another."""
        self.id = session_id
        self.trace = Trace(settings.limits.trace_records_max, observer)
        self._settings = settings
        self._capabilities = capabilities
        self._machine = Machine(SESSION, SessionState.CONNECTING)
        self._outputs: list[Output] = []
        self._contexts: dict[str, Utterance] = {}
        self._context_count = 0
        self._active_at = now
        self._idle_timeout_s = idle_timeout_s or settings.limits.idle_timeout_s
        self._start_timeout_s = idle_timeout_s or settings.limits.start_timeout_s
        self._closing: tuple[int, str] = (CLOSE_NORMAL, "closed by the client")
        self._draining = False
        self._parked_until: float | None = None
        self._around = Surroundings(
            session_id,
            settings.limits,
            settings.pacing,
            capabilities.make_chunker,
            self.trace,
            self._outputs.append,
            count(),
            Listener(),
            Lead(settings.pacing, settings.limits.queued_audio_s_max),
        )

    # ── what a shell reads ─────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> SessionState:
        """State of the session."""
        return self._machine.state

    @property
    def contexts(self) -> tuple[Utterance, ...]:
        """Open contexts, oldest first."""
        return tuple(self._contexts.values())

    @property
    def speaking(self) -> bool:
        """Whether any context has something to say; a drain waits for it."""
        return any(context.busy for context in self._contexts.values())

    @property
    def positions(self) -> tuple[ContextPosition, ...]:
        """Where each context stands, for a client that resumes."""
        return tuple(
            ContextPosition(
                each.context,
                each.speech.context_number,
                each.generation,
                *each.progress,
                each.text_state is not TextState.ENDED,
            )
            for each in self._contexts.values()
        )

    def outputs(self) -> list[Output]:
        """Everything that came out since the last call, in order."""
        drained = self._outputs.copy()
        self._outputs.clear()
        return drained

    # ── what happens to it ─────────────────────────────────────────────────────────────────────

    def receive_accepted(self, now: float, resume: ResumeOffer | None = None) -> None:
        """The transport is open and the client may use us; ``resume``, if it may come back."""
        self._fire(SessionInput.ACCEPTED, now)
        self._active_at = now
        default = self._capabilities.resolve_voice(None, None)
        self._outputs.append(Ready(self.id, default.voice, resume))

    def receive_event(self, event: ClientEvent, now: float) -> None:
        """A message of the client.  Its mistakes come out as ``Failed`` and change nothing."""
        if self.state is SessionState.CLOSED:
            return
        self._active_at = now
        try:
            match event:
                case Text():
                    self._context(event.context).receive_text(event.text, now)
                case Report():
                    self._receive_report(event, now)
                case Start():
                    self._receive_start(event, now)
                case Flush():
                    self._context(event.context).receive_flush(now)
                case End():
                    self._context(event.context).receive_end(now)
                case Cancel():
                    self._receive_cancel(event, now)
                case Close():
                    self._receive_close(now)
        except GatewayError as error:
            self.receive_client_error(error, now, getattr(event, "context", None))
        self._settle(now)

    def receive_sign_of_life(self, now: float) -> None:
        """The client is there, though it wants nothing: a keep-alive of its protocol."""
        self._active_at = now

    def receive_client_error(
        self, error: GatewayError, now: float, context: str | None = None
    ) -> None:
        """A message that could not be read, or was refused."""
        self.trace.add(now, Event.ERROR, code=error.code, message=error.message)
        self._outputs.append(Failed(error, context))

    def receive_rendered(self, rendered: EncodedRendering, now: float) -> None:
        """Audio from the engines."""
        context = self._contexts.get(rendered.request.context)
        if context is not None:
            context.receive_rendered(rendered, now)
            self._settle(now)

    def receive_failure(self, request: RequestId, error: GatewayError, now: float) -> None:
        """A chunk that the engines could not speak."""
        context = self._contexts.get(request.context)
        if context is not None:
            context.receive_failure(request, error, now)
            self._settle(now)

    def receive_finished(
        self, context: str, generation: int, frames: tuple[EncodedFrame, ...], now: float
    ) -> None:
        """The answer to ``FinishTrack``."""
        utterance = self._contexts.get(context)
        if utterance is not None:
            utterance.receive_finished(generation, frames, now)
            self._settle(now)

    def receive_congestion(self, congested: bool, now: float) -> None:
        """Whether the transport is full: audio waits here then, and soon its synthesis too."""
        if self.state is SessionState.PARKED:
            return
        self._around.congested = congested
        if not congested:
            self.handle_timer(now)

    def receive_drain(self, now: float) -> None:
        """The gateway shuts down: finish what is being said, open nothing new."""
        if self.state is SessionState.PARKED:
            self._end(Draining.close_code, "the gateway restarts; connect again", now)
        if self._machine.allows(SessionInput.CLOSE_ASKED):
            self._fire(SessionInput.CLOSE_ASKED, now)
            self._draining = True
            self._closing = (Draining.close_code, "the gateway restarts; connect again")
            self._settle(now)

    @property
    def may_park(self) -> bool:
        """Whether the session may wait for another transport; one that is closing may not."""
        return self._machine.allows(SessionInput.CLIENT_LOST)

    def receive_parked(self, now: float, until: float) -> None:
        """The transport is gone, but another may come before ``until``.

        Nothing is sent meanwhile.  What the listener holds goes on sounding, by our model.
        """
        self._fire(SessionInput.CLIENT_LOST, now)
        self._parked_until = until
        self._around.congested = True
        self.trace.trim(_TRACE_RECORDS_PARKED)

    def receive_resumed(self, now: float) -> None:
        """Another transport is there: go on."""
        active = bool(self._contexts)
        self._fire(SessionInput.RESUMED_ACTIVE if active else SessionInput.RESUMED_IDLE, now)
        self._parked_until = None
        self._active_at = now
        self._around.congested = False
        self.handle_timer(now)

    def receive_lost(self, now: float) -> None:
        """The transport is gone for good."""
        if self._machine.allows(SessionInput.ENDED):
            self._fire(SessionInput.ENDED, now)
        for utterance in self._contexts.values():
            utterance.abandon()
        self._contexts.clear()

    # ── time ───────────────────────────────────────────────────────────────────────────────────

    def handle_timer(self, now: float) -> None:
        """Do what has become due."""
        if self.speaking:  # until now
            self._active_at = now
        for utterance in tuple(self._contexts.values()):
            utterance.handle_timer(now)
        if self._parked_until is None:
            self._check_idle(now)
        elif now >= self._parked_until:
            self._end(_LOST, "the client did not come back", now)
        self._settle(now)

    def next_timer(self, now: float) -> float | None:
        """When ``handle_timer`` should be called next; None once the session is closed."""
        if self.state is SessionState.CLOSED:
            return None
        earliest = self._idle_at if self._parked_until is None else self._parked_until
        if self._draining:
            earliest = min(earliest, self._active_at + _DRAIN_QUIET_S)
        for context in self._contexts.values():
            due = context.next_timer(now)
            if due is not None and due < earliest:
                earliest = due
        return earliest

    @property
    def _idle_at(self) -> float:
        return self._active_at + self._idle_limit_s

    @property
    def _idle_limit_s(self) -> float:
        never_started = self._context_count == 0
        return self._start_timeout_s if never_started else self._idle_timeout_s

    def _check_idle(self, now: float) -> None:
        if self.speaking:
            self._active_at = now
        elif now >= self._idle_at and self.state is not SessionState.CLOSED:
            setting = "idle_timeout_s" if self._context_count else "start_timeout_s"
            limit = self._idle_limit_s
            error = LimitExceeded(
                f"no message for {limit:g} s; the session ends", field=setting, limit=limit
            )
            self._outputs.append(Failed(error, fatal=True))
            self._end(CLOSE_IDLE, "idle", now)

    # ── the client's messages ──────────────────────────────────────────────────────────────────

    def _context(self, name: str) -> Utterance:
        utterance = self._contexts.get(name)
        if utterance is None:
            raise ProtocolViolation(
                f"context: {name!r} is not open; send a start message first", field="context"
            )
        return utterance

    def _receive_start(self, event: Start, now: float) -> None:
        if self._draining:
            raise Draining("start: the gateway is shutting down; connect again", field="type")
        if not self._machine.allows(SessionInput.CONTEXT_OPENED):
            raise ProtocolViolation("start: the session is closing and opens no new context")
        existing = self._contexts.get(event.context)
        if existing is not None and not existing.sent_everything:
            raise ProtocolViolation(
                f"start: context {event.context!r} is open; end or cancel it first, "
                "or choose another id",
                field="context",
            )
        limit = self._settings.limits.contexts_max
        if existing is None and len(self._contexts) >= limit and not self._forget_sent():
            raise LimitExceeded(
                f"start: {limit} contexts are open, the limit; end one first",
                field="context",
                limit=limit,
            )
        speech = self._speech(event)
        if existing is not None:
            existing.abandon()
        self._context_count += 1
        self._contexts[event.context] = Utterance(speech, self._around)
        self._fire(SessionInput.CONTEXT_OPENED, now)
        self._outputs.append(
            Started(
                speech.context,
                speech.context_number,
                0,
                speech.voice,
                speech.language,
                speech.speed,
                speech.codec,
                speech.preskip_samples,
            )
        )

    def _forget_sent(self) -> bool:
        """Make room: of contexts whose audio was all sent, forget the oldest, if there is one."""
        for name, utterance in self._contexts.items():
            if utterance.sent_everything:
                utterance.abandon()
                del self._contexts[name]
                return True
        return False

    def _speech(self, event: Start) -> Speech:
        """Fill in the defaults; raises InvalidValue."""
        audio = self._settings.audio
        codec = CodecOptions(
            name=event.codec or audio.codec,
            sample_rate=event.sample_rate or audio.sample_rate,
            bitrate=event.bitrate or audio.bitrate,
            frame_duration_ms=event.frame_duration_ms or audio.frame_duration_ms,
        )
        preskip_samples = self._capabilities.check_codec(codec)
        resolved = self._capabilities.resolve_voice(event.voice, event.language)
        return Speech(
            context=event.context,
            context_number=self._context_count & 0xFFFF,
            voice=resolved.voice,
            language=resolved.language,
            speed=event.speed,
            codec=codec,
            preskip_samples=preskip_samples,
            text=self._text_settings(event),
            lead_s=event.lead_s,
        )

    def _text_settings(self, event: Start) -> TextSettings:
        wanted = {
            "first_chunk_chars_min": event.first_chunk_chars_min,
            "stall_timeout_s": event.stall_timeout_s,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._settings.text.model_copy(update=given) if given else self._settings.text

    def _receive_cancel(self, event: Cancel, now: float) -> None:
        if event.context is None:
            for utterance in tuple(self._contexts.values()):
                utterance.cancel(event, now)
        else:
            self._context(event.context).cancel(event, now)

    def _receive_report(self, event: Report, now: float) -> None:
        # A last report may cross the end of its context on the wire: that is no mistake.
        utterance = self._contexts.get(event.context)
        if utterance is not None:
            utterance.receive_report(event, now)

    def _receive_close(self, now: float) -> None:
        if self._machine.allows(SessionInput.CLOSE_ASKED):
            self._fire(SessionInput.CLOSE_ASKED, now)
        elif not self._draining:
            raise ProtocolViolation("close: the session is closing already")
        self._end_contexts(now)

    def _end_contexts(self, now: float) -> None:
        for utterance in tuple(self._contexts.values()):
            utterance.end_if_open(now)

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def _settle(self, now: float) -> None:
        """Forget finished contexts; end a closing session that has nothing left to say."""
        if self.state is SessionState.CLOSED:
            return
        finished = [name for name, utterance in self._contexts.items() if utterance.finished]
        for name in finished:
            del self._contexts[name]
        if finished and not self._contexts:
            self._fire(SessionInput.LAST_CONTEXT_GONE, now)
        if self.state is not SessionState.CLOSING:
            return
        quiet = now >= self._active_at + _DRAIN_QUIET_S and not self.speaking
        if self._draining and quiet:
            self._end_contexts(now)  # speaks the last words, which waited for more text
        if not self._contexts or (self._draining and quiet and not self.speaking):
            self._end(*self._closing, now)

    def _end(self, code: int, reason: str, now: float) -> None:
        self._parked_until = None
        self.receive_lost(now)
        self._outputs.append(EndSession(code, reason))

    def _fire(self, given: SessionInput, now: float) -> None:
        if self._machine.fire(given):
            self.trace.add(now, Event.SESSION_STATE, state=self.state)
