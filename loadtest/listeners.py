"""Many clients in one process that must not be the limit: plain sockets, one epoll, no event loop.

    t = 0      ramp                settle        window                tail
    connected ├── sessions start ─┼─────────────┼─────────────────────┼────┤ sockets close
                                        SETTLED ▲ BEGAN          ENDED ▲

When a message arrives is told by the kernel (line.py).  How late it was read is measured as well,
to show that this process was no bottleneck.
"""

from __future__ import annotations

import heapq
import json
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import count
from multiprocessing.connection import Connection

from gateway.wire.audio_header import AudioHeader
from loadtest import websocket
from loadtest.cadence import Arrival, Cadence, Player
from loadtest.line import Line, clock_difference_ns
from loadtest.statistics import Spread, spread

_CONNECT_TIMEOUT_S = 10.0


class Moment(Enum):
    """What the listeners tell while they listen."""

    SETTLED = "everybody plays; the window begins after ``warning_s``"
    BEGAN = "the window begins"
    ENDED = "the window is over"


@dataclass(frozen=True, slots=True)
class Caller:
    """One session: when it starts, and what it says then."""

    path: str
    start_s: float
    opening: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the listeners do; times as in the module's picture."""

    host: str
    port: int
    subprotocol: str | None
    callers: tuple[Caller, ...]
    cadence: Cadence
    begin_s: float
    window_s: float
    warning_s: float
    tail_s: float
    reports_per_s: float


@dataclass(slots=True)
class Heard:
    """One session's audio; ``messages[i]`` are the bytes that came as ``arrivals[i]``."""

    arrivals: list[Arrival] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All sessions, the window on the monotonic clock, and how this process did."""

    heard: tuple[Heard, ...]
    begin_s: float
    end_s: float
    cpu_s: float
    reading_delay_s: Spread


def run(pipe: Connection, plan: Plan) -> None:
    """Listen as ``plan`` says; sends a Moment at each moment, and a Report in the end."""
    room = _Room(pipe, plan)
    try:
        room.listen()
    finally:
        room.close()
    pipe.send(room.report())


class _Listener:
    """One session's socket."""

    __slots__ = ("_player", "heard", "line")

    def __init__(self, line: Line, cadence: Cadence) -> None:
        self.line = line
        self.heard = Heard()
        self._player = Player(cadence)

    def say(self, message: str) -> None:
        """Send a text message."""
        try:
            self.line.say(message)
        except OSError as error:
            self.heard.problem = f"nothing can be sent: {error}"

    def read(self, difference_ns: int) -> bool:
        """Take what arrived; whether more may come."""
        try:
            for opcode, payload in self.line.read(difference_ns):
                self._take(opcode, payload, self.line.at_s)
        except OSError as error:
            self.heard.problem = str(error)
            return False
        return True

    def report(self, now: float) -> str | None:
        """A receiver report; None while nothing sounds."""
        if not self._player.playing:
            return None
        played = self._player.played_samples(now)
        return json.dumps({"type": "report", "played_samples": played})

    def _take(self, opcode: int, payload: bytes, at_s: float) -> None:
        if opcode == websocket.BINARY:
            header, frames = AudioHeader.unpack(payload)
            duration = header.frame_duration_samples * frames
            arrival = Arrival(at_s, header.timestamp, duration)
            self.heard.arrivals.append(arrival)
            self.heard.messages.append(payload)
            self._player.receive(arrival)
        elif opcode == websocket.TEXT:
            self.heard.texts.append(payload)
        elif opcode == websocket.CLOSE:
            self.heard.problem = f"the server closed with {payload!r}"


class _Room:
    """All listeners, and the agenda of what happens when."""

    def __init__(self, pipe: Connection, plan: Plan) -> None:
        self._pipe = pipe
        self._plan = plan
        self._poll = select.epoll()
        self._listeners: dict[int, _Listener] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._delays_s: list[float] = []
        self._in_window = False
        self._over = False
        self._window = (0.0, 0.0)
        self._cpu_s = 0.0

    def listen(self) -> None:
        """Connect everybody, then follow the agenda to its end."""
        ordered = [self._connect(caller) for caller in self._plan.callers]
        self._write_agenda(ordered, time.monotonic())
        while not self._over:
            self._wait()

    def close(self) -> None:
        """Close all sockets."""
        for listener in self._listeners.values():
            listener.line.close()
        self._poll.close()

    def report(self) -> Report:
        """What was heard."""
        return Report(
            heard=tuple(listener.heard for listener in self._listeners.values()),
            begin_s=self._window[0],
            end_s=self._window[1],
            cpu_s=self._cpu_s,
            reading_delay_s=spread(self._delays_s or [0.0]),
        )

    def _connect(self, caller: Caller) -> _Listener:
        plan = self._plan
        connection, received = websocket.connect(
            plan.host, plan.port, caller.path, plan.subprotocol, _CONNECT_TIMEOUT_S
        )
        listener = _Listener(Line(connection, received), plan.cadence)
        self._listeners[connection.fileno()] = listener
        self._poll.register(connection.fileno(), select.EPOLLIN)
        return listener

    def _write_agenda(self, listeners: list[_Listener], zero: float) -> None:
        plan = self._plan
        for listener, caller in zip(listeners, plan.callers, strict=True):
            self._at(zero + caller.start_s, partial(_start, listener, caller))
            if plan.reports_per_s:
                self._report_from(listener, zero + caller.start_s + 1 / plan.reports_per_s)
        begin = zero + plan.begin_s
        self._at(begin - plan.warning_s, lambda: self._pipe.send(Moment.SETTLED))
        self._at(begin, self._begin)
        self._at(begin + plan.window_s, self._end)
        self._at(begin + plan.window_s + plan.tail_s, self._finish)

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), action))

    def _report_from(self, listener: _Listener, when: float) -> None:
        def report() -> None:
            message = listener.report(time.monotonic())
            if message is not None:
                listener.say(message)
            self._report_from(listener, when + 1 / self._plan.reports_per_s)

        self._at(when, report)

    def _wait(self) -> None:
        ready = self._poll.poll(max(0.0, self._agenda[0][0] - time.monotonic()))
        difference_ns = clock_difference_ns()
        for number, _ in ready:
            listener = self._listeners[number]
            if not listener.read(difference_ns):
                self._poll.unregister(number)
            elif self._in_window:
                self._delays_s.append(listener.line.delay_s)
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()

    def _begin(self) -> None:
        self._pipe.send(Moment.BEGAN)
        self._in_window = True
        self._window = (time.monotonic(), 0.0)
        self._cpu_s = -time.process_time()

    def _end(self) -> None:
        self._cpu_s += time.process_time()
        self._window = (self._window[0], time.monotonic())
        self._in_window = False
        self._pipe.send(Moment.ENDED)

    def _finish(self) -> None:
        self._over = True


def _start(listener: _Listener, caller: Caller) -> None:
    for message in caller.opening:
        listener.say(message)
