"""Many callers in one process: plain sockets, one epoll, one agenda.  The shell around caller.py.

    agenda ──► callers ──► sockets          connecting: a few threads, so that a server that is
    epoll  ──► callers                      slow to accept delays nobody else

The generator must not be what limits a run, so it measures itself: how late each scheduled act
began, how long messages lay in the kernel before they were read, and what CPU it took.
"""

from __future__ import annotations

import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from gateway.errors import ProtocolViolation
from loadtest import websocket
from loadtest.caller import Caller, Wish
from loadtest.line import Line, clock_difference_ns
from loadtest.outcome import Life
from loadtest.script import Script
from loadtest.statistics import Values

_CONNECT_TIMEOUT_S = 10.0
_CONNECTING_MAX = 16
_PROGRESS_S = 1.0
_ACTS_IN_A_ROW = 64
"""Due acts between two looks at the sockets, so that neither starves the other."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server; ``headers`` are whole lines, such as a key."""

    host: str
    port: int
    secure: bool = False
    path: str = "/v1/speak"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does: its scripts, from ``zero_s`` (monotonic clock) until ``end_s`` later.

    Every ``whole_every``-th session keeps the audio of its answers; 0: none does.
    """

    target: Target
    scripts: tuple[Script, ...]
    zero_s: float
    end_s: float
    whole_every: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is."""

    at_s: float
    connected: int
    callers: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a process brings home; ``lateness_s`` of each scheduled act, ``reading_s`` of each read.

    ``cpu_s`` is of this process, all its threads.
    """

    lives: tuple[Life, ...]
    lateness_s: Values
    reading_s: Values
    cpu_s: float


def run(pipe: Connection, task: Task) -> None:
    """Do ``task``; sends a Progress each second, and a Report in the end."""
    switchboard = _Switchboard(pipe, task)
    try:
        switchboard.run()
    finally:
        switchboard.close()
    pipe.send(switchboard.report())


class _Switchboard:
    def __init__(self, pipe: Connection, task: Task) -> None:
        self._pipe = pipe
        self._task = task
        self._callers = [
            Caller(
                script,
                keeps_audio=bool(task.whole_every) and script.session % task.whole_every == 0,
            )
            for script in task.scripts
        ]
        self._poll = select.epoll()
        self._lines: dict[int, tuple[Line, Caller]] = {}
        self._line_of: dict[int, Line] = {}
        self._connector = ThreadPoolExecutor(_CONNECTING_MAX)
        self._opened: deque[tuple[Caller, Line | str]] = deque()
        self._bell, self._bell_rope = os.pipe()
        os.set_blocking(self._bell, False)
        self._poll.register(self._bell, select.EPOLLIN)
        self._agenda: list[tuple[float, int]] = []
        self._next_progress_s = 0.0
        self._lateness_s: list[float] = []
        self._reading_s: list[float] = []

    def run(self) -> None:
        """From zero to the end."""
        for number, caller in enumerate(self._callers):
            self._arm(number, caller)
        while (now := self._now()) < self._task.end_s:
            self._act(now)
            self._read(self._wait_s())
            self._tell_progress()
        for caller in self._callers:
            caller.finish(self._now())

    def close(self) -> None:
        """Close every socket."""
        self._connector.shutdown(wait=True, cancel_futures=True)
        for line, _ in self._lines.values():
            line.close()
        for _, opened in self._opened:
            if isinstance(opened, Line):
                opened.close()
        self._poll.close()
        os.close(self._bell)
        os.close(self._bell_rope)

    def report(self) -> Report:
        """Everything, once ``run`` is over."""
        return Report(
            tuple(caller.life() for caller in self._callers),
            np.asarray(self._lateness_s),
            np.asarray(self._reading_s),
            time.process_time(),
        )

    def _now(self) -> float:
        return time.monotonic() - self._task.zero_s

    def _arm(self, number: int, caller: Caller) -> None:
        due = caller.next_timer()
        if due is not None:
            heapq.heappush(self._agenda, (due, number))

    def _act(self, now: float) -> None:
        for _ in range(_ACTS_IN_A_ROW):
            if not self._agenda or self._agenda[0][0] > now:
                return
            due, number = heapq.heappop(self._agenda)
            caller = self._callers[number]
            if caller.next_timer() != due:
                self._arm(number, caller)
                continue
            line = self._line_of.get(id(caller))
            if line is not None:
                self._hear(line, caller, clock_difference_ns())
            now = self._now()
            self._lateness_s.append(now - due)
            caller.handle_timer(now)
            self._serve(caller)
            self._arm(number, caller)

    def _wait_s(self) -> float:
        due = self._agenda[0][0] if self._agenda else self._task.end_s
        return max(0.0, min(due, self._task.end_s, self._next_progress_s) - self._now())

    def _read(self, wait_s: float) -> None:
        ready = self._poll.poll(wait_s)
        difference_ns = clock_difference_ns()
        for number, _ in ready:
            if number == self._bell:
                os.read(self._bell, 4096)
            elif number in self._lines:
                line, caller = self._lines[number]
                self._hear(line, caller, difference_ns)
                self._serve(caller)
        while self._opened:
            caller, opened = self._opened.popleft()
            self._welcome(caller, opened)

    def _hear(self, line: Line, caller: Caller, difference_ns: int) -> None:
        self._guard(line, caller, lambda: line.read(difference_ns))
        if line.delay_s:
            self._reading_s.append(line.delay_s)

    def _guard(
        self, line: Line, caller: Caller, read: Callable[[], list[tuple[int, bytes]]]
    ) -> None:
        """Hand the caller what ``read`` gives; what is no voice.v1 ends the connection."""
        try:
            messages = read()
            at = line.at_s - self._task.zero_s
            for opcode, payload in messages:
                if opcode == websocket.BINARY:
                    caller.receive_audio(payload, at)
                elif opcode == websocket.TEXT:
                    caller.receive_text(payload, at)
                elif opcode == websocket.CLOSE:
                    raise ConnectionError(f"closed with {int.from_bytes(payload[:2], 'big')}")
        except (OSError, ProtocolViolation, ValueError, KeyError) as error:
            self._hang_up(line, caller, f"{type(error).__name__}: {error}")

    def _hang_up(self, line: Line, caller: Caller, reason: str) -> None:
        self._forget(caller)
        line.close()
        caller.disconnected(reason, self._now())

    def _serve(self, caller: Caller) -> None:
        """Send what the caller says and grant what it wishes."""
        line = self._line_of.get(id(caller))
        if line is not None:
            try:
                for message in caller.outputs:
                    line.say(message)
            except OSError as error:
                self._hang_up(line, caller, f"nothing can be sent: {error}")
                line = None
            caller.outputs.clear()
        wish, caller.wish = caller.wish, None
        if wish is Wish.CONNECT:
            self._connector.submit(self._open, caller)
        elif wish is not None and line is not None:
            self._forget(caller)
            if wish is Wish.CUT:
                line.cut()
            else:
                line.close()

    def _open(self, caller: Caller) -> None:
        """In a thread: connect, then wake the loop."""
        target = self._task.target
        opened: Line | str
        try:
            opened = Line(
                *websocket.connect(
                    target.host,
                    target.port,
                    target.path,
                    "voice.v1",
                    _CONNECT_TIMEOUT_S,
                    headers=target.headers,
                    secure=target.secure,
                )
            )
        except OSError as error:
            opened = f"no connection: {error}"
        self._opened.append((caller, opened))
        os.write(self._bell_rope, b"!")

    def _welcome(self, caller: Caller, opened: Line | str) -> None:
        if isinstance(opened, str):
            caller.disconnected(opened, self._now())
            return
        if caller.gone:
            opened.close()
            return
        self._lines[opened.connection.fileno()] = (opened, caller)
        self._line_of[id(caller)] = opened
        self._poll.register(opened.connection.fileno(), select.EPOLLIN)
        caller.connected()
        self._guard(opened, caller, opened.early)
        self._serve(caller)

    def _forget(self, caller: Caller) -> None:
        line = self._line_of.pop(id(caller))
        number = line.connection.fileno()
        del self._lines[number]
        self._poll.unregister(number)

    def _tell_progress(self) -> None:
        now = self._now()
        if now >= self._next_progress_s:
            self._next_progress_s = now + _PROGRESS_S
            gone = sum(caller.gone for caller in self._callers)
            here = len(self._callers) - gone
            self._pipe.send(Progress(now, len(self._lines), here))
