"""Which flushes have been answered.  Pure.

A flush is answered once all audio of the text before it was sent.  Audio leaves in order, so it is
enough to know at which text offset each talkspurt ends that was not sent whole:

    text      A ────────| flush at 12    B ─────| flush at 20
    audio     talkspurt ends at 12       talkspurt ends at 20
    sent      last frame of the first ─► the flush at 12 is answered
"""

from __future__ import annotations

from collections import deque


class Flushes:
    """The flushes of one generation; offsets count characters of its text."""

    __slots__ = ("_asked", "_ends")

    def __init__(self) -> None:
        self._asked: deque[int] = deque()
        self._ends: deque[int] = deque()

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, offset: int) -> None:
        """A flush came after ``offset`` characters."""
        self._asked.append(offset)

    def finish_talkspurt(self, offset: int) -> None:
        """A talkspurt ends at ``offset``; its last frame is still to be sent."""
        self._ends.append(offset)

    def talkspurt_sent(self) -> int:
        """The last frame of the oldest talkspurt left; returns how many flushes it answers."""
        return self.answer(self._ends.popleft())

    def answer(self, offset: int) -> int:
        """Everything before ``offset`` was sent; returns how many flushes that answers."""
        answered = 0
        while self._asked and self._asked[0] <= offset:
            self._asked.popleft()
            answered += 1
        return answered
