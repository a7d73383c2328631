"""Classes of characters that both the chunker and the normaliser ask about.

Grapheme clusters follow Unicode Standard Annex 29 closely, not exactly: the standard library has no
``Extended_Pictographic`` or ``InCB`` property, so that a zero-width joiner and a virama always bind
what follows them.  The error is on the safe side: a cut that would be legal is not made.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

NEWLINES = frozenset("\n\r\v\f\x85\u2028\u2029")
GLUE = frozenset("\u00a0\u202f\u2007")
"""White space that forbids a break: it counts as part of a word."""

OPENERS = "\"'“‘„«‹([{<*_~`¿¡「『【〈《（"
CLOSERS = frozenset("\"'”’»›“‘)]}>*_~`」』】〉》〕）］｝＂＇")
"""What may stand between a full stop and the white space behind it; German quotes close with “."""

WIDE_SENTENCE = frozenset("。｡！？．।॥؟۔።։។။།՜՞")
WIDE_CLAUSE = frozenset("，、；：､،؛፣፤፥၊")
"""Marks of scripts that need no white space behind a mark."""

SENTENCE_MARKS = frozenset("!?‽") | WIDE_SENTENCE
DASHES = frozenset("-–—―")
LONG_DASHES = frozenset("—―⸺")

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_EXTENDING_CATEGORIES = frozenset({"Mn", "Mc", "Me"})
_PREPENDED = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2\u0890\u0891")
_LOOK_BACK_MAX = 64


def is_space(char: str) -> bool:
    """White space at which a text may be cut: a zero-width space, but no no-break space."""
    return (char.isspace() and char not in GLUE) or char == "\u200b"


@lru_cache(maxsize=4096)
def is_wide(char: str) -> bool:
    """Ideographs, kana, hangul and their punctuation: scripts where words need no space between."""
    return char > "\u10ff" and unicodedata.east_asian_width(char) in "WF" and not is_emoji(char)


@lru_cache(maxsize=4096)
def is_extender(char: str) -> bool:
    """A character that belongs to the one before it: a combining mark, joiner or selector."""
    return (
        char in (_ZWNJ, _ZWJ, "\uff9e", "\uff9f")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
        or unicodedata.category(char) in _EXTENDING_CATEGORIES
    )


@lru_cache(maxsize=4096)
def is_emoji(char: str) -> bool:
    """Pictures and other symbols without a reading of their own (category So); their parts."""
    return char > "\x7f" and (
        unicodedata.category(char) == "So"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U0001f000" <= char <= "\U0001faff"
    )


@lru_cache(maxsize=4096)
def is_closer(char: str) -> bool:
    """Whether ``char`` may follow a full stop and still belong to the sentence that ended."""
    return char in CLOSERS or (char > "\x7f" and (is_extender(char) or is_emoji(char)))


def is_cluster_boundary(text: str, index: int) -> bool:
    """Whether ``text`` may be cut before ``text[index]`` without breaking a grapheme cluster.

    ``0 < index < len(text)``, and ``text`` must itself begin at a boundary.
    """
    before, after = text[index - 1], text[index]
    if before == "\r" and after == "\n":
        return False
    if is_extender(after) or before in _PREPENDED or before == _ZWJ:
        return False
    if _is_flag_letter(before) and _is_flag_letter(after):
        return _flag_letters_before(text, index) % 2 == 0
    if _is_jamo_tail(after) or (_is_jamo_lead(before) and "가" <= after <= "힣"):
        return False
    return not (unicodedata.combining(before) == 9 and after.isalpha())


def last_cluster_boundary(text: str, index: int) -> int:
    """The last place at or before ``index`` where ``text`` may be cut; at least 1.

    A cluster longer than 64 characters is no writing but an attack, and is cut at ``index``.
    """
    for candidate in range(index, max(0, index - _LOOK_BACK_MAX), -1):
        if is_cluster_boundary(text, candidate):
            return candidate
    return index


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flag_letters_before(text: str, index: int) -> int:
    count = 0
    while count < index and _is_flag_letter(text[index - 1 - count]):
        count += 1
    return count


def _is_jamo_lead(char: str) -> bool:
    return "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c"


def _is_jamo_tail(char: str) -> bool:
    return "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb"
