"""A bounded log of what happened, as JSON lines (the idea of qlog, draft-ietf-quic-qlog).

One vocabulary serves the unit tests, the simulator, the demo's timeline and the dump that is
written when a session fails.  A record is (time, name, fields).  The names are the members of
``Event``; nothing per frame is recorded, so that the hot path pays nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import orjson

Field = str | int | float | bool | None


class Event(StrEnum):
    """Everything that may appear in a trace."""

    SESSION_STATE = "session_state"
    TEXT_STATE = "text_state"
    AUDIO_STATE = "audio_state"
    CHUNK_REQUESTED = "chunk_requested"
    CHUNK_STARTED = "chunk_started"
    CHUNK_FINISHED = "chunk_finished"
    FIRST_AUDIO = "first_audio"
    UNDERRUN = "underrun"
    REPORT = "report"
    CANCELLED = "cancelled"
    WARNING = "warning"
    ERROR = "error"


class Record(NamedTuple):
    """One event; ``time`` is in loop seconds."""

    time: float
    event: Event
    fields: dict[str, Field]


Observer = Callable[[Record], None]
"""Sees each record as it is added; metrics are fed this way."""


class Trace:
    """The last ``records_max`` events of one session."""

    __slots__ = ("_observer", "_records")

    def __init__(self, records_max: int = 512, observer: Observer | None = None) -> None:
        self._records: deque[Record] = deque(maxlen=records_max)
        self._observer = observer

    def add(self, now: float, event: Event, **fields: Field) -> None:
        """Record ``event`` as having happened at ``now``."""
        record = Record(now, event, fields)
        self._records.append(record)
        if self._observer is not None:
            self._observer(record)

    def trim(self, newest: int) -> None:
        """Forget all but the ``newest`` records."""
        while len(self._records) > newest:
            self._records.popleft()

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def to_json_lines(self) -> str:
        """One JSON object a line, oldest first."""
        return "".join(
            orjson.dumps({"t": r.time, "event": r.event.value, **r.fields}).decode() + "\n"
            for r in self._records
        )
