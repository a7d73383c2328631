"""The voices of espeak-ng under names that fit in a URL.

espeak combines a *language* (how words sound: ``gmw/en-US``) with a *variant* (who says them:
``klatt5``, ``f3``), and writes both as ``gmw/en-US+klatt5``.  Here that voice is ``en-us.klatt5``,
since "+" means a space in a query string.  A language alone (``en-us``, ``de``) speaks with the
variant that suits it best, ``plain`` (``en-us.plain``) with none.

There are some 130 languages and 100 variants.  Listed is each language once, and English with a few
variants; any pair is accepted, in either spelling.  espeak itself says nothing about a variant that
does not exist and opens whatever file ``en-us+../../x`` names, so only names from its own lists get
through.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.engine.base import Voice
from gateway.errors import InvalidValue

ENGINE_NAME = "espeak"
DEFAULT_LANGUAGE = "en-us"

BEST_VARIANT = {"en": "klatt5"}
"""Per primary language.  Word errors of pocketsphinx on 22 sentences in American English: klatt5
55 %, klatt4 60 %, f5 61 %, f2 64 %, klatt6 67 %, klatt3 68 %, none 80 %.  Unknown for others."""

LISTED_VARIANTS = {
    "en-us": ("plain", "klatt4", "klatt6", "f2", "f5"),
    "en-gb": ("plain", "klatt4", "f2", "f5"),
}

ALIASES = {"en": DEFAULT_LANGUAGE}
"""Names that espeak would give to another voice: its ``en`` is British."""

WITHOUT_DICTIONARY = frozenset({"gmq/fo", "trk/kaa", "art/xex"})
"""Languages that espeakng-loader 0.2.4 lists but cannot speak: they give silence."""

PLAIN = "plain"

_GENDERS = {"1": "male", "2": "female"}


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice, and what espeak calls it (``gmw/en-US+klatt5``)."""

    voice: Voice
    selector: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of espeak's list: ``languages`` are (priority, tag), a low priority coming first."""

    name: str
    file: str
    gender: str
    languages: tuple[tuple[int, str], ...]

    @property
    def stem(self) -> str:
        """Last part of the file's name as it appears in an id."""
        return self.file.rpartition("/")[2].lower().replace(" ", "-")


class VoiceTable:
    """All voices of one espeak-ng, parsed from the VOICES frame of a worker."""

    def __init__(self, listing: str) -> None:
        entries = [_parse(line) for line in listing.splitlines()]
        self._variants = {entry.stem: entry for entry in entries if _is_variant(entry)}
        self._languages = _languages_by_id(
            entry
            for entry in entries
            if not _is_variant(entry) and entry.file not in WITHOUT_DICTIONARY
        )
        self._aliases = _aliases(self._languages)
        self._listed = tuple({voice.id: voice for voice in self._listed_voices()}.values())

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices worth listing: of each language first the one that its name alone means."""
        return self._listed

    def resolve(self, voice_id: str) -> EspeakVoice:
        """The voice that ``voice_id`` names.

        Takes ``de``, ``en-us.klatt5``, espeak's own ``en-us+klatt5``, other names of a language
        (``en``, ``zh``, ``fr``), any case, and "_" for "-".  Raises InvalidValue with the field
        ``voice`` and the nearest names.
        """
        spelled = voice_id.strip().lower().replace("_", "-").replace("+", ".").replace(" ", ".")
        tag, dot, variant = spelled.partition(".")
        language = self._aliases.get(tag)
        if language is None or (dot and variant != PLAIN and variant not in self._variants):
            raise self._unknown(voice_id, language, variant)
        return self._combine(language, variant or None)

    def for_language(self, tag: str) -> EspeakVoice:
        """The voice for a BCP 47 tag: the longest prefix that is known (RFC 4647, section 3.4).

        Raises InvalidValue with the field ``language``.
        """
        prefix = tag.strip().lower().replace("_", "-")
        while prefix:
            if prefix in self._aliases:
                return self._combine(self._aliases[prefix], None)
            prefix = prefix.rpartition("-")[0]
        raise InvalidValue(
            f"language: no espeak-ng voice speaks {tag!r}; list them with: voice-gateway voices",
            field="language",
        )

    def _combine(self, language: str, variant: str | None) -> EspeakVoice:
        entry = self._languages[language]
        best = BEST_VARIANT.get(language.partition("-")[0], PLAIN)
        best = best if best in self._variants else PLAIN
        spoken = variant or best
        speaker = self._variants[spoken] if spoken != PLAIN else None
        variant_id = "" if spoken == best else f".{spoken}"
        voice = Voice(
            id=language + variant_id,
            name=f"{entry.name}, {_friendly(speaker.name)}" if speaker else entry.name,
            language=language,
            engine=ENGINE_NAME,
            gender=_GENDERS.get((speaker or entry).gender, ""),
            description="formant synthesis by espeak-ng",
        )
        selector = f"{entry.file}+{speaker.file.removeprefix('!v/')}" if speaker else entry.file
        return EspeakVoice(voice, selector)

    def _listed_voices(self) -> Iterable[Voice]:
        for language in sorted(self._languages, key=self._listing_order):
            yield self._combine(language, None).voice
            for variant in LISTED_VARIANTS.get(language, ()):
                if variant == PLAIN or variant in self._variants:
                    yield self._combine(language, variant).voice

    def _listing_order(self, language: str) -> tuple[str, bool, str]:
        """By primary language, what that alone means first: ``fr`` means ``fr-fr``."""
        primary = language.partition("-")[0]
        return primary, self._aliases.get(primary) != language, language

    def _unknown(self, voice_id: str, language: str | None, variant: str) -> InvalidValue:
        if language is None:
            known, wanted = [*self._aliases], voice_id.lower()
        else:
            known = [f"{language}.{name}" for name in (*self._variants, PLAIN)]
            wanted = f"{language}.{variant}"
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return InvalidValue(
            f"voice: espeak-ng has no voice {voice_id!r}; {hint}"
            "list them with: voice-gateway voices",
            field="voice",
        )


def _parse(line: str) -> _Entry:
    name, file, gender, *languages = line.split("\t")
    pairs = (language.partition("=") for language in languages)
    return _Entry(
        name.strip(), file, gender, tuple((int(priority), tag) for priority, _, tag in pairs)
    )


def _is_variant(entry: _Entry) -> bool:
    return entry.file.startswith("!v/")


def _languages_by_id(entries: Iterable[_Entry]) -> dict[str, _Entry]:
    """Each language under its first tag, or its file's name where another one has that tag."""
    by_id: dict[str, _Entry] = {}
    for entry in entries:
        tag = entry.languages[0][1]
        by_id[entry.stem if tag in by_id else tag] = entry
    return by_id


def _aliases(languages: Mapping[str, _Entry]) -> dict[str, str]:
    """Every name of a language and its id; an id wins, then the better priority."""
    candidates = [
        (priority, tag, language)
        for language, entry in languages.items()
        for priority, tag in ((0, language), *entry.languages, (100, entry.stem))
    ]
    aliases: dict[str, str] = {}
    for _, tag, language in sorted(candidates):
        aliases.setdefault(tag, language)
    return aliases | {tag: language for tag, language in ALIASES.items() if language in languages}


def _friendly(variant: str) -> str:
    """``klatt4`` as "Klatt 4", ``female2`` as "Female 2", ``Alicia`` as it is."""
    stem = variant.rstrip("0123456789")
    number = variant[len(stem) :]
    return f"{stem[:1].upper()}{stem[1:].replace('_', ' ')} {number}".rstrip()
