"""Reads plain English text: which rule applies where, and what symbols mean.

    plain text ─► at each token: special rules by its first character ─► word ─► symbol or mark

Acronyms are left as they are ("NASA", "FBI"): engines have lexicons for them.
"""

from __future__ import annotations

import re

from gateway.text.characters import LONG_DASHES, is_wide
from gateway.text.english_numbers import (
    MONEY,
    NUMBER_RULES,
    PLUS_TELEPHONE,
    VULGAR,
    spoken_pieces,
)
from gateway.text.english_words import WORD_RULES
from gateway.text.markdown import BREAK, Plain
from gateway.text.numbers import integer
from gateway.text.rules import Context, Rule
from gateway.text.spoken import MARKS, Spoken
from gateway.text.units import CURRENCIES, RATES

_NOT_IN_WORDS = r"\s\d!-/:-@\[-`{-~«»„“”‘’…–—―‹›¡¿·•†‡¶×÷±≈≠≤≥−→⇒°©№§€£¥₹₩₽₺₿¢%‰²³½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_LETTERS = (
    rf"[^{_NOT_IN_WORDS}{re.escape(''.join(sorted(MARKS)))}\u3000-\u3004\u3008-\u301f\uff08\uff09]"
)
WORD = re.compile(rf"{_LETTERS}+(?:['’\-]{_LETTERS}+)*")

_SYMBOLS = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "°": "degrees",
    "℃": "degrees Celsius",
    "℉": "degrees Fahrenheit",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "≈": "approximately",
    "≠": "is not equal to",
    "≤": "is at most",
    "≥": "is at least",
    "→": "to",
    "⇒": "to",
    "©": "copyright",
    "№": "number",
    "§": "section",
    "²": "squared",
    "³": "cubed",
    "#": "hash",
} | {symbol: currency.many for symbol, currency in CURRENCIES.items() if len(symbol) == 1}

_OPERATORS = {
    "==": "equals",
    "===": "equals",
    "!=": "is not equal to",
    "<=": "is at most",
    ">=": "is at least",
    "->": "to",
    "=>": "to",
}
_OPERATOR = re.compile(r"===|==|!=|<=|>=|->|=>")
_STOPS = re.compile(r"[.!?…]+")
_DASH_RUN = re.compile(r"[-–—―−]+")
_HASH = re.compile(r"#(\d{1,9})(?!\w)|#([^\W\d_]\w{0,60})")
_HANDLE = re.compile(r"@(?=\w)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_|(?<=[A-Za-z])(?=\d)")
_RATE = re.compile(r"/([A-Za-z]{1,12})(?!\w)")
_COMPARED = re.compile(r" -?[\w$€£]|-?[\d$€£]")


def read_english(plain: Plain, spoken: Spoken, *, british: bool) -> None:
    """Append the reading of ``plain`` to ``spoken``."""
    _Reader(plain, spoken, british).read()


class _Reader:
    def __init__(self, plain: Plain, spoken: Spoken, british: bool) -> None:
        self._text = plain.text
        self._starts = plain.starts
        self._ends = plain.ends
        self._spoken = spoken
        self._context = Context(self._text, british)

    def read(self) -> None:
        position = 0
        while position < len(self._text):
            end = self._token(position)
            assert end > position, "each step reads something"
            position = end

    def _token(self, start: int) -> int:
        char = self._text[start]
        if char == BREAK:
            self._spoken.break_sentence()
            self._context.words = ["", ""]
            return start + 1
        if char.isspace():
            self._spoken.space()
            return start + 1
        for candidate in self._rules(char, start):
            match = candidate.pattern.match(self._text, start)
            reading = candidate.read(match, self._context) if match else None
            if reading:
                self._say(reading[0], start, reading[1])
                return reading[1]
        word = WORD.match(self._text, start)
        if word:
            self._word(start, word.end())
            return word.end()
        return self._symbol(char, start)

    def _rules(self, char: str, start: int) -> tuple[Rule, ...]:
        if char.isdecimal() or char in VULGAR:
            return NUMBER_RULES
        if char == "+" or char == "(":
            return (PLUS_TELEPHONE,)
        if char in CURRENCIES:
            return (MONEY,)
        return WORD_RULES if char.isalpha() or char == "_" else ()

    def _say(self, words: str, start: int, end: int) -> None:
        """A run of its own, apart from its neighbours."""
        self._spoken.space()
        self._spoken.word(words, self._starts[start], self._ends[end - 1])
        self._spoken.space()
        self._context.words = [self._context.previous, self._text[start:end]]

    def _word(self, start: int, end: int) -> None:
        """A plain word; of scripts without spaces, each character is a run."""
        self._context.words = [self._context.previous, self._text[start:end]]
        begin = start
        for index in range(start, end):
            if is_wide(self._text[index]):
                self._plain_run(begin, index)
                self._plain_run(index, index + 1)
                begin = index + 1
        self._plain_run(begin, end)

    def _plain_run(self, start: int, end: int) -> None:
        if start < end:
            words = self._text[start:end].replace("’", "'")
            self._spoken.word(words, self._starts[start], self._ends[end - 1])

    # -- symbols and marks ----------------------------------------------------------------------

    def _symbol(self, char: str, start: int) -> int:
        operator = _OPERATOR.match(self._text, start)
        if operator:
            self._say(_OPERATORS[operator[0]], start, operator.end())
            return operator.end()
        if char in ".!?…":
            return self._stops(start)
        if char in "-–—―−":
            return self._dash(start)
        if char in MARKS:
            self._spoken.mark(char)
            self._forget_words(char)
            return start + 1
        if char in "()":
            self._bracket(char, start)
            return start + 1
        if char in "#@/":
            return self._address_mark(char, start)
        if char in "<>~":
            return self._comparison(char, start)
        if char in _SYMBOLS:
            self._say(_SYMBOLS[char], start, start + 1)
        elif char not in "'’\"“”":
            self._spoken.space()
        return start + 1

    def _stops(self, start: int) -> int:
        run = _STOPS.match(self._text, start)
        assert run is not None, "the caller saw one of them"
        marks = run[0]
        inner = self._text[start - 1 : start].isalnum() if start else False
        if marks == "." and not inner and self._text[run.end() : run.end() + 1].isalnum():
            decimal = self._text[run.end()].isdecimal()
            self._say("point" if decimal else "dot", start, run.end())  # ".5", ".env"
            return run.end()
        strongest = next((mark for mark in "?!…" if mark in marks), "." if len(marks) == 1 else "…")
        self._spoken.mark(strongest)
        self._spoken.space()
        self._forget_words(strongest)
        return run.end()

    def _forget_words(self, mark: str) -> None:
        """Context does not reach across the end of a sentence."""
        if mark not in ",:;":
            self._context.words = ["", ""]

    def _dash(self, start: int) -> int:
        run = _DASH_RUN.match(self._text, start)
        assert run is not None, "the caller saw one of them"
        end = run.end()
        before, after = self._context.before(start), self._text[end : end + 1]
        apart = before in ("", "(", "[", "—") or before.isspace()
        if len(run[0]) == 1 and run[0] not in LONG_DASHES and self._number_at(end):
            self._dash_before_number(start, apart)
        elif apart and after.isalpha() and run[0] in ("-", "--"):
            self._say("dash " * (len(run[0]) - 1) + "dash", start, end)
        elif run[0][0] in LONG_DASHES or run[0] in ("--", "---") or (apart and after.isspace()):
            self._spoken.mark("—")
            self._spoken.space()
        else:
            self._spoken.space()
        return end

    def _number_at(self, index: int) -> bool:
        return bool(re.compile(r" ?[$€£¥]?\d").match(self._text, index))

    def _dash_before_number(self, start: int, apart: bool) -> None:
        """ "5–10" is a range, "-5" a negative number, "5 - 3" a difference, "so - 3" an aside."""
        dash = self._text[start]
        spaced = apart and self._text[start + 1].isspace()
        counted = self._is_quantity()
        if dash == "−" or (apart and not spaced) or (spaced and counted and dash == "-"):
            self._say_between("minus", start)
        elif counted:
            self._say_between("to", start)
        elif spaced:
            self._spoken.mark("—")
        self._spoken.space()

    def _say_between(self, words: str, start: int) -> None:
        """Say a word that joins two numbers without becoming the previous word of the second."""
        number_before = self._context.previous
        self._say(words, start, start + 1)
        self._context.words[-1] = number_before

    def _bracket(self, char: str, start: int) -> None:
        """An aside is set off by commas: the ear has no brackets."""
        if char == "(":
            if self._context.before(start).isspace():
                self._spoken.mark(",")
        elif (
            self._text[start + 1 : start + 2].isspace()
            and self._text[start + 2 : start + 3].isalnum()
        ):
            self._spoken.mark(",")
        self._spoken.space()

    def _address_mark(self, char: str, start: int) -> int:
        if char == "#":
            return self._hash(start)
        if char == "@":
            self._say("at", start, start + 1)
            return start + 1
        before = self._context.before(start)
        rate = _RATE.match(self._text, start)
        if rate and self._is_quantity():
            self._say(f"per {RATES.get(rate[1], rate[1])}", start, rate.end())
            return rate.end()
        if not before.isalnum() and self._text[start + 1 : start + 2].isalnum():
            self._say("slash", start, start + 1)
        self._spoken.space()
        return start + 1

    def _is_quantity(self) -> bool:
        return any(char.isdecimal() for char in self._context.previous)

    def _hash(self, start: int) -> int:
        match = _HASH.match(self._text, start)
        if match is None:
            self._say("hash", start, start + 1)
            return start + 1
        words = (
            f"number {integer(match[1], self._context.british)}"
            if match[1]
            else f"hashtag {spoken_pieces(_CAMEL.sub(' ', match[2]))}"
        )
        self._say(words, start, match.end())
        return match.end()

    def _comparison(self, char: str, start: int) -> int:
        if char == "~":
            if self._text[start + 1 : start + 2].isdecimal():
                self._say("about", start, start + 1)
        elif self._context.before(start) in ("", " ") and _COMPARED.match(self._text, start + 1):
            self._say("less than" if char == "<" else "greater than", start, start + 1)
        self._spoken.space()
        return start + 1
