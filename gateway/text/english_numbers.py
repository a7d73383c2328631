"""How English reads what begins with a digit: dates, times, telephone numbers, quantities.

The order of ``NUMBER_RULES`` matters: from the most special form to the plain number.
"""

from __future__ import annotations

import re
import unicodedata

from gateway.text.abbreviations import words
from gateway.text.numbers import (
    cardinal,
    decade,
    digits,
    fraction,
    integer,
    is_one,
    number,
    ordinal,
    year,
)
from gateway.text.rules import MONTH, MONTHS, NUMBER, Context, Reading, Rule, rule
from gateway.text.units import ATTACHED_ONLY, CURRENCIES, DOLLARS, SCALES, UNITS, british

_Match = re.Match[str]

_YEAR_CONTEXT = words(
    "in since by from until till of during before after around circa early mid late year "
    "between and to spring summer autumn fall winter © copyright the ( january february march "
    "april may june july august september october november december"
)
VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"


def _whole(match: _Match, words: str) -> Reading:
    return words, match.end()


# -- dates ----------------------------------------------------------------------------------------


def spoken_date(context: Context, day: int, month: int, year_number: int | None) -> str | None:
    """ "March third, twenty twenty-five"; British English puts the day first."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    when = "" if year_number is None else year(year_number, context.british)
    if context.british:
        return _day_first(context, day, month, when)
    return f"{MONTHS[month - 1]} {ordinal(day)}" + (f", {when}" if when else "")


def _day_first(context: Context, day: int, month: int, when: str) -> str:
    article = "" if context.previous.lower() == "the" else "the "
    return f"{article}{ordinal(day)} of {MONTHS[month - 1]}" + (f" {when}" if when else "")


def month_number(name: str) -> int:
    """1–12 for a name as MONTH matches it."""
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


def _iso_date(match: _Match, context: Context) -> Reading:
    words = spoken_date(context, int(match[3]), int(match[2]), int(match[1]))
    if words is None:
        return None
    if match[4]:
        clock = _clock(int(match[4]), int(match[5]), int(match[6] or 0) or None, "")
        words += f", {clock}" + (" UTC" if match[7] else "")
    return _whole(match, words)


def _slash_date(match: _Match, context: Context) -> Reading:
    first, second, when = int(match[1]), int(match[2]), int(match[3])
    month, day = (second, first) if context.british else (first, second)
    if month > 12:
        month, day = day, month
    if len(match[3]) == 2:
        when += 2000 if when < 70 else 1900
    words = spoken_date(context, day, month, when)
    return None if words is None else _whole(match, words)


def _day_month(match: _Match, context: Context) -> Reading:
    day = int(match[1])
    if not 1 <= day <= 31:
        return None
    when = year(int(match[3]), context.british) if match[3] else ""
    return _whole(match, _day_first(context, day, month_number(match[2]), when))


# -- times and telephone numbers ------------------------------------------------------------------


def _clock(hour: int, minute: int, second: int | None, half: str) -> str:
    if half:
        words = cardinal(hour or 12)
        if minute:
            words += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif 1 <= hour <= 12:
        words = f"{cardinal(hour)} o'clock"
    else:
        words = "midnight" if hour in (0, 24) else f"{cardinal(hour)} hundred"
    if second is not None:
        words += f" and {cardinal(second)} second{'' if second == 1 else 's'}"
    return f"{words} {half}" if half else words


def _time(match: _Match, context: Context) -> Reading:
    hour, minute = int(match[1]), int(match[2])
    second = int(match[3]) if match[3] else None
    if hour > 24 or minute > 59 or (second or 0) > 59:
        return None
    half = f"{match[4].upper()}M" if match[4] else ""
    return _clock(hour, minute, second, half), _before_stop(match, context)


def _hour(match: _Match, context: Context) -> Reading:
    hour = int(match[1])
    if hour > 12:
        return None
    return f"{cardinal(hour)} {match[2].upper()}M", _before_stop(match, context)


def _before_stop(match: _Match, context: Context) -> int:
    """End of the match; before its full stop if that ends the sentence too ("at 5 p.m.")."""
    stops = match[0].endswith(".") and context.ends_sentence(match.end())
    return match.end() - stops


def _ratio(match: _Match, context: Context) -> Reading:
    return _whole(match, f"{integer(match[1])} to {integer(match[2])}")


def _telephone(match: _Match, context: Context) -> Reading:
    groups = re.findall(r"\d+", match[0])
    words = ", ".join(digits(group) for group in groups)
    return _whole(match, f"plus {words}" if match[0].startswith("+") else words)


def _dotted(match: _Match, context: Context) -> Reading:
    """Versions, and addresses of the Internet Protocol."""
    parts = match[0].split(".")
    address = len(parts) == 4 and all(int(part) <= 255 for part in parts)
    return _whole(match, (" dot " if address else " point ").join(map(integer, parts)))


# -- numbers --------------------------------------------------------------------------------------


def _ordinal(match: _Match, context: Context) -> Reading:
    return _whole(match, ordinal(int(match[1].replace(",", "")), context.british))


def _decade(match: _Match, context: Context) -> Reading:
    value = int(match[1])
    if 100 <= value < 1100 or value > 2100 or value < 20:
        return None
    return _whole(match, decade(value))


def _fraction(match: _Match, context: Context) -> Reading:
    whole, top, bottom = match[1], int(match[2]), int(match[3])
    if (match[2], match[3]) in (("24", "7"), ("9", "11")):
        return _whole(match, f"{cardinal(top)} {cardinal(bottom)}")
    if bottom == 0 or (whole and top >= bottom):
        return None
    return _whole(match, _mixed(whole, top, bottom, context))


def _vulgar(match: _Match, context: Context) -> Reading:
    top, bottom = unicodedata.normalize("NFKC", match[2]).split("⁄")
    return _whole(match, _mixed(match[1], int(top), int(bottom), context))


def _mixed(whole: str | None, top: int, bottom: int, context: Context) -> str:
    part = fraction(top, bottom, context.british)
    if not whole:
        return part
    if (top, bottom) in ((1, 2), (1, 4)):
        part = "a " + part.removeprefix("one ")
    return f"{integer(whole, context.british)} and {part}"


def _years(match: _Match, context: Context) -> Reading:
    """ "1990–2000", "2024-25"."""
    first, second = int(match[1]), int(match[2])
    if not 1010 <= first <= 2099:
        return None
    return _whole(match, f"{year(first, context.british)} to {year(second, context.british)}")


_ERA = re.compile(r" (?:AD|BC|CE|BCE)\b")


def _year(match: _Match, context: Context) -> Reading:
    """Four digits are a year behind a word such as "in", in brackets, or before an era."""
    value = int(match[1])
    known = context.previous.lower() in _YEAR_CONTEXT or context.before(match.start()) == "("
    era = _ERA.match(context.text, match.end())
    if not (1010 <= value <= 2099 and (known or era)):
        return None
    return _whole(match, year(value, context.british))


def _dimensions(match: _Match, context: Context) -> Reading:
    parts = [part for part in match.groups() if part]
    return _whole(match, " by ".join(number(part, context.british) for part in parts))


def _times(match: _Match, context: Context) -> Reading:
    return _whole(match, f"{number(match[1], context.british)} times")


def _feet(match: _Match, context: Context) -> Reading:
    feet, inches = match[1], match[2]
    words = f"{integer(feet)} {'foot' if is_one(feet) else 'feet'}"
    return _whole(match, f"{words} {integer(inches)} {'inch' if is_one(inches) else 'inches'}")


_UNIT = re.compile(
    r"( ?)(" + "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)) + r")(?![\w²³/°%])"
    r"(?!-[A-Za-z])"
)
_PER_UNIT = re.compile(
    r"( ?)(" + "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)) + r")(?=/[a-z])"
)
_CODES = re.compile(r" ?(" + "|".join(map(re.escape, CURRENCIES)) + r")(?!\w)")
_SCALE = re.compile(r" (hundred|thousand|million|billion|trillion)(?!\w)")


def _quantity(match: _Match, context: Context) -> Reading:
    """A number with what is counted: "5 km", "20°C", "10%", "3 million €"."""
    written, end = match[0], match.end()
    words = number(written, context.british)
    scale = _SCALE.match(context.text, end)
    amount_end = scale.end() if scale else end
    money = _CODES.match(context.text, amount_end)
    if money:
        amount = f"{words}{scale[0] if scale else ''}"
        currency = CURRENCIES[money[1]]
        one = is_one(written) and not scale
        return f"{amount} {currency.one if one else currency.many}", money.end()
    unit = _UNIT.match(context.text, end) or _PER_UNIT.match(context.text, end)
    if unit and not (unit[1] and unit[2] in ATTACHED_ONLY):
        name = UNITS[unit[2]][0 if is_one(written) else 1]
        return f"{words} {british(name) if context.british else name}", unit.end()
    return None


def _plain(match: _Match, context: Context) -> Reading:
    return _whole(match, number(match[0], context.british))


def _long(match: _Match, context: Context) -> Reading:
    return _whole(match, digits(match[0]))


def _mixture(match: _Match, context: Context) -> Reading:
    """Letters and digits: "B2B", "GPT-4", "10-year-old", "mid-1990s"."""
    parts = match[0].split("-")
    if len(parts) > 1 and parts[0].isdecimal() and parts[1][:1].isdecimal():
        return None
    if match[0].isalpha() or not any(char.isalpha() for char in match[0]):
        return None
    if not any(char.isdecimal() for char in match[0]):
        return None
    return _whole(match, " ".join(_mixed_part(part, context) for part in parts if part))


_DECADE = re.compile(r"(\d{3}0|[2-9]0)s")
_ORDINAL = re.compile(r"(\d{1,9})(?:st|nd|rd|th)", re.IGNORECASE)
_PIECES = re.compile(r"[^\W\d_]+|\d+")


def _mixed_part(part: str, context: Context) -> str:
    for pattern, read in ((_DECADE, _decade), (_ORDINAL, _ordinal)):
        match = pattern.fullmatch(part)
        reading = read(match, context) if match else None
        if reading:
            return reading[0]
    return " ".join(_piece(piece) for piece in _PIECES.findall(part))


def _piece(piece: str) -> str:
    if not piece.isdecimal():
        return piece
    return integer(piece) if len(piece) <= 4 else digits(piece)


def spoken_pieces(written: str) -> str:
    """Letters as they are, short numbers as cardinals, everything else left out."""
    return " ".join(_piece(piece) for piece in _PIECES.findall(written))


MIXTURE = rule(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,8}(?![^\W_])", _mixture)

NUMBER_RULES: tuple[Rule, ...] = (
    rule(r"\d{16,}(?:\.\d+)?", _plain),
    rule(
        r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?(Z)?)?(?![\w-])",
        _iso_date,
    ),
    rule(
        r"(?:\d{1,3}[ .-])?(?:\d{3}[.-]|\(\d{3}\) ?)\d{3}[.-]\d{4}(?![\d-])"
        r"|\d{3}-\d{4}(?![\d-])|\d{3}-\d{2}-\d{4}(?![\d-])"
        r"|0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}(?![\d-])",
        _telephone,
    ),
    rule(r"\d{1,5}(?:\.\d{1,5}){2,5}(?![\w]|\.\d)", _dotted),
    rule(
        r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])(?:\.[Mm](?:\.|(?!\w))|[Mm](?!\w)))?(?![\d:])",
        _time,
    ),
    rule(r"(\d{1,2}) ?([AaPp])(?:\.[Mm](?:\.|(?!\w))|[Mm](?!\w))", _hour),
    rule(r"(\d{1,4}):(\d{1,4})(?![\d:])", _ratio),
    rule(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])", _slash_date),
    rule(r"(?:(\d{1,3}) )?(\d{1,4})/(\d{1,4})(?![\w/])", _fraction),
    rule(rf"(\d{{1,3}})? ?([{VULGAR}])", _vulgar),
    rule(
        rf"(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({MONTH})\.?(?:,? (\d{{4}})(?!\d))?(?!\w)",
        _day_month,
    ),
    rule(r"(\d{4})[-–](\d{4}|\d{2})(?![\w-])", _years),
    rule(r"(\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?:st|nd|rd|th)(?!\w)", _ordinal, re.IGNORECASE),
    rule(r"(\d{3}0|\d0)s(?!\w)", _decade),
    rule(rf"({NUMBER})(?:×| ?x ?)({NUMBER})(?:(?:×| ?x ?)({NUMBER}))?(?!\w)", _dimensions),
    rule(rf"({NUMBER})[x×](?!\w)", _times),
    rule(r"(\d{1,2})['’] ?(\d{1,2})(?:\"|''|”)", _feet),
    rule(NUMBER, _quantity),
    MIXTURE,
    rule(r"(\d{4})(?![\d,.]\d|\w)", _year),
    rule(NUMBER, _plain),
    rule(r"\d+", _long),
)

# -- money ----------------------------------------------------------------------------------------


def _money(match: _Match, context: Context) -> Reading:
    kind, symbol, written = match[1], match[2], match[3].replace(",", "")
    currency = CURRENCIES[symbol]
    scale = match[4] or SCALES.get(match[5] or "", "")
    nation = f"{DOLLARS[kind]} " if kind else ""
    whole, _, cents = written.partition(".")
    if scale:
        words = f"{number(match[3], context.british)} {scale} {nation}{currency.many}"
    elif currency.minor and len(cents) == 2 and len(whole) <= 15:
        words = _with_cents(int(whole), int(cents), symbol, nation, context)
    else:
        name = currency.one if is_one(written) else currency.many
        words = f"{number(match[3], context.british)} {nation}{name}"
    return _whole(match, words)


def _with_cents(whole: int, cents: int, symbol: str, nation: str, context: Context) -> str:
    currency = CURRENCIES[symbol]
    name = nation + (currency.one if whole == 1 else currency.many)
    major = f"{cardinal(whole, context.british)} {name}"
    minor = f"{cardinal(cents)} {currency.minor_one if cents == 1 else currency.minor}"
    if not cents:
        return major
    return f"{major} and {minor}" if whole else minor


_SYMBOLS = "".join(symbol for symbol in CURRENCIES if len(symbol) == 1)

MONEY = rule(
    rf"(?:(US|CA|C|AU|A|NZ|HK|S)(?=\$))?([{_SYMBOLS}]) ?({NUMBER})"
    r"(?: (hundred|thousand|million|billion|trillion)(?!\w)|(k|K|mn?|M|bn?|B|tn?|T)(?!\w))?",
    _money,
)
PLUS_TELEPHONE = rule(
    r"\+\d{1,3}(?:[ .-]?\(?\d{2,5}\)?){2,5}(?![\d])|\(\d{3}\) ?\d{3}[ .-]\d{4}(?!\d)", _telephone
)
