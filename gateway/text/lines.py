"""What kind of Markdown line begins here?  Answered one character at a time (CommonMark 0.31).

Bounded on purpose: a kind is known after 12 characters at the most, save for code fences, which the
scanner follows itself.
"""

from __future__ import annotations

from enum import Enum, auto

_LEAD_CHARS_MAX = 12
_BULLETS = "-*+•"


class Line(Enum):
    """Kinds of lines; all but TEXT begin a block of their own."""

    TEXT = auto()
    HEADING = auto()
    LIST = auto()
    TABLE = auto()
    RULE = auto()
    QUOTE = auto()
    FENCE = auto()


def line_kind(lead: str, char: str) -> Line | None:
    """Kind of the line that begins with ``lead`` (no white space) and goes on with ``char``.

    None if more characters are needed; the caller then appends ``char`` to ``lead``.  FENCE is
    answered at the third fence character, QUOTE at the mark (the caller begins anew behind it).
    """
    if not lead:
        return _first(char)
    if lead[0] == "#":
        if char == "#" and len(lead) < 6:
            return None
        return Line.HEADING if char.isspace() else Line.TEXT
    if lead[0] in "0123456789":
        return _numbered(lead, char)
    if lead[0] in "`~":
        if char != lead[0]:
            return Line.TEXT
        return Line.FENCE if len(lead) == 2 else None
    return _bullet_or_rule(lead, char)


def _first(char: str) -> Line | None:
    if char in "#`~_" or char in _BULLETS or char in "0123456789":
        return None
    return {">": Line.QUOTE, "|": Line.TABLE}.get(char, Line.TEXT)


def _numbered(lead: str, char: str) -> Line | None:
    if lead[-1] in ".)":
        return Line.LIST if char.isspace() else Line.TEXT
    if char in "0123456789.)" and len(lead) < 9:
        return None
    return Line.TEXT


def _bullet_or_rule(lead: str, char: str) -> Line | None:
    if len(lead) == 1 and lead in _BULLETS and char.isspace():
        return Line.LIST
    if char == lead[0] and lead[0] in "-*_":
        return None if len(lead) < _LEAD_CHARS_MAX else Line.RULE
    return Line.RULE if len(lead) >= 3 and char.isspace() else Line.TEXT
