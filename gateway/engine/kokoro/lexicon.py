"""The user's pronunciations: word → symbols, which override what espeak-ng thinks.

Three kinds of files, told apart by their ending:

    .tsv    Kokoro<TAB>kˈOkəɹO                    one a line; "#" begins a comment
    .toml   Kokoro = "kˈOkəɹO"
    .json   {"Kokoro": "kˈOkəɹO", "bass": {"DEFAULT": "bˈAs", "NOUN": "bˈæs"}}

The last is the format of misaki's dictionaries (us_gold.json and others, Apache-2.0), on which the
model was trained; of words with several readings DEFAULT is taken.

Pronunciations are in Kokoro's own symbols (symbols.py): ``A`` for eɪ, ``ʤ`` for dʒ, stress before
the vowel.  Two slips are forgiven: the ASCII letter g for ɡ, and a colon for ː.

Case: a word with a capital letter in the lexicon means just that spelling ("Polish", "US"); one in
small letters means any spelling of it.  A possessive 's is added to the word without it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.engine.kokoro.languages import LANGUAGES, Accent, Language
from gateway.engine.kokoro.symbols import TOKENS
from gateway.errors import SetupError

SETTING = "engine.kokoro.lexicons"

_FORGIVEN = str.maketrans({"g": "ɡ", ":": "ː"})
_AS_ENGLISH_WAS_TRAINED = str.maketrans({"ɾ": "T", "ʔ": "t"})
_HINTS = {"'": "write stress as ˈ", "G": "write ɡ"}
_SIBILANT = tuple("szʃʒʧʤ")
_VOICELESS = tuple("ptkfθT")
_DEFAULT = "DEFAULT"


class Lexicon:
    """Pronunciations of one language."""

    def __init__(self, language: Language, entries: Mapping[str, str]) -> None:
        self._accent = language.accent
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, word: str) -> str | None:
        """The symbols for ``word`` as it is written in the text, if the lexicon has it."""
        spelled = word.replace("’", "'")
        found = self._find(spelled) or self._find(spelled.strip("'"))
        if found is None and self._accent is not Accent.OTHER and spelled.lower().endswith("'s"):
            base = self._find(spelled[:-2])
            return None if base is None else base + self._plural(base)
        return found

    def _find(self, word: str) -> str | None:
        return self._entries.get(word) or self._entries.get(word.lower())

    def _plural(self, base: str) -> str:
        if base.endswith(_SIBILANT):
            return "ᵻz" if self._accent is Accent.AMERICAN else "ɪz"
        return "s" if base.endswith(_VOICELESS) else "z"


def load_lexicons(entries: Sequence[str]) -> dict[str, Lexicon]:
    """The lexicons of ``engine.kokoro.lexicons``, by the tag of the language.

    Each entry is ``language=file``; of two files for one language the later wins, word by word.
    "en" means all kinds of English.  Raises SetupError that names the entry, file, line or word.
    """
    words: dict[str, dict[str, str]] = {}
    for entry in entries:
        tag, equals, name = entry.partition("=")
        languages = _languages(tag.strip().lower())
        if not equals or not languages:
            known = ", ".join(language.tag for language in LANGUAGES)
            raise SetupError(
                f"{SETTING}: {entry!r} should be language=file with a language of {known}, or en",
                field=SETTING,
            )
        for language in languages:
            words.setdefault(language.tag, {}).update(_read(Path(name.strip()), language))
    by_tag = {language.tag: language for language in LANGUAGES}
    return {tag: Lexicon(by_tag[tag], found) for tag, found in words.items()}


def _languages(tag: str) -> list[Language]:
    return [each for each in LANGUAGES if each.tag == tag or each.tag.startswith(f"{tag}-")]


def _read(file: Path, language: Language) -> dict[str, str]:
    readers = {".tsv": _read_tsv, ".toml": _read_toml, ".json": _read_json}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise SetupError(f"{SETTING}: {file} should end in {', '.join(readers)}", field=SETTING)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(
            f"{SETTING}: cannot read {file}: {error.strerror}", field=SETTING
        ) from error
    except UnicodeDecodeError as error:
        raise SetupError(f"{SETTING}: {file} is not UTF-8", field=SETTING) from error
    return {
        word.replace("’", "'"): _checked(phonemes, f"{file}, {place}", language)
        for word, phonemes, place in reader(text, file)
    }


def _read_tsv(text: str, file: Path) -> Iterator[tuple[str, Any, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        word, tab, phonemes = line.partition("\t")
        if not tab:
            raise SetupError(
                f"{SETTING}: {file}, line {number}: there is no tab between word and phonemes",
                field=SETTING,
            )
        yield word.strip(), phonemes.strip(), f"line {number}"


def _read_toml(text: str, file: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{SETTING}: {file} is no valid TOML: {error}", field=SETTING) from error
    for word, phonemes in table.items():
        yield word, phonemes, f"word {word!r}"


def _read_json(text: str, file: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        table = json.loads(text)
    except ValueError as error:
        raise SetupError(f"{SETTING}: {file} is no valid JSON: {error}", field=SETTING) from error
    if not isinstance(table, dict):
        raise SetupError(f"{SETTING}: {file} should be an object of words", field=SETTING)
    for word, phonemes in table.items():
        reading = phonemes.get(_DEFAULT) if isinstance(phonemes, dict) else phonemes
        yield word, reading, f"word {word!r}"


def _checked(phonemes: Any, place: str, language: Language) -> str:
    if not isinstance(phonemes, str) or not phonemes.strip():
        raise SetupError(f"{SETTING}: {place}: the pronunciation is no text", field=SETTING)
    symbols = phonemes.strip().translate(_FORGIVEN)
    if language.accent is not Accent.OTHER:
        symbols = symbols.translate(_AS_ENGLISH_WAS_TRAINED)
    for symbol in symbols:
        if symbol not in TOKENS:
            hint = f"; {_HINTS[symbol]}" if symbol in _HINTS else ""
            raise SetupError(
                f"{SETTING}: {place}: Kokoro has no symbol {symbol!r} (U+{ord(symbol):04X}){hint}",
                field=SETTING,
            )
    return symbols
