"""The client's side of a ``voice.v1`` session: one WebSocket, its reader and its reporter.

    connect ──► Session ──start──► Context ──► events
                  │
                  ├── reader    socket → parse → player → mailbox of the context
                  └── reporter  four times a second: what each player has played

Two tasks and no threads.  The reader is the only one that reads the socket.  It stops while a
context's mailbox is full, so that memory is bounded and the gateway feels the TCP window; but while
somebody waits for an answer it reads on, because the answer may lie behind the event that has no
room.  What a context holds is then bounded by what arrives in that time.

What ends a session reaches everybody who waits: a fatal ``error`` message as the class of
``gateway.errors`` with its code, a close code likewise, a lost connection as ConnectionError.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.client.address import Address, closure, parse_address, refusal
from gateway.client.context import Context
from gateway.client.wire import (
    PROTOCOL,
    Cancelled,
    Ready,
    ServerError,
    ServerMessage,
    ServerWarning,
    Started,
    build_message,
    parse_audio,
    parse_message,
)
from gateway.errors import ProtocolViolation

MESSAGE_BYTES_MAX = 1 << 20
"""Largest message taken: 255 frames of 20 ms PCM at 48 kHz are half of it."""

REPORTS_PER_S = 4.0
ANSWER_TIMEOUT_S = 10.0
QUEUE_MAX = 1024
"""Events of a context that may wait; 20–60 s of audio."""

_log = logging.getLogger(__name__)

Asked = Literal["start", "cancel"]


class Session:
    """An open session; made by ``connect`` or ``Session.open``."""

    def __init__(
        self,
        socket: ClientConnection,
        ready: Ready,
        *,
        reports_per_s: float = REPORTS_PER_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self.ready = ready
        """The gateway's greeting: its limits, the prebuffer it advises, this session's id."""
        self._socket = socket
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
    ) -> Session:
        """Connect as ``connect`` does; the caller must ``close`` the session."""
        address = parse_address(url)
        try:
            async with asyncio.timeout(open_timeout_s):
                socket = await _open_socket(address, api_key)
                try:
                    ready = await _greeting(socket)
                except BaseException:
                    socket.transport.abort()
                    raise
        except TimeoutError:
            raise ConnectionError(
                f"{address.authority} did not open a session within {open_timeout_s:g} s"
            ) from None
        return cls(
            socket,
            ready,
            reports_per_s=reports_per_s,
            answer_timeout_s=answer_timeout_s,
            queue_max=queue_max,
        )

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
        report: bool = True,
    ) -> Context:
        """Open a context; what is None is chosen by the gateway.

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
        """
        await self.send(build_message("close"))
        await self._socket.wait_closed()

    async def close(self) -> None:
        """Close now; contexts that are iterated still hand out what came, then end.  Idempotent."""
        self._end(None)
        for task in (self._reader, self._reporter):
            task.cancel()
        await asyncio.gather(self._reader, self._reporter, return_exceptions=True)
        await _close_socket(self._socket)

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
        """Send one text message."""
        self.raise_if_over()
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            # The reader learns why, unless it waits for room.
            await asyncio.wait([self._reader], timeout=1)
            self._end(self._error or self._closure())
            self.raise_if_over()

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
            return await asyncio.wait_for(answer, self._answer_timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"no answer to {kind} of context {context!r} in {self._answer_timeout_s:g} s"
            ) from None
        finally:
            if self._answers.get(key) is answer:
                del self._answers[key]
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, whichever way we leave

    def receive_room(self) -> None:
        """A context's mailbox has room again."""
        self._room.set()

    # ── the reader ─────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                if isinstance(data, bytes):
                    await self._receive_audio(data)
                elif (message := parse_message(data)) is not None:
                    await self._receive_message(message)
            self._end(self._error or self._closure())
        except ConnectionClosed:
            self._end(self._error or self._closure())
        except ProtocolViolation as error:
            self._end(error)
            await _close_socket(self._socket, error.close_code, error.message[:120])
        except Exception as error:  # our own fault must not leave anybody waiting
            self._end(error)
            raise

    def _closure(self) -> Exception | None:
        code = self._socket.close_code
        return None if code == 1000 else closure(code, self._socket.close_reason or "")

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
            case Ready():
                pass  # a second greeting says nothing new
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
        while context.full and not self._answers:
            self._room.clear()
            await self._room.wait()

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
            await asyncio.sleep(interval_s)
            now = self.now
            reports = [each.due_report(now) for each in self._contexts.values()]
            with suppress(ConnectionClosed):
                for report in reports:
                    if report is not None:
                        await self._socket.send(report)

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def _end(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._error = error
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
) -> AsyncIterator[Session]:
    """``async with connect(url) as session``: an open session that is closed at the end.

    ``url`` may be ``ws://``, ``http://`` or just ``host:port``, with or without ``/v1/speak``;
    ``queue_max`` bounds the events of a context that wait to be read.  Raises InvalidValue for a
    bad URL, Unauthorized, Unavailable and others as the gateway answers, ConnectionError if there
    is none.
    """
    session = await Session.open(
        url,
        api_key=api_key,
        open_timeout_s=open_timeout_s,
        reports_per_s=reports_per_s,
        answer_timeout_s=answer_timeout_s,
        queue_max=queue_max,
    )
    try:
        yield session
    finally:
        await session.close()


async def _open_socket(address: Address, api_key: str | None) -> ClientConnection:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
    try:
        socket = await connect_socket(
            address.websocket_url,
            subprotocols=[Subprotocol(PROTOCOL)],
            additional_headers=headers,
            compression=None,  # Opus does not compress; deflating it costs both ends
            max_size=MESSAGE_BYTES_MAX,
            open_timeout=None,
            close_timeout=5,
            proxy=None if address.loopback else True,
        )
    except InvalidStatus as error:
        raise refusal(address, error.response.status_code, error.response.reason_phrase) from error
    except InvalidHandshake as error:
        raise ConnectionError(f"{address.authority} opened no WebSocket: {error}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectionError(
            f"cannot connect to {address.authority}: {reason}; is the gateway running?"
        ) from error
    if socket.subprotocol != PROTOCOL:
        await socket.close()
        raise ConnectionError(f"{address.authority} does not speak {PROTOCOL}")
    return socket


async def _greeting(socket: ClientConnection) -> Ready:
    """The first message: ``ready``, or the error that comes in its place."""
    try:
        data = await socket.recv()
        message = parse_message(data) if isinstance(data, str) else None
    except ConnectionClosed:
        raise closure(socket.close_code, socket.close_reason or "") from None
    if isinstance(message, ServerError):
        raise message.exception()
    if not isinstance(message, Ready):
        raise ProtocolViolation("the gateway's first message was not 'ready'")
    if message.protocol != PROTOCOL:
        raise ProtocolViolation(f"the gateway speaks {message.protocol!r}, not {PROTOCOL}")
    return message


async def _close_socket(socket: ClientConnection, code: int = 1000, reason: str = "") -> None:
    """Close, reading on meanwhile: the gateway's close frame may lie behind unread audio."""
    drain = asyncio.create_task(_drain(socket))
    await socket.close(code, reason)
    await drain


async def _drain(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
