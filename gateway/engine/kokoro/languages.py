"""The languages of Kokoro's voices, and how each is read.

A voice's first letter names its language, as published: ``af_heart`` speaks American English.  All
but Japanese and Mandarin are phonemised by espeak-ng; for those two the model was trained on the
output of language-specific front ends (misaki's ja and zh) that espeak's does not resemble, and
they are refused rather than read badly.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.errors import InvalidValue

NBSP = "\u00a0"


class Accent(Enum):
    """Which symbols the model was trained on for a language."""

    AMERICAN = "american"
    BRITISH = "british"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Language:
    """``letter`` begins the names of its voices; ``selector`` is espeak's file of the language.

    ``joiner`` stands between the words that espeak is given.  A no-break space keeps espeak from
    fusing words that its dictionary lists as a phrase ("of the" → ``ʌvðə``), so that each keeps its
    own phonemes, but leaves sounds that depend on neighbours as they are ("the" before a vowel,
    the liaison in "les amis").  Italian and Spanish fuse nothing; Portuguese would lose its sandhi.
    """

    tag: str
    letter: str
    name: str
    selector: str
    accent: Accent = Accent.OTHER
    joiner: str = " "


LANGUAGES = (
    Language("en-us", "a", "American English", "gmw/en-US", Accent.AMERICAN, NBSP),
    Language("en-gb", "b", "British English", "gmw/en", Accent.BRITISH, NBSP),
    Language("es", "e", "Spanish", "roa/es"),
    Language("fr", "f", "French", "roa/fr", joiner=NBSP),
    Language("hi", "h", "Hindi", "inc/hi"),
    Language("it", "i", "Italian", "roa/it"),
    Language("pt-br", "p", "Brazilian Portuguese", "roa/pt-BR"),
    Language("ja", "j", "Japanese", ""),
    Language("zh", "z", "Mandarin", ""),
)
"""In the order in which voices are listed; an empty selector means that it can't be read."""

BY_LETTER = {language.letter: language for language in LANGUAGES}

_ALIASES = {"en": "en-us", "en-uk": "en-gb", "pt": "pt-br", "cmn": "zh"}


def find_language(tag: str) -> Language:
    """The language that BCP 47 ``tag`` means: the longest prefix known (RFC 4647, section 3.4).

    "en" alone and unknown kinds of English are American.  Raises InvalidValue (``language``) for
    one that no Kokoro voice speaks, or that can't be read here.
    """
    prefix = tag.strip().lower().replace("_", "-")
    known = {language.tag: language for language in LANGUAGES}
    while prefix:
        language = known.get(_ALIASES.get(prefix, prefix))
        if language is not None:
            return _readable(language)
        prefix = prefix.rpartition("-")[0]
    spoken = ", ".join(language.tag for language in LANGUAGES if language.selector)
    raise InvalidValue(
        f"language: Kokoro does not speak {tag!r}; it speaks {spoken}", field="language"
    )


def _readable(language: Language) -> Language:
    if not language.selector:
        raise InvalidValue(
            f"language: Kokoro's {language.name} voices need a front end of their own "
            f"(misaki's {language.tag}), which this gateway does not have",
            field="language",
        )
    return language
