"""espeak-ng's IPA in the symbols that Kokoro was trained on.

espeak is asked to tie the parts of one phoneme (``a^ɪ``), so that a diphthong is told from two
vowels that meet.  For English, the model was trained on misaki's inventory; what follows are the
rules of misaki 0.9.4's espeak fallback (``misaki/espeak.py``, version 1.0 of the model), and of
``EspeakG2P`` for the other languages, with these corrections, each checked against misaki's own
dictionary of 4,000 words (us_gold, gb_gold):

    fire   fˈa^ɪ^ɚɹ → fˈIəɹ, where the fallback doubles the r            (American)
    hair   hˈe^ə    → hˈɛː, which the fallback means to do but misses    (British)
    near   nˈi^ə    → nˈɪə                                               (British)

Together: words that come out exactly as in the dictionary, stress aside, 46 → 48 % American and
55 → 58 % British.  What still differs is espeak's opinion of the word, not the spelling of sounds;
a lexicon (see lexicon.py) is the remedy.
"""

from __future__ import annotations

import re
import unicodedata

from gateway.engine.kokoro.languages import Accent
from gateway.engine.kokoro.symbols import TOKENS

TIE = "^"
"""Joins the parts of one phoneme in what the worker sends; IPA itself has no such sign."""

_ENGLISH = (
    ("ʔˌn\u0329", "ʔn"),
    ("ʔn\u0329", "ʔn"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"),
    ("ʲo", "jo"),
    ("ʲə", "jə"),
    ("ʲ", ""),
    ("e", "A"),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɐ", "ə"),
    ("ɬ", "l"),
    ("\u0303", ""),
)
_AMERICAN = (
    ("o^ʊ", "O"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ɪə", "iə"),
    ("ː", ""),
)
_BRITISH = (
    ("iə", "ɪə"),
    ("ə^ʊ", "Q"),
)
_TRAINED_ON = (
    ("o", "ɔ"),
    ("ɾ", "T"),
    ("ʔ", "t"),
    (TIE, ""),
)
_OTHER = (
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^z", "ʣ"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("ə^ʊ", "Q"),
    ("s^s", "S"),
    ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    (TIE, ""),
    ("-", ""),
)
_RULES = {
    Accent.AMERICAN: (("ɚɹ", "ɚ"), *_ENGLISH, *_AMERICAN, *_TRAINED_ON),
    Accent.BRITISH: (("e^ə", "ɛː"), ("i^ə", "ɪə"), *_ENGLISH, *_BRITISH, *_TRAINED_ON),
    Accent.OTHER: _OTHER,
}
"""Replaced one after the other, in this order."""

_WORD_END = {Accent.AMERICAN: ("T", "t"), Accent.BRITISH: ("ɹ", "")}
"""Sounds that join a word to the next, "it is" and "hair is", and that espeak therefore puts at its
end.  Of 90,000 words of misaki's dictionaries one ends in a flap, and 14 British ones in ɹ."""

_SYLLABIC = re.compile(r"(\S)\u0329")
_LANGUAGE_SWITCH = re.compile(r"\([^()]*\)")
"""espeak marks a foreign word: ``(^e^n)wiːkˈɛnd(^f^r)``."""

WEAK_FORMS = {
    "a": {"ə": "ɐ"},
    "an": {"ən": "ɐn"},
    "am": {"əm": "ɐm"},
    "the": {"ðɪ": "ði"},
    "i": {"I": "ˌI"},
}
"""Function words that misaki writes in a way of its own, by what our rules make of them."""


def to_symbols(ipa: str, accent: Accent, word: str = "") -> str:
    """Kokoro's symbols for the tied IPA of one ``word``; may hold symbols without a token."""
    symbols = _LANGUAGE_SWITCH.sub("", ipa)
    for heard, symbol in _RULES[accent]:
        symbols = symbols.replace(heard, symbol)
    if accent is Accent.OTHER:
        return symbols.strip()
    symbols = _SYLLABIC.sub(r"ᵊ\1", symbols).replace("\u0329", "").strip()
    joint, end = _WORD_END[accent]
    if symbols.endswith(joint):
        symbols = symbols[: -len(joint)] + end
    return WEAK_FORMS.get(word.lower(), {}).get(symbols, symbols)


def with_tokens(symbols: str) -> tuple[str, str]:
    """The part of ``symbols`` that has tokens, and what had to be left out.

    A letter with a diacritic is taken apart first: Portuguese ``õ`` is ``o`` and a tilde.
    """
    kept: list[str] = []
    dropped: list[str] = []
    for symbol in symbols:
        parts = symbol if symbol in TOKENS else unicodedata.normalize("NFD", symbol)
        for part in parts:
            (kept if part in TOKENS else dropped).append(part)
    return "".join(kept), "".join(dropped)
