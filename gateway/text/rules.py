"""What the rules of English share: a rule is a pattern and what it makes of a match.

A rule is tried where a token begins.  It answers with the words and where the token ends, or with
None if it was not meant after all.  Every pattern is bounded or consumes what it looks at, so that
reading is linear in the text.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.text.abbreviations import abbreviations_of
from gateway.text.markdown import BREAK

Reading = tuple[str, int] | None

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}(?![\d])|\d{1,15}(?!\d))(?:\.\d+)?"
MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)(?![A-Za-z])"
)
MONTHS = tuple(calendar.month_name)[1:]


@dataclass(slots=True)
class Context:
    """Where in the text a rule is tried; ``words`` are the last two words as they were written."""

    text: str
    british: bool
    words: list[str] = field(default_factory=lambda: ["", ""])

    @property
    def previous(self) -> str:
        """The word before, as it was written; "" at a sentence's start."""
        return self.words[-1]

    def before(self, start: int) -> str:
        """The character before ``start``; "" at the beginning."""
        return self.text[start - 1 : start] if start else ""

    def ends_sentence(self, end: int) -> bool:
        """Whether the full stop of an abbreviation, just before ``end``, also ends a sentence."""
        rest = self.text[end : end + 24].lstrip(" \"'”’)")
        if not rest or rest[0] == BREAK:
            return True
        word = re.match(r"[A-Za-z]*", rest)
        return word is not None and word[0] in STARTERS


STARTERS = abbreviations_of("en").starters


@dataclass(frozen=True, slots=True)
class Rule:
    """``read`` is asked when ``pattern`` matches."""

    pattern: re.Pattern[str]
    read: Callable[[re.Match[str], Context], Reading]


def rule(pattern: str, read: Callable[[re.Match[str], Context], Reading], flags: int = 0) -> Rule:
    """Build a rule."""
    return Rule(re.compile(pattern, flags), read)
