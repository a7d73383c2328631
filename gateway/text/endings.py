"""What does white space behind this token mean?

A token is a run without white space.  Its last characters nearly always tell ("word," ends a
clause, "Dr." ends nothing); where they do not, the answer names the one question that the next word
will settle.  Kinds are ordered: a cut that suits CLAUSE suits SENTENCE too.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import NamedTuple

from gateway.text.abbreviations import MONTHS, Abbreviations
from gateway.text.characters import (
    DASHES,
    LONG_DASHES,
    OPENERS,
    SENTENCE_MARKS,
    WIDE_CLAUSE,
    is_closer,
    is_wide,
)


class Kind(IntEnum):
    """How good a place for a cut is.

    WEAK is white space inside something that should stay whole ("March 3", "5 km", a code span):
    used only when a chunk would be too long.  FENCE is an edge of fenced code: always cut.
    """

    WEAK = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    FENCE = 5


class Question(Enum):
    """What the next word must tell before more is known."""

    NONE = auto()
    IS_STARTER = auto()
    """Is it a word that begins sentences?  Then the full stop was one."""
    IS_NO_NUMBER = auto()
    """Is it something else than a number?"""


class Ending(NamedTuple):
    """``kind`` holds in any case; ``kind_if`` if the answer to ``question`` is yes."""

    kind: Kind
    question: Question = Question.NONE
    kind_if: Kind = Kind.WEAK


_WEAK = Ending(Kind.WEAK)
_WORD = Ending(Kind.WORD)
_CLAUSE = Ending(Kind.CLAUSE)
_SENTENCE = Ending(Kind.SENTENCE)


def token_ending(token: str, previous: str, rules: Abbreviations) -> Ending:
    """The meaning of white space behind ``token``, whose predecessor ended in ``previous``.

    ``token`` may be cut short at its front; ``previous`` is one character, "" at a line's start.
    """
    core = strip_closers(token)
    if not core:
        return _WORD
    last = core[-1]
    if last == "…" or core.endswith(".."):
        return _CLAUSE
    if last == ".":
        return _full_stop(core[:-1].lstrip(OPENERS), previous, rules)
    if last in SENTENCE_MARKS:
        return _SENTENCE
    if last == ",":
        digit = core[-2:-1].isdigit()
        return Ending(Kind.WEAK, Question.IS_NO_NUMBER, Kind.CLAUSE) if digit else _CLAUSE
    if last in ";:" or last in WIDE_CLAUSE:
        return _CLAUSE
    if last in DASHES:
        return _dash(core, previous)
    if last.isdigit() or last in "$€£¥#&" or core.casefold() in MONTHS:
        return _WEAK
    return _WORD


def ends_speech(token: str, previous: str, rules: Abbreviations) -> bool:
    """Whether a stalled text that ends in ``token`` may be spoken to its end.

    Only if a mark shows that the word is complete and that no address, number or abbreviation is
    under way.
    """
    core = strip_closers(token)
    if len(core) < 2 or (core[-1] in ".,:;" and core[-2].isdigit()):
        return False
    if core[-1] in DASHES and core[-1] not in LONG_DASHES:
        return False
    if core[-1] in ".:" and any(char in ".:/@" for char in core[:-1]):
        return core.endswith("..")
    ending = token_ending(token, previous, rules)
    return ending.kind >= Kind.CLAUSE


def strip_closers(token: str) -> str:
    """``token`` without the quotes, brackets, emphasis and emoji behind its last mark."""
    end = len(token)
    while end and is_closer(token[end - 1]):
        end -= 1
    return token[:end]


def _full_stop(word: str, previous: str, rules: Abbreviations) -> Ending:
    for dash in LONG_DASHES:
        word = word.rpartition(dash)[2]
    forms = {word, word.casefold()}
    if not word:
        return _WORD
    if forms & rules.never:
        return _WEAK
    if forms & rules.numbered:
        return Ending(Kind.WEAK, Question.IS_NO_NUMBER, Kind.SENTENCE)
    if forms & rules.ambiguous or is_initials(word):
        return Ending(Kind.WEAK, Question.IS_STARTER, Kind.SENTENCE)
    if word.isdigit() and len(word) <= 2 and (rules.ordinal_stop or previous in _ENUMERATORS):
        return _WEAK
    return _SENTENCE


_ENUMERATORS = ("", ".", ":", ";", "!", "?")
"""Behind these a short number with a full stop is a list's: "Do this: 1. Open it." """


def is_initials(word: str) -> bool:
    """ "J", "U.S", "p.m": single letters with full stops between, but no ideograph."""
    return all(len(part) == 1 and part.isalpha() and not is_wide(part) for part in word.split("."))


def _dash(core: str, previous: str) -> Ending:
    body = core.rstrip("-–—―")
    marks = core[len(body) :]
    if not body and previous == "":
        return _WEAK
    if marks[-1] in LONG_DASHES:
        return _CLAUSE
    if not body:
        return _WORD if previous.isdigit() or len(marks) > 3 else _CLAUSE
    return _CLAUSE if body[-1].isalpha() and marks in ("–", "--", "---") else _WORD
