"""Text to tokens: the first step of a plan.

    spoken ──segments──► clauses ──espeak-ng──► IPA of each word ──ipa──► symbols ──► Reading
                                   (a worker)        lexicon overrides ──┘

espeak reads whole clauses, because how a word sounds depends on its neighbours ("the apple").  What
it gives back are runs of phonemes, as many as there are words if all goes well; every word then has
its own, and keeps its place in ``spoken``.  Where the numbers differ ("5%" is read as two words, a
dictionary phrase as one), the clause's words are phonemised once more, one by one: their number of
runs tells which run is whose, or else they are taken as they are, without their neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from gateway.engine.espeak_text import prepare
from gateway.engine.kokoro.ipa import to_symbols, with_tokens
from gateway.engine.kokoro.languages import NBSP, Language, find_language
from gateway.engine.kokoro.lexicon import Lexicon
from gateway.engine.kokoro.reading import NONE, Reading
from gateway.engine.kokoro.segments import Mark, Segment, Word, clauses, segment
from gateway.errors import SynthesisError

logger = logging.getLogger(__name__)

Phonemize = Callable[[str, Sequence[str]], Sequence[str]]
"""``phonemize(selector, texts)``: tied IPA of each text in espeak's language ``selector``.

Blocks; raises SynthesisError.  ``EspeakPhonemizer.phonemize`` is one.
"""

Unreadable = Literal["drop", "error"]


class Frontend:
    """Reads texts; may be used by several threads if ``phonemize`` may."""

    def __init__(
        self,
        phonemize: Phonemize,
        lexicons: Mapping[str, Lexicon] | None = None,
        unreadable: Unreadable = "drop",
    ) -> None:
        self._phonemize = phonemize
        self._lexicons = lexicons or {}
        self._unreadable = unreadable
        self._reported: set[str] = set()

    def read(self, spoken: str, language: str) -> Reading:
        """The symbols of ``spoken`` in ``language``, of any length; ``Reading.split`` cuts it.

        Raises InvalidValue for a language that can't be read; SynthesisError if espeak fails, or
        for a sound that Kokoro has no symbol for where ``unreadable`` is "error".  Else such sounds
        are left out, counted in ``Reading.dropped``, and logged once each.
        """
        found = find_language(language)
        segments = segment(prepare(spoken))
        reading = _assemble(segments, self._pronounce(segments, found))
        if reading.dropped:
            self._report(reading.dropped, found)
        return reading

    def _pronounce(self, segments: list[Segment], language: Language) -> dict[int, str]:
        """Symbols of each word, by where the word begins."""
        lexicon = self._lexicons.get(language.tag)
        symbols = {}
        for word, ipa in self._phonemes(clauses(segments), language):
            entry = lexicon.find(word.text) if lexicon is not None else None
            symbols[word.start] = entry or to_symbols(ipa, language.accent, word.text)
        return symbols

    def _phonemes(self, groups: list[list[Word]], language: Language) -> list[tuple[Word, str]]:
        """The words of all clauses with their IPA."""
        if not groups:
            return []
        found: list[tuple[Word, str]] = []
        wholes = self._phonemize(language.selector, [_text(each, language) for each in groups])
        odd: list[tuple[list[Word], list[str]]] = []
        for words, whole in zip(groups, wholes, strict=True):
            runs = whole.split(" ") if whole else []
            if len(runs) == len(words):
                found += zip(words, runs, strict=True)
            else:
                odd.append((words, runs))
        if odd:
            texts = [_plain(word) for words, _ in odd for word in words]
            alone = iter(self._phonemize(language.selector, texts))
            for words, runs in odd:
                found += zip(words, _divide(runs, [next(alone) for _ in words]), strict=True)
        return found

    def _report(self, dropped: str, language: Language) -> None:
        names = ", ".join(f"{each!r} (U+{ord(each):04X})" for each in sorted(set(dropped)))
        if self._unreadable == "error":
            raise SynthesisError(
                f"Kokoro has no symbol for {names}, which espeak-ng gave for a {language.name} "
                "text; engine.kokoro.unreadable=drop leaves such sounds out"
            )
        if not set(dropped) <= self._reported:
            self._reported |= set(dropped)
            logger.warning(
                "Kokoro has no symbol for %s (%s); %d left out of this chunk, later ones silently",
                names,
                language.name,
                len(dropped),
            )


def _text(words: list[Word], language: Language) -> str:
    return language.joiner.join(_plain(word) for word in words)


def _plain(word: Word) -> str:
    """A word with nothing in it that separates words for espeak or the worker's lines."""
    return " ".join(word.text.replace(NBSP, " ").split())


def _divide(runs: list[str], alone: list[str]) -> list[str]:
    """Which runs of a clause belong to which word, given each word's phonemes ``alone``."""
    counts = [len(each.split()) for each in alone]
    if sum(counts) != len(runs):
        return alone
    left = iter(runs)
    return [" ".join(next(left) for _ in range(count)) for count in counts]


def _assemble(segments: list[Segment], symbols: Mapping[int, str]) -> Reading:
    text: list[str] = []
    word_of: list[int] = []
    words: list[tuple[int, int]] = []
    dropped: list[str] = []
    space = False
    for each in segments:
        if isinstance(each, Word):
            kept, lost = with_tokens(symbols[each.start])
            kept = " ".join(kept.split())  # what was lost may have stood alone
            owner = len(words)
            dropped.append(lost)
        elif isinstance(each, Mark):
            kept, owner = each.symbol, NONE
        else:
            space = bool(text)
            continue
        if not kept:
            continue
        if space:
            text.append(" ")
            word_of.append(NONE)
            space = False
        text.append(kept)
        word_of += [owner] * len(kept)
        if isinstance(each, Word):
            words.append((each.start, each.end))
    return Reading("".join(text), tuple(word_of), tuple(words), "".join(dropped))
