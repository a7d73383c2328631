"""Takes the markup off a text and remembers where each remaining character came from.

    source   "# A **b**\\n- [c](http://d)"
    plain    "A b¶c"          ¶ is BREAK: a sentence ends here even if no mark says so
    starts    2 6 9 12…       offsets into the source

Understood: CommonMark's blocks and inlines as far as they can be heard, tables and strikethrough
of GitHub's dialect, HTML tags and entities.  Emoji and other pictures, control and unassigned
characters vanish.  One pass; every pattern is bounded, so that any input costs linear time.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from html.entities import html5

from gateway.text.abbreviations import words
from gateway.text.characters import is_emoji, is_extender

BREAK = "\u2029"
"""Stands in plain text for the end of a block; a source's own U+2029 is a line break."""


class Plain:
    """Text without markup: ``text[i]`` stands for ``source[starts[i]:ends[i]]``."""

    __slots__ = ("_chars", "ends", "starts")

    def __init__(self) -> None:
        self._chars: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    @property
    def text(self) -> str:
        """The characters; build it once."""
        return "".join(self._chars)

    def add(self, chars: str, start: int, end: int) -> None:
        """Append ``chars``, all of which stand for the same stretch of the source."""
        self._chars.extend(chars)
        self.starts.extend([start] * len(chars))
        self.ends.extend([end] * len(chars))


_LINE = re.compile(r"([^\n\r\v\f\x85\u2028\u2029]*)(\r\n|[\n\r\v\f\x85\u2028\u2029]|$)")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^\n]*)$")
_QUOTE = re.compile(r"[ \t]{0,16}(?:>[ \t]?){1,16}")
_HEADING = re.compile(r"[ \t]*#{1,6}(?=[ \t]|$)")
_HEADING_TAIL = re.compile(r"(?<=[ \t])#+[ \t]*$")
_BULLET = re.compile(r"[ \t]*[-*+•](?:[ \t]+\[[ xX]\])?(?=[ \t]|$)")
_NUMBERED = re.compile(r"[ \t]*\d{1,9}[.)](?=[ \t])")
_RULE = re.compile(r"[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|=+[ \t]*|-+[ \t]*)$")
_TABLE_RULE = re.compile(r"[ \t]*(?=[^-]{0,200}-)(?=[^|]{0,200}\|)[|:\- \t]+$")
_TABLE_ROW = re.compile(r"[ \t]*\|")

_INLINE = re.compile(
    r"""
    (?P<escape>\\[!-/:-@\[-`{-~])
  | (?P<code>(?<!`)(?:`[^`\n]{1,400}`|``(?!`)[^\n]{1,400}?``|```[^`\n]{1,400}```)(?!`))
  | (?P<url>(?:https?://|www\.)[^\s<>\[\]()"“”`|]{1,2000}(?:\([^\s<>()]{0,200}\)[^\s<>\[\]()"`|]{0,400})?)
  | (?P<image>!\[[^\[\]\n]{0,400}\]\([^()\n]{0,1000}(?:\([^()\n]{0,200}\)[^()\n]{0,200})?\))
  | (?P<footnote>\[\^?\d{1,3}\](?![(:]))
  | (?P<link>\[[^\[\]\n]{0,400}\](?:
        \([^()\n]{0,1000}(?:\([^()\n]{0,200}\)[^()\n]{0,200})?\) | \[[^\[\]\n]{0,100}\]))
  | (?P<link_tail>\](?:\([^()\s]{0,1000}\)))
  | (?P<comment><!--(?:[^\n-]|-(?!->)){0,300}-->)
  | (?P<autolink><(?:https?://|mailto:|[\w.+-]{1,64}@)[^<>\s]{1,1000}>)
  | (?P<tag></?[A-Za-z][^<>\n]{0,300}>)
  | (?P<entity>&(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)
  | (?P<keycap>[0-9\#*]\ufe0f?\u20e3)
  | (?P<stars>\*+)
  | (?P<underscores>_+)
  | (?P<strike>~~+|`+)
  | (?P<bracket>[\[\]])
  | (?P<plain>[^\\`hw!\[\]<&0-9\#*_~\x7f-\U0010ffff]+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_TAGS = words("p li h1 h2 h3 h4 h5 h6 div tr ul ol table blockquote section")


def strip_markup(
    source: str, base: int, *, speak_code: bool, inside_code: bool, line_start: bool
) -> Plain:
    """Plain text of ``source``, whose first character is at ``base`` in the client's text.

    ``inside_code`` says that all of it is fenced code, ``line_start`` that a line begins there.
    """
    plain = Plain()
    fence = ""
    for match in _LINE.finditer(source):
        line, start, newline = match[1], base + match.start(), match[2]
        mark = _FENCE.match(line)
        if inside_code or fence:
            if mark and (inside_code or _closes(mark, fence)):
                fence = ""
            elif speak_code:
                _raw(plain, line, start)
        elif mark and (mark[1][0] == "~" or "`" not in mark[2]):
            fence = mark[1]
        elif match.start() == 0 and not line_start:
            _inline(plain, line, start)
        elif _block(plain, line, start):
            newline = newline and BREAK
        if newline:
            ends_block = newline == BREAK or inside_code or fence or mark or not line.strip()
            plain.add(BREAK if ends_block else " ", base + match.start(2), base + match.end())
    return plain


def _closes(mark: re.Match[str], fence: str) -> bool:
    return mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2].strip()


def _block(plain: Plain, line: str, start: int) -> bool:
    """Add a line; True if it is a block of its own."""
    quote = _QUOTE.match(line)
    if quote:
        line, start = line[quote.end() :], start + quote.end()
    if _RULE.match(line) or _TABLE_RULE.match(line):
        plain.add(BREAK, start, start)
        return True
    if _TABLE_ROW.match(line):
        plain.add(BREAK, start, start)
        _table_row(plain, line, start)
        return True
    marker = _HEADING.match(line) or _BULLET.match(line)
    if marker:
        tail = _HEADING_TAIL.search(line, marker.end()) if "#" in marker[0] else None
        plain.add(BREAK, start, start)
        _inline(plain, line[marker.end() : tail.start() if tail else None], start + marker.end())
        return True
    numbered = _NUMBERED.match(line)
    offset = 0
    if numbered:
        offset = numbered.end()
        plain.add(BREAK, start, start)
        _raw(plain, line[: offset - 1], start)
        plain.add(BREAK, start + offset - 1, start + offset)
    _inline(plain, line[offset:], start + offset)
    return numbered is not None


def _table_row(plain: Plain, line: str, start: int) -> None:
    """Cells become a list: "| a | b |" is read "a, b"."""
    position = 0
    first = True
    for cell in re.split(r"(?<!\\)\|", line):
        text = cell.strip()
        if text:
            if not first:
                plain.add(", ", start + position, start + position)
            _inline(plain, text, start + position + cell.index(text))
            first = False
        position += len(cell) + 1


def _raw(plain: Plain, text: str, start: int) -> None:
    """Add ``text``, in which nothing is markup."""
    for offset, char in enumerate(text):
        _character(plain, char, start + offset, text[max(0, offset - 1) : offset + 2])


def _inline(plain: Plain, text: str, start: int) -> None:
    for match in _INLINE.finditer(text):
        kind = match.lastgroup
        assert kind is not None, "each alternative has a name"
        if kind in ("plain", "other"):
            for index in range(*match.span()):
                around = text[max(0, index - 1) : index + 2]
                _character(plain, text[index], start + index, around)
        else:
            _MARKUP[kind](plain, match, start)


Handler = Callable[[Plain, re.Match[str], int], None]


def _escape(plain: Plain, match: re.Match[str], start: int) -> None:
    plain.add(match[0][1], start + match.start(), start + match.end())


def _code(plain: Plain, match: re.Match[str], start: int) -> None:
    content = match[0].strip("`")
    _raw(plain, content, start + match.start() + match[0].index(content))


def _url(plain: Plain, match: re.Match[str], start: int) -> None:
    _raw(plain, match[0], start + match.start())


def _link(plain: Plain, match: re.Match[str], start: int) -> None:
    begin = match[0].index("[") + 1
    end = match[0].index("]")
    _inline(plain, match[0][begin:end], start + match.start() + begin)


def _nothing(plain: Plain, match: re.Match[str], start: int) -> None:
    """Markup that leaves no trace."""


def _autolink(plain: Plain, match: re.Match[str], start: int) -> None:
    begin = 1 + (7 if match[0].startswith("<mailto:") else 0)
    _raw(plain, match[0][begin:-1], start + match.start() + begin)


def _tag(plain: Plain, match: re.Match[str], start: int) -> None:
    found = re.match(r"</?([A-Za-z0-9]+)", match[0])
    name = found[1].lower() if found else ""
    if name in _BLOCK_TAGS:
        plain.add(BREAK, start + match.start(), start + match.end())
    elif name in ("br", "td", "th"):
        plain.add(" ", start + match.start(), start + match.end())


def _entity(plain: Plain, match: re.Match[str], start: int) -> None:
    written = match[0]
    if written[1] != "#" and written[1:] not in html5:
        _raw(plain, written, start + match.start())
        return
    for char in html.unescape(written):
        if char.isspace() or _is_speakable(char):
            plain.add(" " if char.isspace() else char, start + match.start(), start + match.end())


def _space(plain: Plain, match: re.Match[str], start: int) -> None:
    plain.add(" ", start + match.start(), start + match.end())


def _stars(plain: Plain, match: re.Match[str], start: int) -> None:
    """A star is emphasis unless it multiplies: "2 * 3", "2*3"."""
    before = match.string[max(0, match.start() - 2) : match.start()].strip()[-1:]
    after = match.string[match.end() : match.end() + 2].strip()[:1]
    if len(match[0]) == 1 and before.isdigit() and after.isdigit():
        plain.add(" × ", start + match.start(), start + match.end())


def _underscores(plain: Plain, match: re.Match[str], start: int) -> None:
    before = match.string[match.start() - 1 : match.start()]
    if before.isalnum() and match.string[match.end() : match.end() + 1].isalnum():
        plain.add("_", start + match.start(), start + match.end())


_MARKUP: dict[str, Handler] = {
    "escape": _escape,
    "code": _code,
    "url": _url,
    "image": _link,
    "footnote": _nothing,
    "link": _link,
    "link_tail": _nothing,
    "comment": _nothing,
    "autolink": _autolink,
    "tag": _tag,
    "entity": _entity,
    "keycap": _space,
    "stars": _stars,
    "underscores": _underscores,
    "strike": _nothing,
    "bracket": _nothing,
}


def _character(plain: Plain, char: str, at: int, around: str) -> None:
    """Add one character that is no markup, unless it cannot be spoken.

    ``around`` is the character with its neighbours.
    """
    if " " < char <= "~":
        plain.add(char, at, at + 1)
    elif char in "\u200c\u200d":
        if len(around) == 3 and all(unicodedata.category(c)[0] in "LM" for c in around[::2]):
            plain.add(char, at, at + 1)
    elif char.isspace() or char == "\u200b":
        plain.add(" ", at, at + 1)
    elif is_emoji(char) and char not in SPOKEN_SYMBOLS:
        if not is_extender(char):
            plain.add(" ", at, at + 1)
    elif _is_speakable(char):
        plain.add(_folded(char), at, at + 1)


SPOKEN_SYMBOLS = frozenset("°©№℃℉")


def _is_speakable(char: str) -> bool:
    if char <= "\x7f":
        return char >= " " and char != "\x7f"
    if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or char == "\u20e3":
        return False
    category = unicodedata.category(char)
    return category[0] != "C" and category not in ("Zl", "Zp")


def _folded(char: str) -> str:
    """Styled and wide letters and digits as plain ones: "𝐇𝐢" is "Hi", "５" is "5"."""
    if char > "\x7f" and unicodedata.category(char) in ("Lu", "Ll", "Nd"):
        folded = unicodedata.normalize("NFKC", char)
        return folded if folded.isalnum() else char
    return char
