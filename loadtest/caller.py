"""One caller: follows its script, plays what it hears in a true jitter buffer, notes everything.

    script ──► handle_timer ──► outputs (messages)         ──► socket
    socket ──► receive_text, receive_audio ──► jitter buffer ──► Answer

A machine as the gateway's own are: it gets ``now`` (seconds after the run's zero), waits for
nothing and does no I/O.  What it wants of its shell (callers.py): ``outputs`` to be sent,
``wish`` to be granted, and ``handle_timer`` at ``next_timer``.  Times never run backwards for its
players: an arrival that the kernel stamped before our last act counts as simultaneous with it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import count
from math import inf
from typing import Any

import orjson

from loadtest.listening import Listening
from loadtest.outcome import Answer, Fate, Life
from loadtest.script import Script, Turn

REPORTS_PER_S = 4.0
_ERRORS_KEPT = 20


class Wish(Enum):
    """What a caller wants done with its connection."""

    CONNECT = "open one"
    CUT = "break it without a word"
    LEAVE = "say goodbye and close it"


class Caller:
    """A caller that keeps the audio of whole answers if it ``keeps_audio``."""

    def __init__(self, script: Script, *, keeps_audio: bool = False) -> None:
        self.outputs: list[str] = []
        self.wish: Wish | None = None
        self.gone = False
        self._script = script
        self._keeps_audio = keeps_audio
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._now = -inf
        self._asked_s = 0.0
        self._ready = False
        self._connecting = False
        self._prebuffer_samples = 0
        self._unsent: list[str] = []
        self._turns: dict[str, Listening] = {}
        self._by_number: dict[int, Listening] = {}
        self._answers: list[Answer] = []
        self._connects: list[tuple[float, float]] = []
        self._errors: list[str] = []
        self._write_agenda()

    # ── what the shell asks ────────────────────────────────────────────────────────────────────

    def next_timer(self) -> float | None:
        """When something is due; None if nothing ever is."""
        return self._agenda[0][0] if self._agenda and not self.gone else None

    def handle_timer(self, now: float) -> None:
        """Do one thing that is due: the earliest."""
        self._move_to(now)
        heapq.heappop(self._agenda)[2](self._now)

    def connected(self) -> None:
        """The handshake is done; ``ready`` follows."""
        self._connecting = True

    def disconnected(self, reason: str, now: float) -> None:
        """The connection is gone, or never came, by no wish of ours."""
        self._move_to(now)
        if not self._turns:
            self._note(reason)
        self._finish_all(Fate.FAILED, reason)
        self._lose_connection()

    def receive_audio(self, data: bytes, now: float) -> None:
        """A binary message; raises ProtocolViolation if it can't be one of voice.v1."""
        self._move_to(now)
        number = int.from_bytes(data[2:4], "little")
        listening = self._by_number.get(number)
        if listening is not None:
            listening.receive_audio(data, self._now)

    def receive_text(self, data: bytes, now: float) -> None:
        """A text message; raises ValueError or KeyError if it is none of voice.v1."""
        self._move_to(now)
        message: dict[str, Any] = orjson.loads(data)
        kind = message["type"]
        if kind == "ready":
            self._begin_session(message)
        elif kind == "error":
            self._receive_error(message)
        elif (listening := self._turns.get(message.get("context", ""))) is not None:
            if kind == "started":
                listening.begin(message, self._prebuffer_samples)
                self._by_number[listening.context_number] = listening
            else:
                listening.receive_message(kind, message, self._now)
            if listening.over:
                self._finish(listening, listening.fate)

    def finish(self, now: float) -> None:
        """The run is over."""
        self._move_to(now)
        if not self.gone:
            self._finish_all(Fate.LEFT, "")
            self.gone = True

    def life(self) -> Life:
        """Everything that was noted."""
        return Life(
            self._script.session,
            self._script.arrive_s,
            min(self._now, self._script.leave_s),
            tuple(self._connects),
            tuple(self._errors),
            tuple(self._answers),
        )

    # ── the script ─────────────────────────────────────────────────────────────────────────────

    def _write_agenda(self) -> None:
        script = self._script
        self._at(script.arrive_s, self._connect)
        self._at(script.leave_s, self._leave)
        for cut_s in script.cuts_s:
            self._at(cut_s, self._cut)
        for turn in script.turns:
            self._at(turn.request_s, partial(self._request, turn))

    def _at(self, when: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), action))

    def _connect(self, now: float) -> None:
        if not self._ready and not self._connecting:
            self.wish = Wish.CONNECT
            self._connecting = True
            self._asked_s = now

    def _leave(self, now: float) -> None:
        self._finish_all(Fate.LEFT, "")
        self.gone = True
        self.wish = Wish.LEAVE

    def _cut(self, now: float) -> None:
        if self._ready:
            self._finish_all(Fate.CUT, "")
            self._lose_connection()
            self.wish = Wish.CUT
            self._at(now, self._connect)

    def _request(self, turn: Turn, now: float) -> None:
        self._connect(now)  # if the last connection was lost
        listening = Listening(self._script.session, turn, whole=self._keeps_audio)
        self._turns[listening.context] = listening
        self._send(listening.start_message())
        self._at(turn.tokens[0].at_s, partial(self._say, listening, 0))
        self._at(now + 1 / REPORTS_PER_S, partial(self._report, listening))
        if turn.barge_in_s is not None:
            self._at(turn.barge_in_s, partial(self._interrupt, listening))

    def _say(self, listening: Listening, index: int, now: float) -> None:
        tokens = listening.turn.tokens
        if listening.over or listening.interruption is not None:
            return
        self._send(listening.message("text", text=tokens[index].text))
        if index + 1 < len(tokens):
            self._at(tokens[index + 1].at_s, partial(self._say, listening, index + 1))
        else:
            listening.ended = True
            self._send(listening.message("end"))

    def _report(self, listening: Listening, now: float) -> None:
        if listening.over:
            return
        report = listening.report(now)
        if report is not None:
            self._send(report)
        self._at(now + 1 / REPORTS_PER_S, partial(self._report, listening))

    def _interrupt(self, listening: Listening, now: float) -> None:
        message = listening.interrupt(now)
        if message is not None:
            self._send(message)
            if not listening.ended:
                self._send(listening.message("end"))

    # ── the session ────────────────────────────────────────────────────────────────────────────

    def _begin_session(self, message: dict[str, Any]) -> None:
        self._ready = True
        self._connecting = False
        self._prebuffer_samples = int(message["prebuffer_samples"])
        self._connects.append((self._asked_s, self._now))
        self.outputs += self._unsent
        self._unsent.clear()

    def _receive_error(self, message: dict[str, Any]) -> None:
        code, context = message["code"], message.get("context")
        listening = self._turns.get(context) if context else None
        if listening is not None and listening.interruption is None:
            self._finish(listening, Fate.FAILED, code)
        elif context is None:
            self._note(code)
        # Else a report or a cancel crossed the end of its context on the wire: no fault.

    def _send(self, message: str) -> None:
        (self.outputs if self._ready else self._unsent).append(message)

    def _lose_connection(self) -> None:
        self._ready = self._connecting = False
        self.outputs.clear()
        self._unsent.clear()

    def _finish_all(self, fate: Fate, error: str) -> None:
        for listening in list(self._turns.values()):
            self._finish(listening, fate, error)

    def _finish(self, listening: Listening, fate: Fate, error: str = "") -> None:
        del self._turns[listening.context]
        self._by_number.pop(listening.context_number, None)
        self._answers.append(listening.finish(fate, error, self._now))

    def _note(self, error: str) -> None:
        if len(self._errors) < _ERRORS_KEPT:
            self._errors.append(error)

    def _move_to(self, now: float) -> None:
        self._now = max(self._now, now)
