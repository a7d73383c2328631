"""The client's side of a ``voice.v1`` session: its reader and its reporter.

    connect ──► Session ──start──► Context ──► events
                  │
                  ├── link      one WebSocket after the other (link.py)
                  ├── reader    link → parse → player → mailbox of the context
                  └── reporter  four times a second: what each player has played, what has come

The reader is the only one that reads.  It stops while a context's mailbox is full, so that memory
is bounded and the gateway feels the TCP window; but while somebody waits for an answer, or the
socket is gone, it reads on, because the answer may lie behind the event that has no room.  What a
context holds is then bounded by what arrives in that time.

A cut ends nothing: the session is resumed, and its contexts only notice that nothing comes for a
while.  If the gateway has it no more, a new session is opened: every context of the old one raises
SessionReplaced, ``Session.renewals`` counts, and contexts can be started again.

What ends a session reaches everybody who waits: a fatal ``error`` message as the class of
``gateway.errors`` with its code, a close code likewise, a lost connection as ConnectionError.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from websockets.asyncio.client import ClientConnection

from gateway.client.address import parse_address
from gateway.client.context import Context
from gateway.client.dialing import Dialer
from gateway.client.jitter_buffer import PlayoutReport
from gateway.client.link import Link, Patience, Recovery
from gateway.client.wire import (
    Acknowledged,
    Cancelled,
    Ready,
    Resumed,
    ServerError,
    ServerMessage,
    ServerWarning,
    SessionReplaced,
    Started,
    build_message,
    build_report,
    parse_audio,
    parse_message,
)
from gateway.errors import GatewayError, ProtocolViolation

REPORTS_PER_S = 4.0
ANSWER_TIMEOUT_S = 10.0
RECONNECT_TIMEOUT_S = 60.0
PING_INTERVAL_S = 5.0
QUEUE_MAX = 1024
"""Events of a context that may wait; 20–60 s of audio."""

_ACK_INTERVAL_S = 1.0
"""What no report acknowledges is acknowledged this often."""

_log = logging.getLogger(__name__)

Asked = Literal["start", "cancel"]


class Session:
    """An open session; made by ``connect`` or ``Session.open``."""

    def __init__(
        self,
        dialer: Dialer,
        socket: ClientConnection,
        ready: Ready,
        *,
        reports_per_s: float,
        answer_timeout_s: float,
        queue_max: int,
        patience: Patience,
    ) -> None:
        self._answer_timeout_s = answer_timeout_s
        self._queue_max = queue_max
        self._loop = asyncio.get_running_loop()
        self._contexts: dict[str, Context] = {}
        self._by_number: dict[int, Context] = {}
        self._answers: dict[tuple[Asked, str], asyncio.Future[Context | Cancelled]] = {}
        self._unreported: set[str] = set()
        self._room = asyncio.Event()
        self._error: Exception | None = None
        self._over = False
        self._news = True
        self._acknowledged_at = float("-inf")
        self.resumes = 0
        """How often a cut was survived."""
        self.renewals = 0
        """How often it was not, so that a new session began and every context was lost."""
        self._link = Link(dialer, socket, ready, patience, self._room.set)
        self._reader = asyncio.create_task(self._read(), name="voice.v1 reader")
        self._reporter = asyncio.create_task(
            self._report(1 / reports_per_s), name="voice.v1 reporter"
        )

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        api_key: str | None = None,
        open_timeout_s: float = 10.0,
        reports_per_s: float = REPORTS_PER_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        queue_max: int = QUEUE_MAX,
        reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
        ping_interval_s: float = PING_INTERVAL_S,
    ) -> Session:
        """Connect as ``connect`` does; the caller must ``close`` the session."""
        dialer = Dialer(parse_address(url), api_key, open_timeout_s)
        socket, ready = await dialer.open()
        return cls(
            dialer,
            socket,
            ready,
            reports_per_s=reports_per_s,
            answer_timeout_s=answer_timeout_s,
            queue_max=queue_max,
            patience=Patience(reconnect_timeout_s, ping_interval_s),
        )

    @property
    def ready(self) -> Ready:
        """The gateway's greeting: its limits, the prebuffer it advises, this session's id."""
        return self._link.ready

    # ── what a program does ────────────────────────────────────────────────────────────────────

    async def start(
        self,
        context: str = "default",
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        codec: str | None = None,
        sample_rate: int | None = None,
        bitrate: int | None = None,
        frame_duration_ms: int | None = None,
        paced: bool | None = None,
        report: bool = True,
    ) -> Context:
        """Open a context; what is None is chosen by the gateway.

        ``paced=False``: send audio as soon as it is made, for a file.
        ``report``: tell the gateway what the context's virtual player has played.  Raises
        InvalidValue, LimitExceeded and others as the gateway answers.
        """
        message = build_message(
            "start",
            context=context,
            voice=voice,
            language=language,
            speed=speed,
            codec=codec,
            sample_rate=sample_rate,
            bitrate=bitrate,
            frame_duration_ms=frame_duration_ms,
            paced=paced,
        )
        if not report:
            self._unreported.add(context)
        try:
            opened = await self.ask("start", context, message)
        finally:
            self._unreported.discard(context)
        assert isinstance(opened, Context)
        return opened

    async def cancel(self) -> list[Cancelled]:
        """Silence every context."""
        return await asyncio.gather(*(each.cancel() for each in self._contexts.values()))

    async def finish(self) -> None:
        """Let the gateway speak what was ended, and wait until it has closed the session.

        Somebody must go on reading the contexts meanwhile, or their audio must fit their queues.
        A cut from now on is not survived: wait for ``Done`` first where that matters.
        """
        self._link.closing = True
        await self.send(build_message("close"))
        await asyncio.wait([self._reader])

    async def close(self) -> None:
        """Close now; contexts that are iterated still hand out what came, then end.  Idempotent."""
        self._end(None)
        for task in (self._reader, self._reporter):
            task.cancel()
        await asyncio.gather(self._reader, self._reporter, return_exceptions=True)
        await self._link.close()

    # ── what contexts use ──────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> float:
        """The clock of all players: the event loop's."""
        return self._loop.time()

    def raise_if_over(self) -> None:
        """Raise what ended the session, if it has ended."""
        if self._over:
            raise self._error or ConnectionError("the session was closed")

    async def send(self, message: str) -> None:
        """Send one text message, exactly once; during a cut it waits for the next socket."""
        self.raise_if_over()
        await self._link.send(message)

    async def report(self, started: Started, report: PlayoutReport) -> None:
        """Tell what the listener of a context has heard; during a cut nothing, as it ages."""
        if not self._link.cut:
            await self.send(build_report(started, report, self._receipt()))

    def _receipt(self) -> int | None:
        """What to acknowledge with a message that is sent now."""
        if not self._link.resumable:
            return None
        self._news = False
        self._acknowledged_at = self.now
        return self._link.received

    async def ask(self, kind: Asked, context: str, message: str) -> Context | Cancelled:
        """Send a message that is answered, and wait for the answer."""
        key = (kind, context)
        if key in self._answers:
            raise ProtocolViolation(
                f"{kind}: context {context!r} waits for an answer already", field="context"
            )
        answer = self._answers[key] = self._loop.create_future()
        self._room.set()
        try:
            await self.send(message)
            return await self._answered(answer, f"{kind} of context {context!r}")
        finally:
            if self._answers.get(key) is answer:
                del self._answers[key]
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, whichever way we leave

    async def _answered(
        self, answer: asyncio.Future[Context | Cancelled], what: str
    ) -> Context | Cancelled:
        """The answer; the time in which there is no socket does not count."""
        limit_s = self._answer_timeout_s
        while not (await asyncio.wait([answer], timeout=limit_s))[0]:
            if not self._link.cut and self.now - self._link.up_since >= limit_s:
                raise TimeoutError(f"no answer to {what} in {limit_s:g} s")
        return answer.result()

    def receive_room(self) -> None:
        """A context's mailbox has room again."""
        self._room.set()

    # ── the reader ─────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        try:
            while True:
                async for data in self._link.messages():
                    await self._receive(data)
                recovery = Recovery.OVER if self._error else await self._link.recover()
                if recovery is Recovery.OVER:
                    break
                if recovery is Recovery.RENEWED:
                    self._receive_renewed()
                else:
                    self.resumes += 1
            self._end(self._error or self._link.closure)
        except ProtocolViolation as error:
            self._end(error)
            await self._link.close(error.close_code, error.message[:120])
        except (GatewayError, ConnectionError) as error:  # there is no way back
            self._end(error)
        except Exception as error:  # our own fault must not leave anybody waiting
            self._end(error)
            raise

    async def _receive(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._news = True
            await self._receive_audio(data)
            return
        message = parse_message(data)
        # An acknowledgement of an acknowledgement would never end.
        self._news |= not isinstance(message, Acknowledged)
        if message is not None:
            await self._receive_message(message)

    def _receive_renewed(self) -> None:
        """The old session is gone, with all that was in it."""
        self.renewals += 1
        self._news = True
        self._lose_contexts(SessionReplaced("the session was lost; a new one began"))

    async def _receive_audio(self, data: bytes) -> None:
        audio = parse_audio(data)
        context = self._by_number.get(audio.context_number)
        if context is None:
            return  # the tail of a context that we left
        event = context.receive(audio, self.now)
        if event is not None:
            await self._make_room(context)
            context.deliver(event)

    async def _receive_message(self, message: ServerMessage) -> None:
        match message:
            case Ready() | Resumed():
                pass  # a second greeting says nothing new
            case Acknowledged():
                self._link.acknowledge(message.received)
            case Started():
                self._receive_started(message)
            case ServerError() if message.fatal:
                self._error = message.exception()
            case ServerError() if self._fail_answer(message):
                pass
            case ServerWarning() | ServerError():
                await self._tell(message)
            case _:
                context = self._contexts.get(message.context)
                if context is not None:
                    context.receive(message, self.now)
                    await self._make_room(context)
                    context.deliver(message)
                    if context.over:
                        self._forget(context)
                if isinstance(message, Cancelled):
                    self._answer("cancel", message.context, message)

    def _receive_started(self, started: Started) -> None:
        previous = self._contexts.get(started.context)
        if previous is not None:
            previous.close()
            self._forget(previous)
        reports = started.context not in self._unreported
        context = Context(self, started, self._queue_max, reports)
        self._contexts[started.context] = context
        self._by_number[started.context_number] = context
        self._answer("start", started.context, context)

    async def _tell(self, message: ServerWarning | ServerError) -> None:
        """Deliver a warning or an error to its context, or to all if it names none."""
        if message.context is None:
            concerned = list(self._contexts.values())
        else:
            concerned = [each for each in self._contexts.values() if each.id == message.context]
        if not concerned:
            _log.warning("%s: %s", message.code, message.message)
        for context in concerned:
            await self._make_room(context)
            context.deliver(message)

    async def _make_room(self, context: Context) -> None:
        self._link.reading = False
        while context.full and not self._answers and not self._link.cut:
            self._room.clear()
            await self._room.wait()
        self._link.reading = True

    def _answer(self, kind: Asked, context: str, value: Context | Cancelled) -> None:
        future = self._answers.pop((kind, context), None)
        if future is not None and not future.done():
            future.set_result(value)

    def _fail_answer(self, message: ServerError) -> bool:
        """Give the error to the question that caused it; one that names no context, to the oldest.

        The gateway answers in order, and can't name the context of a message it could not read.
        """
        for (kind, context), future in self._answers.items():
            if kind == "start":
                concerns = message.context in (None, context)
            else:  # a chunk may fail while a cancel is on its way; only an unknown context counts
                concerns = message.context == context and message.code == ProtocolViolation.code
            if concerns and not future.done():
                del self._answers[kind, context]
                future.set_exception(message.exception())
                return True
        return False

    def _forget(self, context: Context) -> None:
        if self._contexts.get(context.id) is context:
            del self._contexts[context.id]
        self._by_number.pop(context.started.context_number, None)

    # ── the reporter ───────────────────────────────────────────────────────────────────────────

    async def _report(self, interval_s: float) -> None:
        while not self._over:
            if not self._link.cut:
                await self._report_now()
            await asyncio.sleep(interval_s)

    async def _report_now(self) -> None:
        now = self.now
        try:
            for context in tuple(self._contexts.values()):
                report = context.due_report(now)
                if report is not None:
                    await self.report(context.started, report)
            overdue = now - self._acknowledged_at >= _ACK_INTERVAL_S
            if self._link.resumable and self._news and overdue:
                await self.send(build_message("ack", received=self._receipt()))
        except SessionReplaced:
            pass  # it was about the old session

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def _end(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._error = error
        self._lose_contexts(error)
        self._link.fail_senders(error or ConnectionError("the session was closed"))

    def _lose_contexts(self, error: Exception | None) -> None:
        for context in self._contexts.values():
            context.close(error)
        self._contexts.clear()
        self._by_number.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error or ConnectionError("the session was closed"))


@asynccontextmanager
async def connect(
    url: str = "ws://127.0.0.1:8000",
    *,
    api_key: str | None = None,
    open_timeout_s: float = 10.0,
    reports_per_s: float = REPORTS_PER_S,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
    queue_max: int = QUEUE_MAX,
    reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
    ping_interval_s: float = PING_INTERVAL_S,
) -> AsyncIterator[Session]:
    """``async with connect(url) as session``: an open session that is closed at the end.

    ``url`` may be ``ws://``, ``http://`` or just ``host:port``, with or without ``/v1/speak``;
    ``queue_max`` bounds the events of a context that wait to be read.  After a cut the gateway is
    tried again for ``reconnect_timeout_s`` (0: not at all); a peer that does not answer a ping for
    ``ping_interval_s`` is taken for cut.  Raises InvalidValue for a bad URL, Unauthorized,
    Unavailable and others as the gateway answers, ConnectionError if there is none.
    """
    session = await Session.open(
        url,
        api_key=api_key,
        open_timeout_s=open_timeout_s,
        reports_per_s=reports_per_s,
        answer_timeout_s=answer_timeout_s,
        queue_max=queue_max,
        reconnect_timeout_s=reconnect_timeout_s,
        ping_interval_s=ping_interval_s,
    )
    try:
        yield session
    finally:
        await session.close()
