"""Reads text of languages other than English: as little as possible, as safely as possible.

Engines know their languages' numbers, dates and units better than we do.  So tokens pass unchanged,
with three exceptions: plain cardinals become words where num2words knows the language, addresses
are spelled out, and characters that are noise in any language are left out.
"""

from __future__ import annotations

import re

from gateway.text import web
from gateway.text.abbreviations import abbreviations_of
from gateway.text.characters import is_wide
from gateway.text.markdown import BREAK, Plain
from gateway.text.numbers import DIGITS_MAX, cardinal_in
from gateway.text.spoken import MARKS, Spoken

_WIDE_MARKS = "".join(mark for mark in sorted(MARKS) if not mark.isascii())
_NOISE = r"\"“”„«»‹›()\[\]{}<>*_`|\\^~#¿¡"
_BRACKETS = "\u3000-\u3004\u3008-\u301f\uff08\uff09"
_TOKEN = re.compile(rf"[^\s{re.escape(_WIDE_MARKS)}{_NOISE}{_BRACKETS}]+")
_CARDINAL = re.compile(rf"\d{{1,{DIGITS_MAX}}}")
_TRAILING = ".,:;!?'’"


def read_other(plain: Plain, spoken: Spoken, *, language: str) -> None:
    """Append the reading of ``plain`` to ``spoken``."""
    _Reader(plain, spoken, language).read()


class _Reader:
    def __init__(self, plain: Plain, spoken: Spoken, language: str) -> None:
        self._text = plain.text
        self._starts = plain.starts
        self._ends = plain.ends
        self._spoken = spoken
        self._language = language
        self._ordinal_stop = abbreviations_of(language).ordinal_stop

    def read(self) -> None:
        position = 0
        while position < len(self._text):
            char = self._text[position]
            token = _TOKEN.match(self._text, position)
            if token:
                position = self._token(token)
                continue
            if char == BREAK:
                self._spoken.break_sentence()
            elif char in MARKS:
                self._spoken.mark(char)
            else:
                self._spoken.space()
            position += 1

    def _token(self, token: re.Match[str]) -> int:
        """Read one token without white space; returns where it ends."""
        start = token.start()
        address = web.URL.match(self._text, start)
        if address:
            written = web.trim(address[0])
            return self._say(web.spoken_url(written, self._language), start, len(written))
        for pattern, read in ((web.EMAIL, web.spoken_email), (web.DOMAIN, web.spoken_url)):
            match = pattern.match(self._text, start)
            if match:
                written = web.trim(match[0])
                return self._say(read(written, self._language), start, len(written))
        core = token[0].rstrip(_TRAILING)
        self._core(core, start, token[0][len(core) :])
        self._marks(token[0][len(core) :])
        return token.end()

    def _say(self, words: str, start: int, length: int) -> int:
        if words:
            self._spoken.space()
            self._spoken.word(words, self._starts[start], self._ends[start + length - 1])
            self._spoken.space()
        return start + max(1, length)

    def _core(self, core: str, start: int, trailing: str) -> None:
        words = None
        if _CARDINAL.fullmatch(core) and not self._is_ordinal(start + len(core), trailing):
            words = cardinal_in(int(core), self._language) if core[0] != "0" else None
        if words:
            self._say(words, start, len(core))
            return
        core = core.rstrip("-–—") if not any(char.isalnum() for char in core) else core
        begin = 0
        for index, char in enumerate(core):
            if is_wide(char):
                self._run(core, begin, index, start)
                self._run(core, index, index + 1, start)
                begin = index + 1
        self._run(core, begin, len(core), start)

    def _is_ordinal(self, end: int, trailing: str) -> bool:
        """ "3." before a word is "dritte" in German, and the engine knows."""
        return trailing == "." and self._ordinal_stop and bool(self._text[end + 1 :].strip())

    def _run(self, core: str, begin: int, end: int, start: int) -> None:
        if begin < end:
            source_start, source_end = self._starts[start + begin], self._ends[start + end - 1]
            self._spoken.word(core[begin:end], source_start, source_end)

    def _marks(self, trailing: str) -> None:
        if "..." in trailing:
            self._spoken.mark("…")
        else:
            for mark in trailing:
                if mark in MARKS:
                    self._spoken.mark(mark)
