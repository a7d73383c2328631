"""The shell that runs one session: engines, encoders and the ticker, but no transport.

    client's events ─► session.receive_event ─────┐
    ticker ──────────► session.handle_timer ──────┼─► drain outputs ─► outlet (a transport)
    dispatcher ──────► session.receive_rendered ──┘                └─► dispatcher, encoders

Everything runs on the event loop and mutates the session in one place at a time: mutate once, drain
fully, arm the timer.  What the client is to be told goes to the ``outlet``, whatever carries it: a
WebSocket, an HTTP answer, a TCP stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ClientError, GatewayError
from gateway.media import EncodedFrame
from gateway.ops.metrics import Metrics
from gateway.session import events
from gateway.session.protocol import Session
from gateway.session.ticker import Ticker
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId, SynthesisRequest

logger = logging.getLogger(__name__)

CLOSE_INTERNAL_ERROR = 1011


class Outlet(Protocol):
    """Carries a session's words to its client."""

    def send(self, event: events.ServerEvent) -> None:
        """Tell the client; must not block."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Nothing follows: the session is over."""
        ...


class SessionTrack(Protocol):
    """The encoder of one generation, as the runner needs it."""

    def finish(self) -> list[EncodedFrame]:
        """The last frames of a talkspurt."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What the composition root lends to every session's shell."""

    settings: Settings
    metrics: Metrics
    ticker: Ticker
    open_track: Callable[[events.CodecOptions], Any]
    submit: Callable[
        [
            SynthesisRequest,
            Any,
            Callable[[EncodedRendering], None],
            Callable[[RequestId, GatewayError], None],
        ],
        None,
    ]
    withdraw: Callable[[str, str, int], None]
    reschedule: Callable[[str, str, int, float], None]


class Runner:
    """Runs ``session``, and tells ``outlet`` what its client is to know."""

    def __init__(self, session: Session, services: Services, outlet: Outlet) -> None:
        self.due_at: float | None = None
        self.session = session
        self.over = False
        self._lost = False
        self._services = services
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()
        self._tracks: dict[tuple[str, int], Any] = {}

    # ── what happens to the session ────────────────────────────────────────────────────────────

    def begin(self, resume: events.ResumeOffer | None = None) -> None:
        """The client is there; ``resume`` tells it how to come back."""
        self.step(partial(self.session.receive_accepted, resume=resume))

    def receive_event(self, event: events.ClientEvent) -> None:
        """The client said something."""
        self.step(partial(self.session.receive_event, event))
        if type(event) is events.Text:
            self._services.metrics.text_taken(len(event.text))

    def receive_sign_of_life(self) -> None:
        """The client said something that is no concern of the session."""
        self.step(self.session.receive_sign_of_life)

    def receive_client_error(self, error: ClientError) -> None:
        """The client said something that could not be understood."""
        self.step(partial(self.session.receive_client_error, error))

    def receive_congestion(self, congested: bool) -> None:
        """The transport is full, or takes bytes again.

        It says so from within our own step, which is not re-entrant.
        """
        self._loop.call_soon(self.step, partial(self.session.receive_congestion, congested))

    def handle_tick(self, now: float) -> None:
        """The ticker says that something is due."""
        self.step(self.session.handle_timer)

    def drain(self) -> None:
        """The gateway shuts down."""
        self.step(self.session.receive_drain)

    def lose(self) -> None:
        """The client is gone: take back what was asked of the engines.  Idempotent.

        An outlet may find out while it is told of something; what else came out is then dropped.
        """
        self.over = self._lost = True
        self._services.ticker.disarm(self)
        now = self._loop.time()
        self.session.receive_lost(now)
        self._drain_outputs(now)
        self._tracks.clear()

    def step(self, mutate: Callable[[float], None]) -> None:
        """Mutate once, drain fully, arm the timer.  Our own bug ends this session only."""
        if self.over:
            return
        now = self._loop.time()
        try:
            mutate(now)
            self._drain_outputs(now)
            when = self.session.next_timer(now)
        except Exception:
            logger.exception("session %s failed", self.session.id)
            self.crash()
            return
        if when is not None:
            self._services.ticker.arm(self, when)

    def _deliver(self, rendered: EncodedRendering) -> None:
        self.step(partial(self.session.receive_rendered, rendered))

    def _fail(self, request: RequestId, error: GatewayError) -> None:
        self.step(partial(self.session.receive_failure, request, error))

    def crash(self) -> None:
        """We made a mistake: this session ends, and no other."""
        if self.over:
            return
        self._services.ticker.disarm(self)
        failure = GatewayError("the gateway made a mistake; this session ends")
        try:
            self._outlet.send(events.Failed(failure, fatal=True))
        except Exception:
            logger.exception("session %s: its client could not be told", self.session.id)
        self._end(CLOSE_INTERNAL_ERROR, "internal error")
        self._keep_trace(self._services.settings.log.trace_dir)

    def _keep_trace(self, trace_dir: Path | None) -> None:
        if trace_dir is None:
            return
        path = trace_dir / f"{self.session.id}.jsonl"
        try:
            path.write_text(self.session.trace.to_json_lines())
        except OSError as error:
            logger.error("the trace of session %s is lost: %s", self.session.id, error)

    # ── what comes out of it ───────────────────────────────────────────────────────────────────

    def _drain_outputs(self, now: float) -> None:
        while outputs := self.session.outputs():
            for output in outputs:
                if not self._lost or isinstance(output, events.Withdraw | events.CloseTrack):
                    self._perform(output, now)

    def _perform(self, output: events.Output, now: float) -> None:
        match output:
            case events.Audio():
                self._outlet.send(output)
            case events.Synthesize(request):
                track = self._tracks[request.id.context, request.id.generation]
                self._services.submit(request, track, self._deliver, self._fail)
            case events.Withdraw(context, generation):
                self._services.withdraw(self.session.id, context, generation)
            case events.Reschedule(context, generation, deadline):
                self._services.reschedule(self.session.id, context, generation, deadline)
            case events.OpenTrack(context, generation, codec):
                self._tracks[context, generation] = self._services.open_track(codec)
            case events.FinishTrack(context, generation):
                frames = tuple(self._tracks[context, generation].finish())
                self.session.receive_finished(context, generation, frames, now)
            case events.CloseTrack(context, generation):
                self._tracks.pop((context, generation), None)
            case events.EndSession(code, reason):
                self._end(code, reason)
            case events.Failed(error):
                limit = error.field if error.limit is not None else None
                self._services.metrics.client_error(error.code, limit)
                self._outlet.send(output)
            case _:
                self._outlet.send(output)

    def _end(self, code: int, reason: str) -> None:
        if not self.over:
            self.over = True
            self._outlet.end(code, reason)
