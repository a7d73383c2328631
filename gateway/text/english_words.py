"""How English reads what begins with a letter: abbreviations, numerals of kings, file names."""

from __future__ import annotations

import re

from gateway.text import web
from gateway.text.abbreviations import words
from gateway.text.english_numbers import MIXTURE, MONEY, month_number, spoken_date, spoken_pieces
from gateway.text.numbers import cardinal, number, ordinal, roman, year
from gateway.text.rules import MONTH, MONTHS, STARTERS, Context, Reading, Rule, rule

_Match = re.Match[str]

_TITLES = {
    "mr": "Mister",
    "mrs": "Missus",
    "ms": "Miz",
    "mx": "Mix",
    "prof": "Professor",
    "messrs": "Messieurs",
}
_ANY_CASE = {
    "vs": "versus",
    "etc": "et cetera",
    "approx": "approximately",
    "dept": "department",
    "ca": "circa",
    "cf": "compare",
    "viz": "namely",
    "hwy": "highway",
    "apt": "apartment",
    "asst": "assistant",
    "assoc": "associate",
    "govt": "government",
    "incl": "including",
    "esp": "especially",
    "ext": "extension",
}
_CAPITAL = {
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Adm": "Admiral",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Rev": "Reverend",
    "Fr": "Father",
    "Hon": "Honorable",
    "Pres": "President",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Co": "Company",
    "Corp": "Corporation",
    "Bros": "Brothers",
    "Univ": "University",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Mt": "Mount",
    "Ft": "Fort",
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_BEFORE_NUMBER = {
    "no": "number",
    "nos": "numbers",
    "nr": "number",
    "fig": "figure",
    "figs": "figures",
    "vol": "volume",
    "ch": "chapter",
    "chap": "chapter",
    "sec": "section",
    "sect": "section",
    "p": "page",
    "pp": "pages",
    "eq": "equation",
    "ver": "version",
    "art": "article",
    "par": "paragraph",
}
_DOTTED = {
    "e.g": "for example",
    "i.e": "that is",
    "a.m": "AM",
    "p.m": "PM",
    "ph.d": "PhD",
    "n.b": "note well",
    "w.r.t": "with regard to",
}
_BARE = {"Mr": "Mister", "Mrs": "Missus", "vs": "versus", "w/": "with", "w/o": "without"}


def _abbreviation(match: _Match, context: Context) -> Reading:
    """ "Dr.", "etc.", "No. 5": a name and a full stop."""
    written, end = match[1], match.end()
    low = written.lower()
    if low in ("st", "dr") and written[0].isupper():
        words = _saint_or_street(low, context, end)
    elif low in _BEFORE_NUMBER:
        words = _BEFORE_NUMBER[low] if re.match(r" ?[\d#]", context.text[end : end + 2]) else ""
    elif re.fullmatch(MONTH, written) and len(written) < 5 and low not in ("may", "june", "july"):
        words = MONTHS[month_number(written) - 1]
    else:
        words = _TITLES.get(low) or _ANY_CASE.get(low) or _CAPITAL.get(written) or ""
    if not words:
        return None
    keeps_stop = low not in _TITLES and context.ends_sentence(end)
    return words, end - keeps_stop


def _saint_or_street(low: str, context: Context, end: int) -> str:
    """Before a name it is a title, unless a house number or an ordinal stands before the street."""
    before = context.words[-2]
    in_address = before[:1].isdigit() or context.previous[:1].isdigit()
    named = re.match(r" [A-Z]", context.text[end : end + 2]) and not context.ends_sentence(end)
    if low == "st":
        return "Saint" if named and not in_address else "Street"
    return "Doctor" if (named and not in_address) or not context.previous else "Drive"


def _bare(match: _Match, context: Context) -> Reading:
    return _BARE[match[0]], match.end()


def _dotted_letters(match: _Match, context: Context) -> Reading:
    """ "U.S.", "e.g.", "J." before a name; the letters are read one by one."""
    written, end = match[0], match.end()
    letters = written.rstrip(".")
    if len(letters) == 1 and not _is_initial(context, end):
        return None
    words = _DOTTED.get(letters.lower()) or " ".join(letters.upper().split("."))
    keeps_stop = (
        written.endswith(".")
        and letters.lower() not in ("e.g", "i.e")
        and context.ends_sentence(end)
    )
    return words, end - keeps_stop


def _is_initial(context: Context, end: int) -> bool:
    following = re.match(r" ([A-Z][A-Za-z]*)", context.text[end : end + 16])
    return following is not None and following[1] not in STARTERS


_NUMBERED = words(
    "chapter part section volume act scene book article appendix title phase type war bowl level "
    "grade class stage version episode season round tier figure table unit mark category"
)
_MONARCHS = words(
    "henry louis elizabeth george charles edward james william richard philip philippe pius paul "
    "benedict leo gregory innocent clement urban alexander nicholas catherine peter ivan frederick "
    "otto ferdinand francis napoleon mary john victor ramses ptolemy thutmose harald olaf gustav "
    "christian haakon carl juan alfonso pedro isabella constantine theodosius boniface"
)


def _roman(match: _Match, context: Context) -> Reading:
    value = roman(match[0])
    if value is None:
        return None
    previous = context.previous.lower()
    if previous in _NUMBERED:
        return cardinal(value), match.end()
    pronoun = match[0] == "I" and re.match(r" [a-z]", context.text[match.end() : match.end() + 2])
    if previous in _MONARCHS and not pronoun:
        return f"the {ordinal(value)}", match.end()
    return None


def _month_day(match: _Match, context: Context) -> Reading:
    """ "March 3rd, 2025", "Mar. 3", "June 3–5"."""
    month, when = month_number(match[1]), int(match[4]) if match[4] else None
    day = int(match[2])
    if not 1 <= day <= 31:
        return None
    words = f"{MONTHS[month - 1]} {ordinal(day)}"
    if match[3]:
        words += f" to {ordinal(int(match[3]))}"
    elif context.british:
        words = spoken_date(context, day, month, None) or words
    if when is not None:
        words += (
            f", {year(when, context.british)}" if not context.british else f" {year(when, True)}"
        )
    return words, match.end()


def _month_year(match: _Match, context: Context) -> Reading:
    value = int(match[2])
    if not 1010 <= value <= 2099:
        return None
    return f"{MONTHS[month_number(match[1]) - 1]} {year(value, context.british)}", match.end()


def _version(match: _Match, context: Context) -> Reading:
    parts = match[1].split(".")
    if len(parts) == 2:
        return f"version {number(match[1])}", match.end()
    return "version " + " point ".join(number(part) for part in parts), match.end()


def _url(match: _Match, context: Context) -> Reading:
    written = web.trim(match[0])
    words = web.spoken_url(written, "en")
    return (words, match.start() + len(written)) if words else None


def _email(match: _Match, context: Context) -> Reading:
    written = web.trim(match[0])
    return web.spoken_email(written, "en"), match.start() + len(written)


def _file_name(match: _Match, context: Context) -> Reading:
    """ "main.py", "user.name", "Node.js"; but "end.Then" is a full stop without its space."""
    rest = match[0].partition(".")[2]
    if "." not in rest and len(rest) > 2 and rest[0].isupper() and rest[1:].islower():
        return None
    return " dot ".join(spoken_pieces(part) for part in match[0].split(".")), match.end()


def _letter_sharp(match: _Match, context: Context) -> Reading:
    marks = {"#": "sharp", "++": "plus plus"}
    return f"{match[1]} {marks[match[2]]}", match.end()


def _and_or(match: _Match, context: Context) -> Reading:
    return "and or", match.end()


WORD_RULES: tuple[Rule, ...] = (
    rule(web.URL.pattern, _url, re.IGNORECASE),
    rule(web.EMAIL.pattern, _email),
    rule(web.DOMAIN.pattern, _url),
    MONEY,
    rule(r"[vV](\d{1,5}(?:\.\d{1,5}){0,5})(?!\w|\.\d)", _version),
    rule(
        rf"({MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:[-–](\d{{1,2}}))?"
        r"(?:(?:,? )(\d{4})(?!\d|[,.]\d))?(?![\w%°]|[:.,]\d)",
        _month_day,
    ),
    rule(rf"({MONTH})\.?,? (\d{{4}})(?!\w|[:.,]\d)", _month_year),
    rule(r"(?:[A-Za-z]\.){1,8}(?:[A-Za-z](?![\w.]))?(?!\w)|[Pp]h\.?D\.?(?!\w)", _dotted_letters),
    rule(r"([A-Za-z]{1,7})\.(?![\w])", _abbreviation),
    rule(r"(?:Mr|Mrs|vs)(?![\w.])|w/o(?!\w)|w/(?= )", _bare),
    rule(r"and/or(?!\w)", _and_or),
    rule(r"[IVXL]{1,7}(?![\w'’]|-\w|\.\w)", _roman),
    rule(r"([A-Z])(#|\+\+)(?![\w#+])", _letter_sharp),
    rule(
        r"[A-Za-z_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62}){1,8}(?!\w)", _file_name
    ),
    MIXTURE,
)
