"""Three small state machines, as tables.

Why three: their product would have some 150 states, of which nobody could draw the diagram.  Each
table maps a state to the inputs it accepts and the state that follows.  ``docs/architecture.md``
shows diagrams generated from these tables by ``diagram``.

Which input a client may cause is checked first with ``allows`` (and answered with a
ProtocolViolation); an input that our own code fires without being allowed is a bug, hence an
assertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar


class SessionState(StrEnum):
    """States of a session."""

    CONNECTING = "connecting"
    READY = "ready"
    ACTIVE = "active"
    PARKED = "parked"
    CLOSING = "closing"
    CLOSED = "closed"


class SessionInput(StrEnum):
    """What moves a session."""

    ACCEPTED = "accepted"
    CONTEXT_OPENED = "context opened"
    LAST_CONTEXT_GONE = "last context gone"
    CLIENT_LOST = "client lost"
    RESUMED_IDLE = "resumed without context"
    RESUMED_ACTIVE = "resumed with contexts"
    CLOSE_ASKED = "close asked"
    ENDED = "ended"


class TextState(StrEnum):
    """States of the text side of a context."""

    EMPTY = "empty"
    OPEN = "open"
    ENDED = "ended"


class TextInput(StrEnum):
    """What moves the text side."""

    TEXT = "text"
    END = "end"
    CANCEL = "cancel"


class AudioState(StrEnum):
    """States of the audio side of a context, as the listener has it by our model."""

    SILENT = "silent"
    PREBUFFERING = "prebuffering"
    SPEAKING = "speaking"
    STARVED = "starved"
    DRAINING = "draining"
    DONE = "done"
    CANCELLED = "cancelled"


class AudioInput(StrEnum):
    """What moves the audio side."""

    FRAMES_SENT = "frames sent"
    PLAYOUT_BEGAN = "playout began"
    RAN_DRY = "ran dry"
    TALKSPURT_SENT = "talkspurt sent"
    PLAYED_OUT = "played out"
    ENDED = "ended"
    CANCEL = "cancel"
    RESTART = "restart"


S = TypeVar("S", bound=StrEnum)
I = TypeVar("I", bound=StrEnum)  # noqa: E741

_S, _T, _A = SessionState, TextState, AudioState

SESSION: Mapping[SessionState, Mapping[SessionInput, SessionState]] = {
    _S.CONNECTING: {SessionInput.ACCEPTED: _S.READY, SessionInput.ENDED: _S.CLOSED},
    _S.READY: {
        SessionInput.CONTEXT_OPENED: _S.ACTIVE,
        SessionInput.CLIENT_LOST: _S.PARKED,
        SessionInput.CLOSE_ASKED: _S.CLOSING,
        SessionInput.ENDED: _S.CLOSED,
    },
    _S.ACTIVE: {
        SessionInput.CONTEXT_OPENED: _S.ACTIVE,
        SessionInput.LAST_CONTEXT_GONE: _S.READY,
        SessionInput.CLIENT_LOST: _S.PARKED,
        SessionInput.CLOSE_ASKED: _S.CLOSING,
        SessionInput.ENDED: _S.CLOSED,
    },
    _S.PARKED: {
        SessionInput.RESUMED_IDLE: _S.READY,
        SessionInput.RESUMED_ACTIVE: _S.ACTIVE,
        SessionInput.LAST_CONTEXT_GONE: _S.PARKED,
        SessionInput.ENDED: _S.CLOSED,
    },
    _S.CLOSING: {
        SessionInput.LAST_CONTEXT_GONE: _S.CLOSING,
        SessionInput.ENDED: _S.CLOSED,
    },
    _S.CLOSED: {},
}

TEXT: Mapping[TextState, Mapping[TextInput, TextState]] = {
    _T.EMPTY: {
        TextInput.TEXT: _T.OPEN,
        TextInput.END: _T.ENDED,
        TextInput.CANCEL: _T.EMPTY,
    },
    _T.OPEN: {
        TextInput.TEXT: _T.OPEN,
        TextInput.END: _T.ENDED,
        TextInput.CANCEL: _T.EMPTY,
    },
    _T.ENDED: {TextInput.CANCEL: _T.ENDED},
}

AUDIO: Mapping[AudioState, Mapping[AudioInput, AudioState]] = {
    _A.SILENT: {
        AudioInput.FRAMES_SENT: _A.PREBUFFERING,
        # A report shows that a listener whom we thought silent still plays the last talkspurt.
        AudioInput.PLAYOUT_BEGAN: _A.DRAINING,
        AudioInput.ENDED: _A.DONE,
        AudioInput.CANCEL: _A.CANCELLED,
    },
    _A.PREBUFFERING: {
        AudioInput.PLAYOUT_BEGAN: _A.SPEAKING,
        AudioInput.CANCEL: _A.CANCELLED,
    },
    _A.SPEAKING: {
        AudioInput.RAN_DRY: _A.STARVED,
        AudioInput.TALKSPURT_SENT: _A.DRAINING,
        AudioInput.CANCEL: _A.CANCELLED,
    },
    _A.STARVED: {
        AudioInput.FRAMES_SENT: _A.PREBUFFERING,
        AudioInput.PLAYOUT_BEGAN: _A.SPEAKING,
        AudioInput.CANCEL: _A.CANCELLED,
    },
    _A.DRAINING: {
        AudioInput.FRAMES_SENT: _A.PREBUFFERING,
        AudioInput.PLAYED_OUT: _A.SILENT,
        AudioInput.CANCEL: _A.CANCELLED,
    },
    _A.DONE: {},
    _A.CANCELLED: {AudioInput.RESTART: _A.SILENT, AudioInput.ENDED: _A.DONE},
}


class Machine(Generic[S, I]):
    """A state and the table that moves it."""

    __slots__ = ("_table", "state")

    def __init__(self, table: Mapping[S, Mapping[I, S]], state: S) -> None:
        self._table = table
        self.state = state

    def allows(self, given: I) -> bool:
        """Whether ``given`` is legal in the present state."""
        return given in self._table[self.state]

    def fire(self, given: I) -> bool:
        """Move; returns whether the state changed.  An illegal input is our own bug."""
        following = self._table[self.state].get(given)
        assert following is not None, f"{given!r} is illegal in state {self.state!r}"
        changed = following is not self.state
        self.state = following
        return changed


def diagram(table: Mapping[S, Mapping[I, S]]) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, inputs in table.items():
        lines += [f"    {state} --> {after}: {given}" for given, after in inputs.items()]
        if not inputs:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
