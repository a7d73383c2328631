"""The shell around one session: ASGI messages in, session outputs out.

    ASGI receive ─► rate ─► wire.decode ─► session.receive_event ─┐
    ticker ──────────────► session.handle_timer ──────────────────┼─► drain outputs ─► ASGI send
    dispatcher ──────────► session.receive_rendered ──────────────┘                └─► dispatcher

Everything runs on the event loop and mutates the session in one place at a time: mutate once, drain
fully, arm the timer.  Sending is synchronous as long as the socket takes bytes: by the server's
``write``, else by stepping the ``send`` coroutine by hand, because a task for each message costs
more than the message.  When it blocks, one task finishes it and what follows waits in a bounded
backlog.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ClientError, GatewayError, LimitExceeded
from gateway.media import EncodedFrame
from gateway.ops.metrics import Metrics
from gateway.session import events
from gateway.session.protocol import Session
from gateway.session.rate import TokenBucket
from gateway.session.ticker import Ticker
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId, SynthesisRequest

logger = logging.getLogger(__name__)

AsgiMessage = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Coroutine[Any, Any, None]]
Write = Callable[[str | bytes], bool]
"""Sends a message now, or returns False if it must wait for the socket."""

CLOSE_INTERNAL_ERROR = 1011
CLOSE_TOO_SLOW = 4408
CLOSE_TOO_BIG = 1009


class Wire(Protocol):
    """A protocol as the connection needs it; a module serves."""

    def decode(self, message: str | bytes, settings: Settings, /) -> events.ClientEvent:
        """Read a message; raises ClientError."""
        ...

    def encode(self, event: events.ServerEvent, settings: Settings, /) -> str | bytes:
        """Write a message."""
        ...


class SessionTrack(Protocol):
    """The encoder of one generation, as the connection needs it."""

    def finish(self) -> list[EncodedFrame]:
        """The last frames of a talkspurt."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What the composition root lends to every connection."""

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


class _Started:
    """The rest of a coroutine that was stepped once and waits for ``first``."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], first: object) -> None:
        self._coroutine = coroutine
        self._first = first

    def __await__(self) -> Generator[Any, Any, None]:
        waiting_for: Any = self._first
        while True:
            try:
                value = yield waiting_for
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)
            try:
                waiting_for = step()
            except StopIteration:
                return


class Connection:
    """One client's socket and session."""

    def __init__(
        self,
        session: Session,
        wire: Wire,
        services: Services,
        receive: Receive,
        send: Send,
        write: Write,
        abort: Callable[[], None],
    ) -> None:
        self.due_at: float | None = None
        self.session = session
        self._wire = wire
        self._services = services
        self._receive = receive
        self._send = send
        self._write = write
        self._abort = abort
        self._loop = asyncio.get_running_loop()
        self._tracks: dict[tuple[str, int], Any] = {}
        self._backlog: deque[tuple[AsgiMessage, int]] = deque()
        self._backlog_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._close_code: int | None = None
        self._lost = False
        limits = services.settings.limits
        self._bucket = TokenBucket(
            limits.messages_per_s_max, limits.messages_burst_max, self._loop.time()
        )
        self._warned_of_rate = False

    # ── the life of the connection ─────────────────────────────────────────────────────────────

    async def run(self) -> int:
        """Serve until either side closes; returns the close code."""
        self._step(self.session.receive_accepted)
        code = 1006
        try:
            while not self._lost:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    code = message.get("code") or 1005
                    break
                if self._close_code is None:
                    await self._take(message)
        finally:
            self._close_down()
        if code == CLOSE_TOO_BIG:
            self._services.metrics.limit_reached("message_bytes_max")
        return self._close_code or code

    async def _take(self, message: AsgiMessage) -> None:
        delay_s = self._bucket.take(self._loop.time())
        if delay_s > 0:
            self._warn_of_rate()
            await asyncio.sleep(delay_s)
        text = message.get("text")
        self._step(partial(self._receive_message, text if text is not None else message["bytes"]))

    def _receive_message(self, message: str | bytes, now: float) -> None:
        settings = self._services.settings
        try:
            limit = settings.limits.message_bytes_max
            if len(message) > limit:
                raise LimitExceeded(
                    f"a message of {len(message)} characters; the limit is {limit}: "
                    "send the text in pieces",
                    field="message_bytes_max",
                    limit=limit,
                )
            event = self._wire.decode(message, settings)
        except ClientError as error:
            self.session.receive_client_error(error, now)
            return
        self.session.receive_event(event, now)
        if type(event) is events.Text:
            self._services.metrics.text_taken(len(event.text))

    def _warn_of_rate(self) -> None:
        self._services.metrics.limit_reached("messages_per_s_max")
        if self._warned_of_rate:
            return
        self._warned_of_rate = True
        limit = self._services.settings.limits.messages_per_s_max
        warning = events.Warned(
            "rate_limited",
            f"more than {limit:g} messages a second: they are read at that rate from now on",
            field="messages_per_s_max",
            limit=limit,
        )
        self._put(self._wire.encode(warning, self._services.settings))

    def _close_down(self) -> None:
        self._lost = True
        self._services.ticker.disarm(self)
        if self._sending is not None:
            self._sending.cancel()
        self._backlog.clear()
        self.session.receive_lost(self._loop.time())
        self._drain_outputs(self._loop.time())
        self._tracks.clear()

    # ── what happens to it ─────────────────────────────────────────────────────────────────────

    def handle_tick(self, now: float) -> None:
        """The ticker says that something is due."""
        self._step(self.session.handle_timer)

    def drain(self) -> None:
        """The gateway shuts down."""
        self._step(self.session.receive_drain)

    def _deliver(self, rendered: EncodedRendering) -> None:
        self._step(partial(self.session.receive_rendered, rendered))

    def _fail(self, request: RequestId, error: GatewayError) -> None:
        self._step(partial(self.session.receive_failure, request, error))

    def _step(self, mutate: Callable[[float], None]) -> None:
        """Mutate once, drain fully, arm the timer.  Our own bug ends this session only."""
        if self._lost or self._close_code is not None:
            return
        now = self._loop.time()
        try:
            mutate(now)
            self._drain_outputs(now)
            when = self.session.next_timer(now)
        except Exception:
            logger.exception("session %s failed", self.session.id)
            self._crash()
            return
        if when is not None:
            self._services.ticker.arm(self, when)

    def _crash(self) -> None:
        self._services.ticker.disarm(self)
        failure = GatewayError("the gateway made a mistake; this session ends")
        self._put(self._wire.encode(events.Failed(failure, fatal=True), self._services.settings))
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

    # ── what comes out of the session ──────────────────────────────────────────────────────────

    def _drain_outputs(self, now: float) -> None:
        while outputs := self.session.outputs():
            for output in outputs:
                self._perform(output, now)

    def _perform(self, output: events.Output, now: float) -> None:
        match output:
            case events.Audio():
                message = self._wire.encode(output, self._services.settings)
                self._services.metrics.audio_sent(len(output.payloads), len(message))
                self._put(message)
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
                self._put(self._wire.encode(output, self._services.settings))
            case _:
                self._put(self._wire.encode(output, self._services.settings))

    def _end(self, code: int, reason: str) -> None:
        if self._close_code is None:
            self._close_code = code
            self._put_message({"type": "websocket.close", "code": code, "reason": reason}, 0)

    # ── sending ────────────────────────────────────────────────────────────────────────────────

    def _put(self, message: str | bytes) -> None:
        if self._sending is None and not self._lost and self._write(message):
            return
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._put_message({"type": "websocket.send", kind: message}, len(message))

    def _put_message(self, message: AsgiMessage, size: int) -> None:
        if self._lost:
            return
        if self._sending is not None:
            self._backlog.append((message, size))
            self._backlog_bytes += size
            if self._backlog_bytes > self._services.settings.limits.send_buffer_bytes_max:
                self._give_up("send_buffer_bytes_max")
            return
        coroutine = self._send(message)
        try:
            waiting_for = coroutine.send(None)
        except StopIteration:
            return
        except Exception:
            # The peer is gone; ``receive`` will say so.
            self._lost = True
            return
        self._sending = self._loop.create_task(
            self._finish_sending(_Started(coroutine, waiting_for))
        )

    async def _finish_sending(self, blocked: _Started) -> None:
        """The socket is full: wait until it takes bytes again, then send what has gathered."""
        try:
            async with asyncio.timeout(self._services.settings.limits.send_timeout_s):
                await blocked
            while self._backlog:
                message, size = self._backlog.popleft()
                self._backlog_bytes -= size
                async with asyncio.timeout(self._services.settings.limits.send_timeout_s):
                    await self._send(message)
        except TimeoutError:
            self._give_up("send_timeout_s")
        except Exception:
            self._lost = True
        finally:
            self._sending = None

    def _give_up(self, limit: str) -> None:
        """The client does not read: no close frame would reach it either."""
        logger.warning("session %s reads too slowly (%s); closed", self.session.id, limit)
        self._services.metrics.limit_reached(limit)
        self._close_code = CLOSE_TOO_SLOW
        self._lost = True
        self._backlog.clear()
        self._abort()
