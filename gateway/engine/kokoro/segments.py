"""Spoken text cut into words, marks and clauses, each word with its place in the text.

    Well, yes — it is "1 000 km" away.
    └──┘  └─┘   └┘ └┘   └─────┘ └──┘     words; espeak reads a clause at a time
        ,     —       “            .      marks with a token; the model pauses there

A word is what lies between spaces and dashes, without the marks at its ends: the marks inside
"3.5" or "U.S" belong to it.  Groups of digits with spaces are one word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RUN = re.compile(r"[\"“«(]*\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)|[—–…]|[^\s—–…]+")

_MARKS = {
    "–": "—",
    "。": ".",
    "।": ".",
    "、": ",",
    "，": ",",
    "،": ",",
    "！": "!",
    "？": "?",
    "؟": "?",
    "；": ";",
    "؛": ";",
    "：": ":",
    "«": "“",
    "»": "”",
    "（": "(",
    "）": ")",
} | {mark: mark for mark in ';:,.!?—…"()“”'}
"""Characters that are spoken as a pause or tone, and the symbol of each."""

_OPENING = '"“”„‚«»‹([{¿¡‘（「『【《〈'
_CLOSING = '.,;:!?"“”’»›)]}。।、，،！？؟；؛：）」』】》〉'
_REPEATS_MAX = 3
"""Of one mark in a row: "!!!!!!" is no more urgent to the model, and costs tokens."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word to be phonemised: ``spoken[start:end]``."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A punctuation mark, by its symbol."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Space:
    """Space between words or marks."""


Segment = Word | Mark | Space


def segment(spoken: str) -> list[Segment]:
    """``spoken`` as words, marks and single spaces, in order."""
    segments: list[Segment] = []
    end = 0
    for match in _RUN.finditer(spoken):
        if segments and match.start() > end:
            segments.append(Space())
        segments += _cut(match.group(), match.start())
        end = match.end()
    return _without_repeats(segments)


def clauses(segments: list[Segment]) -> list[list[Word]]:
    """The words between one mark and the next, which espeak should see together."""
    found: list[list[Word]] = [[]]
    for each in segments:
        if isinstance(each, Word):
            found[-1].append(each)
        elif isinstance(each, Mark):
            found.append([])
    return [words for words in found if words]


def _cut(run: str, start: int) -> list[Segment]:
    if not run.strip("-"):
        return [Mark("—")]
    if run in _MARKS:
        return _marks(run)
    opening = len(run) - len(run.lstrip(_OPENING))
    body = run[opening:]
    if body.startswith("'") and body.count("'") > 1:  # 'quoted', but not 'cause
        opening, body = opening + 1, body[1:]
    word = body.rstrip(_CLOSING + "'")
    segments: list[Segment] = _marks(run[:opening])
    if word:
        segments.append(Word(word, start + opening, start + opening + len(word)))
    return segments + _marks(body[len(word) :])


def _marks(characters: str) -> list[Segment]:
    return [Mark(_MARKS[character]) for character in characters if character in _MARKS]


def _without_repeats(segments: list[Segment]) -> list[Segment]:
    kept: list[Segment] = []
    for each in segments:
        if isinstance(each, Mark) and kept[-_REPEATS_MAX:] == [each] * _REPEATS_MAX:
            continue
        kept.append(each)
    return kept
