"""Builds spoken text and its alignment, one word or mark at a time.

Words are separated by single spaces; marks that carry prosody stick to the word before them.  Of
several marks in a row the strongest stays ("?!" is a question, "),." a full stop).
"""

from __future__ import annotations

from gateway.synthesis import Alignment

_STRENGTH = {
    mark: i
    for i, marks in enumerate((",،、，", ":：", ";；؛", "—", ".", "…", "!！", "?؟？"))
    for mark in marks
}
_STRENGTH.update(dict.fromkeys("。｡।॥۔։።", _STRENGTH["."]))
_SENTENCE_STRENGTH = _STRENGTH[":"]

MARKS = frozenset(_STRENGTH)
"""Marks that stay in the spoken text."""


class Spoken:
    """Collects runs; ``result`` gives the text and its alignment."""

    __slots__ = ("_alignment", "_length", "_mark", "_parts", "_space")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._alignment: list[Alignment] = []
        self._length = 0
        self._mark = ""
        self._space = False

    def word(self, words: str, source_start: int, source_end: int) -> None:
        """Append a run that stands for ``source[source_start:source_end]``."""
        self._flush_mark()
        if self._space and self._parts:
            self._append(" ")
        start = self._length
        self._append(words)
        self._alignment.append(Alignment(start, self._length, source_start, source_end))
        self._space = False

    def space(self) -> None:
        """Separate what follows from what was said."""
        self._space = True

    def mark(self, mark: str) -> None:
        """Append one of ``MARKS``; at the beginning there is nothing that it could follow."""
        if self._alignment and (not self._mark or _STRENGTH[mark] > _STRENGTH[self._mark]):
            self._mark = mark

    def break_sentence(self) -> None:
        """A block ended: let it be heard even if no mark says so."""
        if _STRENGTH.get(self._mark, -1) < _SENTENCE_STRENGTH:
            self.mark(".")
        self.space()

    def result(self) -> tuple[str, tuple[Alignment, ...]]:
        """Spoken text and alignment; both empty if there is no word."""
        self._flush_mark()
        return "".join(self._parts), tuple(self._alignment)

    def _flush_mark(self) -> None:
        if self._mark:
            self._append(f" {self._mark}" if self._mark == "—" else self._mark)
            self._space = self._space or self._mark.isascii() or self._mark in "—…"
            self._mark = ""

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
