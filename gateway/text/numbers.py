"""Numbers as words, English in full and plain cardinals in the languages of num2words.

American English says "one hundred five", British "one hundred and five"; commas, which num2words
puts between the groups, would be heard as pauses and are taken out.  More than 15 digits are read
one by one: nobody follows quadrillions, and the cost of big integers stays bounded.

num2words brings 50 languages, which take 0.08 s to import: ``prepare`` does so, in a thread while
the gateway starts; who comes sooner waits for it.
"""

from __future__ import annotations

import re
from functools import lru_cache

DIGITS_MAX = 15

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_UNSAFE_LANGUAGES = frozenset({"ja", "ko", "th", "zh", "en"})
"""Written with numerals of their own that engines read less well than digits; English is ours."""


def prepare() -> None:
    """Load what the first number needs."""
    import num2words  # noqa: F401


def _words(value: int, **how: str) -> str:
    from num2words import num2words

    return str(num2words(value, **how))


@lru_cache(maxsize=4096)
def cardinal(value: int, british: bool = False) -> str:
    """ "one hundred five"; ``abs(value)`` below 10**15."""
    return _plain(_words(value), british)


@lru_cache(maxsize=4096)
def ordinal(value: int, british: bool = False) -> str:
    """ "one hundred fifth"; ``value`` not negative."""
    return _plain(_words(value, to="ordinal"), british)


def _plain(words: str, british: bool) -> str:
    words = words.replace(",", "")
    return words if british else words.replace(" and ", " ")


@lru_cache(maxsize=1024)
def cardinal_in(value: int, language: str) -> str | None:
    """The cardinal in another language ("pt-br", "de"), or None if it is better left as digits."""
    from num2words import CONVERTER_CLASSES

    base, _, region = language.partition("-")
    names = [f"{base}_{region.upper()}", base]
    name = next((name for name in names if name in CONVERTER_CLASSES), None)
    if name is None or base in _UNSAFE_LANGUAGES:
        return None
    try:
        words = _words(value, lang=name)
    except (NotImplementedError, OverflowError, IndexError, KeyError, TypeError, ValueError):
        return None
    return words.replace(",", "") or None


def digits(written: str) -> str:
    """Each digit by itself; other characters are left out."""
    return " ".join(_DIGITS[int(char)] for char in written if char.isdecimal())


def integer(written: str, british: bool = False) -> str:
    """ "1,234" as a cardinal; "007" and very long ones digit by digit."""
    plain = written.replace(",", "")
    if len(plain) > DIGITS_MAX or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return cardinal(int(plain), british)


def number(written: str, british: bool = False) -> str:
    """ "1,234.50" → "one thousand two hundred thirty-four point five zero"."""
    whole, point, fraction = written.partition(".")
    if not point or not fraction:
        return integer(whole, british)
    return f"{integer(whole or '0', british)} point {digits(fraction)}"


def is_one(written: str) -> bool:
    """Whether a unit behind the number is in the singular."""
    return written.lstrip("0") == "1"


def year(value: int, british: bool = False) -> str:
    """1905 → "nineteen oh five", 2005 → "two thousand five", 2024 → "twenty twenty-four"."""
    century, rest = divmod(value, 100)
    if value < 1010 or value > 2099 or 2000 <= value <= 2009:
        return cardinal(value, british)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(value: int) -> str:
    """1990 → "nineteen nineties", 80 → "eighties"; ``value`` ends in 0."""
    words = cardinal(value) if value < 100 else year(value)
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + "s"


def fraction(numerator: int, denominator: int, british: bool = False) -> str:
    """ "three quarters", "one half", "seven over one hundred"."""
    top = cardinal(numerator, british)
    if denominator == 2:
        return f"{top} {'half' if numerator == 1 else 'halves'}"
    if denominator == 4:
        return f"{top} {'quarter' if numerator == 1 else 'quarters'}"
    if not 3 <= denominator <= 20 and denominator not in (100, 1000):
        return f"{top} over {cardinal(denominator, british)}"
    part = ordinal(denominator, british).removeprefix("one ")
    return f"{top} {part if numerator == 1 else part + 's'}"


_ROMAN = re.compile(r"(?=[IVXL])(XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50}


def roman(written: str) -> int | None:
    """Value of a Roman numeral below 90, or None."""
    if not _ROMAN.fullmatch(written):
        return None
    values = [_ROMAN_DIGITS[char] for char in written]
    following = [*values[1:], 0]
    return sum(-v if v < n else v for v, n in zip(values, following, strict=True))
