"""What espeak-ng is given to read, and which words of it the positions that it reports mean.

espeak (1.52) marks a word by the position where it begins, and does so in surprising ways:

    text     I paid 42 for one such as this
    marks    ^ ^    ^^ ^   ^   ^^      ^
                    "forty", then "two" one behind its start (or at the start once more)
                               two words that are one entry of its dictionary; of another
                               such entry, "of the", only the first is marked

Hence a word here is what lies between one *start* and the next.  Starts are where runs of text
begin that are separated by spaces or dashes, and, in Chinese and Japanese, wherever a mark falls.
Whatever text gets no mark belongs to the word before it, in whose time it is spoken.

Everything keeps the length of the text, so offsets need no translation.
"""

from __future__ import annotations

import re
from bisect import bisect_right

_RUN = re.compile(r"[^\s—–]+")
_SEPARATE_CHARACTERS = re.compile(
    r"[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_OPENING = "\"'“‘„‚«‹([{¿¡（「『【《〈"
_CLOSING = " \t\r\n\u00a0\u3000.,;:!?…\"'“”‘’»›)]}—–-。，、；：！？）」』】》〉"

_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters (NUL ends the text, U+0001 starts an espeak command) and lone surrogates."""

_TITLE = re.compile(r"(?<!\w)(Mr|Mrs|Ms|Mx|Dr|Prof|Rev|Gen|Col|Capt|Lt|Sgt|St|Mt|Nr|vs)\.(?=\s+\w)")
"""Abbreviations that do not end a sentence; espeak ends a clause at most, and rests 0.4 s."""

_PAUSE = frozenset(".,;:!?…—–。，、；：！？।؟،؛")


def prepare(spoken: str) -> str:
    """The text to hand to espeak, of the same length; empty if there is nothing but space."""
    text = _UNREADABLE.sub(" ", spoken)
    return _TITLE.sub(r"\1 ", text) if text.strip() else ""


def ends_with_pause(text: str) -> bool:
    """Whether the last character asks for a pause.

    Measured at a rate of 175: 150 ms after a comma, 226 after ``;:…—``, 301 after ``.?``, 339 after
    ``!``.  If asked to pause after a plain word, espeak rests 301 ms, which tears a sentence that
    is continued in the next chunk; and after ``."`` it rests 300 ms unasked, twice that if asked.
    """
    return text.rstrip()[-1:] in _PAUSE


class WordSpans:
    """Where the words of a text may begin, and where they end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._runs = [match.span() for match in _RUN.finditer(text)] or [(0, len(text))]
        self._run_starts = [start for start, _ in self._runs]

    def start_of(self, position: int) -> int:
        """Offset at which the word begins that espeak reports at ``position``."""
        position = min(position, len(self._text) - 1)
        if _SEPARATE_CHARACTERS.match(self._text, position):
            return position
        start, end = self._run_of(position)
        run = self._text[start:end]
        return end - (len(run.lstrip(_OPENING)) or len(run))

    def end_of(self, start: int, next_start: int) -> int:
        """Offset behind the last character of the word from ``start``, which another follows."""
        word = self._text[start:next_start]
        run_end = self._run_of(start)[1]
        return start + (len(word.rstrip(_CLOSING + _OPENING)) or min(run_end, next_start) - start)

    def _run_of(self, position: int) -> tuple[int, int]:
        """The run at ``position``; in a gap, the next one, if any, unless it is an expansion."""
        index = max(0, bisect_right(self._run_starts, position) - 1)
        start, end = self._runs[index]
        in_gap = position >= end and position != start + 1
        return self._runs[min(index + 1, len(self._runs) - 1)] if in_gap else (start, end)
