"""Finds the places where a growing text may be cut, one character at a time.

    "I saw Dr. Smith, he"
      │   │  ╎      │  │            │ WORD   ╎ WEAK   ║ CLAUSE
      1   5  9     (║ 16)           reported as (position, kind), positions ascending

The scanner is a function of the characters alone: how they were split into tokens cannot matter,
because it never sees the tokens.  What is found is final, with one exception: the same place may be
reported again with a better kind ("word" → "end of a clause") once what follows is known.
``decided_until`` says how far everything has been said; it lags behind the text by at most
``LOOK_AHEAD_MAX`` characters, whatever the text is.

The parts that follow more than the present token:

    gap      white space behind a token, until the kind of its place is known
    line     what the line begins with (Markdown: a heading, a list item, a fence…)
    span     inside `code`, [link text](target), <tag>: there only weak places are reported
    fence    inside fenced code: line ends are weak places, the edges are FENCE
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from gateway.text.abbreviations import abbreviations_of
from gateway.text.characters import (
    LONG_DASHES,
    NEWLINES,
    OPENERS,
    WIDE_CLAUSE,
    WIDE_SENTENCE,
    is_closer,
    is_space,
    is_wide,
)
from gateway.text.endings import (
    Ending,
    Kind,
    Question,
    ends_speech,
    strip_closers,
    token_ending,
)
from gateway.text.lines import Line, line_kind

GAP_CHARS_MAX = 64
FENCE_INFO_CHARS_MAX = 60
STARTER_CHARS_MAX = 12
TOKEN_CHARS_MAX = 48
LOOK_AHEAD_MAX = GAP_CHARS_MAX + 2 * FENCE_INFO_CHARS_MAX + STARTER_CHARS_MAX

_ITEM_LINES = (Line.HEADING, Line.LIST, Line.TABLE, Line.RULE)


class Boundary(NamedTuple):
    """The text may be cut before the character at ``position``.

    ``spoken_until`` is the end of the last letter or digit before it.
    """

    position: int
    kind: Kind
    spoken_until: int


class _Span(Enum):
    """What the scanner is inside of, and for how many characters it believes so without an end.

    White space does not count.  The second number only keeps the values apart.
    """

    NONE = (0, 0)
    CODE = (120, 1)
    BRACKET = (120, 2)
    TARGET = (400, 3)
    TAG = (120, 4)


class _Gap:
    """White space behind a token, whose kind is not yet final."""

    __slots__ = (
        "ending",
        "kind",
        "last",
        "newlines",
        "only_fence",
        "passed",
        "position",
        "spoken_until",
        "width",
        "word",
    )

    def __init__(
        self, position: int, spoken_until: int, ending: Ending, *, only_fence: bool = False
    ) -> None:
        self.position = position
        self.spoken_until = spoken_until
        self.ending = ending
        self.passed = False
        self.kind: Kind | None = None
        self.only_fence = only_fence
        self.newlines = 0
        self.width = 0
        self.last = ""
        self.word = ""


class _Fence(Enum):
    """Where in fenced code the scanner is; OPENING is the line with the mark."""

    NONE = auto()
    OPENING = auto()
    INSIDE = auto()


class BoundaryScanner:
    """Reports places in ``found`` and the edges of fenced code in ``code_edges``.

    The reader takes what it likes from both and may delete it.
    """

    def __init__(self, language: str) -> None:
        self.found: list[Boundary] = []
        self.code_edges: list[int] = []
        self.position = 0
        self._rules = abbreviations_of(language)
        self._spoken_until = 0
        self._last_found = 0
        self._fence = _Fence.NONE
        self._fence_mark = ""
        self._fence_line = ""
        self._last_newline = ""
        self._begin()

    def _begin(self) -> None:
        """State at the start of the text, and behind a flush."""
        self._token = ""
        self._previous = ""
        self._soft: Kind | None = None
        self._lead = ""
        self._line: Line | None = None
        self._marker = False
        self._end_span()
        self._gap: _Gap | None = None
        if self._fence is _Fence.NONE:
            self._gap = self._silent_gap(self.position)

    def _silent_gap(self, position: int) -> _Gap:
        """A gap at which nothing new can be reported but the edge of a fence."""
        gap = _Gap(position, self._spoken_until, Ending(Kind.WEAK), only_fence=True)
        gap.newlines = 1
        return gap

    @property
    def decided_until(self) -> int:
        """No place before this position will be reported any more."""
        return self.position if self._gap is None else self._gap.position

    @property
    def spoken_until(self) -> int:
        """End of the last letter or digit."""
        return self._spoken_until

    @property
    def ends_speech(self) -> bool:
        """Whether the text so far ends in a mark that completes its last word."""
        return (
            self._gap is None
            and self._fence is _Fence.NONE
            and self._span is _Span.NONE
            and not self._marker
            and ends_speech(self._token, self._previous, self._rules)
        )

    def scan(self, text: str) -> None:
        """Go on with ``text``, which may be any piece of the whole."""
        for char in text:
            if self._fence is _Fence.INSIDE:
                self._inside_fence(char)
            elif self._fence is _Fence.OPENING:
                self._fence_opening(char)
            else:
                self._prose(char)
            self.position += 1
            if char.isalnum():
                self._spoken_until = self.position

    def break_off(self) -> None:
        """The text ends here, or a flush stands here: open questions are answered with no."""
        if self._fence is _Fence.OPENING:
            self._enter_fence()
        elif self._fence is _Fence.INSIDE and self._closes_fence():
            self._leave_fence()
        self._fence_line = ""
        self._begin()

    # -- prose ----------------------------------------------------------------------------------

    def _prose(self, char: str) -> None:
        self._close_span(char)
        space = is_space(char)
        gap = self._gap
        if gap is not None and (gap.passed or not space):
            self._look_ahead(gap, char, space)
            if self._fence is not _Fence.NONE:
                return
        if space:
            self._space(char)
        elif self._span is _Span.NONE:
            self._text(char)
        else:
            self._in_span(char)

    def _look_ahead(self, gap: _Gap, char: str, space: bool) -> None:
        """Use the first characters behind the gap to find out what it is."""
        gap.passed = True
        if self._line is None and (self._lead or not space):
            self._begin_line(gap, char)
        if gap.ending.question is not Question.NONE:
            self._ask(gap, char)
        if (
            self._line is not None
            and gap.ending.question is Question.NONE
            and self._fence is _Fence.NONE
        ):
            self._close_gap(gap)

    def _begin_line(self, gap: _Gap, char: str) -> None:
        kind = line_kind(self._lead, char)
        if kind is None:
            self._lead += char
        elif kind is Line.QUOTE:
            self._lead = ""
        elif kind is Line.FENCE:
            self._fence = _Fence.OPENING
            self._fence_mark = self._lead + char
            self._fence_line = ""
            self._lead = ""
            self._end_span()
        else:
            self._line = kind
            self._lead = ""
            self._marker = kind is not Line.TEXT and kind is not Line.TABLE
            if kind is not Line.TEXT:
                self._end_span()
                self._report_gap(gap, Kind.SENTENCE)

    def _ask(self, gap: _Gap, char: str) -> None:
        if gap.ending.question is Question.IS_NO_NUMBER:
            if not char.isdigit():
                self._report_gap(gap, gap.ending.kind_if)
            gap.ending = Ending(gap.ending.kind)
        elif char.isalpha() and len(gap.word) < STARTER_CHARS_MAX:
            gap.word += char
        elif gap.word or char not in OPENERS:
            if gap.word in self._rules.starters:
                self._report_gap(gap, gap.ending.kind_if)
            gap.ending = Ending(gap.ending.kind)

    def _close_gap(self, gap: _Gap) -> None:
        if gap.newlines and self._span is _Span.NONE:
            self._report_gap(gap, Kind.CLAUSE)
        self._gap = None

    def _space(self, char: str) -> None:
        gap = self._gap
        if gap is None:
            gap = self._open_gap()
        gap.width += 1
        gap.passed = False
        self._token = ""
        self._run = 0
        if char in NEWLINES and not (char == "\n" and gap.last == "\r"):
            self._newline(gap)
        gap.last = char
        if gap.width >= GAP_CHARS_MAX:
            self._close_gap(gap)
            self._gap = self._silent_gap(self.position + 1)
            self._gap.last = char

    def _open_gap(self) -> _Gap:
        inside = self._span is not _Span.NONE or self._marker
        ending = (
            Ending(Kind.WEAK) if inside else token_ending(self._token, self._previous, self._rules)
        )
        gap = self._gap = _Gap(self.position, self._spoken_until, ending)
        self._report_gap(gap, ending.kind)
        last = strip_closers(self._token)[-1:]
        self._previous = "a" if last == "." and ending.kind is Kind.WEAK else last
        self._soft = None
        self._marker = False
        return gap

    def _newline(self, gap: _Gap) -> None:
        gap.newlines += 1
        if self._span in (_Span.TARGET, _Span.TAG) or gap.newlines > 1:
            self._end_span()
        if gap.newlines > 1:
            self._report_gap(gap, Kind.PARAGRAPH)
        elif self._line in _ITEM_LINES:
            self._end_span()
            self._report_gap(gap, Kind.SENTENCE)
        self._previous = ""
        self._line = None
        self._lead = ""

    def _text(self, char: str) -> None:
        if self._soft is not None and not self._goes_on(char):
            self._soft = None
        if char == "`":
            self._begin_span(_Span.CODE)
        elif char == "[":
            self._begin_span(_Span.BRACKET)
        elif self._token.endswith("<") and char.isascii() and (char.isalpha() or char in "/!"):
            self._begin_span(_Span.TAG)
            self._token = self._token[:-1]
            return
        self._soft = self._soft_mark(char)
        self._token = (self._token + char)[-TOKEN_CHARS_MAX:]

    def _goes_on(self, char: str) -> bool:
        """Whether ``char`` belongs to the mark before it; if not, the mark's place is reported."""
        assert self._soft is not None
        if (is_closer(char) and char != "`") or char in WIDE_SENTENCE or char in "!?….-–—":
            return True
        core = strip_closers(self._token)
        if not core:
            return False
        mark, before = core[-1], core[-2:-1]
        if mark in LONG_DASHES:
            fits = True
        elif mark == "-":
            fits = char.isalpha()
        elif mark.isascii():
            fits = is_wide(char)
        else:
            fits = not (before.isdigit() and char.isdigit())
        if fits:
            self._report(self.position, self._soft, self._spoken_until)
        return False

    def _soft_mark(self, char: str) -> Kind | None:
        """Kind of the place behind ``char`` if it needs no white space: "你好。", "so—well"."""
        if char.isalnum():
            return None
        token = self._token
        if char in WIDE_SENTENCE:
            return Kind.SENTENCE
        if char in WIDE_CLAUSE:
            return Kind.CLAUSE
        if char in LONG_DASHES:
            return Kind.CLAUSE if token else None
        if char in ".!?" and token and (self._soft or is_wide(token[-1])):
            return Kind.SENTENCE
        if char == "," and token and is_wide(token[-1]):
            return Kind.CLAUSE
        if char == "-" and token[-1:] == "-" and token[-2:-1].isalpha() and "://" not in token:
            return Kind.CLAUSE
        return self._soft if is_closer(char) else None

    # -- spans ----------------------------------------------------------------------------------

    def _begin_span(self, span: _Span) -> None:
        self._span = span
        self._span_left = span.value[0]
        self._depth = 1
        self._run = 0

    def _end_span(self) -> None:
        self._span = _Span.NONE
        self._span_left = self._depth = self._run = 0

    def _close_span(self, char: str) -> None:
        """End a span whose end shows only in the character behind it."""
        if self._span is _Span.CODE:
            begun = self._span_left < _Span.CODE.value[0]
            if begun and char != "`" and self._run == self._depth:
                self._end_span()
                self._token += "x"
        elif self._span is _Span.BRACKET and self._depth == 0:
            self._end_span()
            if char == "(":
                self._begin_span(_Span.TARGET)
                self._depth = 0

    def _in_span(self, char: str) -> None:
        self._soft = None
        if self._span_left == 0:
            self._end_span()
            self._text(char)
            return
        if self._span is _Span.CODE:
            self._in_code(char)
        elif self._span is _Span.BRACKET:
            self._in_bracket(char)
        else:
            self._span_left -= 1
            opening, closing = "()" if self._span is _Span.TARGET else "<>"
            self._depth += (char == opening) - (char == closing)
            if self._depth == 0:
                self._token += "x" if self._span is _Span.TARGET else ""
                self._end_span()

    def _in_code(self, char: str) -> None:
        opening = self._span_left == _Span.CODE.value[0]
        if char == "`" and opening:
            self._depth += 1
            return
        self._span_left -= 1
        self._run = self._run + 1 if char == "`" else 0

    def _in_bracket(self, char: str) -> None:
        self._span_left -= 1
        self._depth += (char == "[") - (char == "]")
        self._token = (self._token + char)[-TOKEN_CHARS_MAX:]

    # -- fenced code ----------------------------------------------------------------------------

    def _fence_opening(self, char: str) -> None:
        if char in NEWLINES:
            self._enter_fence()
            self._inside_fence(char)
        elif not self._fence_line and char == self._fence_mark[0] and len(self._fence_mark) < 60:
            self._fence_mark += char
        elif char == "`" and self._fence_mark[0] == "`":
            self._not_a_fence()
        else:
            self._fence_line += char
            if len(self._fence_line) > FENCE_INFO_CHARS_MAX:
                self._enter_fence()

    def _not_a_fence(self) -> None:
        """A backtick behind the mark: it was inline code, such as ```` ```x``` ````."""
        assert self._gap is not None
        self._fence = _Fence.NONE
        self._line = Line.TEXT
        self._close_gap(self._gap)
        self._begin_span(_Span.CODE)
        self._depth = len(self._fence_mark)
        self._span_left -= 1
        self._in_code("`")

    def _enter_fence(self) -> None:
        assert self._gap is not None, "a fence begins a line, and a line begins in a gap"
        self._fence = _Fence.INSIDE
        self._fence_line = ""
        self._gap.only_fence = False
        self._report_gap(self._gap, Kind.FENCE)
        self.code_edges.append(self._gap.position)
        self._gap = None
        self._last_newline = ""

    def _inside_fence(self, char: str) -> None:
        if char not in NEWLINES:
            self._last_newline = ""
            if len(self._fence_line) <= len(self._fence_mark) + GAP_CHARS_MAX:
                self._fence_line += char
            return
        if char == "\n" and self._last_newline == "\r":
            self._last_newline = char
            return
        self._last_newline = char
        if self._closes_fence():
            self._leave_fence()
            self._begin()
            assert self._gap is not None
            self._gap.last = char
        else:
            self._report(self.position, Kind.WEAK, self._spoken_until)
        self._fence_line = ""

    def _closes_fence(self) -> bool:
        line = self._fence_line.strip()
        return len(line) >= len(self._fence_mark) and not line.strip(self._fence_mark[0])

    def _leave_fence(self) -> None:
        self._fence = _Fence.NONE
        self._report(self.position, Kind.FENCE, self._spoken_until)
        self.code_edges.append(self.position)

    # -- reports --------------------------------------------------------------------------------

    def _report_gap(self, gap: _Gap, kind: Kind) -> None:
        if not gap.only_fence and (gap.kind is None or kind > gap.kind):
            gap.kind = kind
            self._report(gap.position, kind, gap.spoken_until)

    def _report(self, position: int, kind: Kind, spoken_until: int) -> None:
        assert position >= self._last_found, "places are reported in ascending order"
        self._last_found = position
        self.found.append(Boundary(position, kind, spoken_until))
