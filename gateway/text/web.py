"""How addresses are read: "https://example.com/a-b" → "example dot com slash a dash b".

Scheme, "www." and a closing slash say nothing to a listener.  Of an address longer than 60
characters only the host is read: nobody writes down the rest by ear.
"""

from __future__ import annotations

import re

from gateway.text.numbers import digits, integer

SPOKEN_CHARS_MAX = 60

_TLDS = (
    "com org net edu gov mil int io ai dev app co info biz me tv us uk ca au de fr es it nl eu ch "
    "at be se no dk fi pl pt jp cn in br ru xyz online site tech cloud blog"
)
_TLD = "(?:" + "|".join(_TLDS.split()) + ")"
_PATH = r"(?:[/?#][^\s<>\"“”]{0,1000})?"
URL = re.compile(r"(?:https?://|ftp://|www\.)[^\s<>\"“”]{1,2000}", re.IGNORECASE)
DOMAIN = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9-]{{0,62}}\.){{1,5}}{_TLD}(?![\w@-])(?!\.\w)(?::\d{{1,5}})?{_PATH}"
)
EMAIL = re.compile(
    r"[\w.+%-]{1,64}@[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{1,63}){1,5}(?![\w@])"
)

_ENGLISH = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    ":": "colon",
    "@": "at",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "+": "plus",
    "~": "tilde",
}
_MARKS = {
    "en": _ENGLISH,
    "de": {".": "Punkt", "/": "Schrägstrich", "-": "Minus", "_": "Unterstrich", "@": "at"},
    "fr": {".": "point", "/": "slash", "-": "tiret", "_": "tiret bas", "@": "arobase"},
    "es": {".": "punto", "/": "barra", "-": "guion", "_": "guion bajo", "@": "arroba"},
    "it": {".": "punto", "/": "barra", "-": "trattino", "_": "trattino basso", "@": "chiocciola"},
    "pt": {".": "ponto", "/": "barra", "-": "hífen", "_": "sublinhado", "@": "arroba"},
    "nl": {
        ".": "punt",
        "/": "slash",
        "-": "streepje",
        "_": "liggend streepje",
        "@": "apenstaartje",
    },
}
_PIECE = re.compile(r"[^\W\d_]+|\d+|.", re.DOTALL)


def trim(written: str) -> str:
    """An address without the punctuation of the sentence around it."""
    while written:
        last = written[-1]
        if last in ".,;:!?'\"”’*_~`…" or (last in ")]}" and _unbalanced(written, last)):
            written = written[:-1]
        else:
            break
    return written


def _unbalanced(written: str, closing: str) -> bool:
    opening = {")": "(", "]": "[", "}": "{"}[closing]
    return written.count(closing) > written.count(opening)


def spoken_url(written: str, language: str) -> str:
    """Words for an address that ``trim`` has cut to size."""
    bare = re.sub(r"^(?:https?|ftp)://", "", written, flags=re.IGNORECASE)
    bare = re.sub(r"^www\.", "", bare, flags=re.IGNORECASE).rstrip("/")
    if len(bare) > SPOKEN_CHARS_MAX:
        bare = re.split(r"[/?#]", bare, maxsplit=1)[0][:SPOKEN_CHARS_MAX]
    return _spell(bare, language)


def spoken_email(written: str, language: str) -> str:
    """ "jo.b@example.com" → "jo dot b at example dot com"."""
    return _spell(written, language)


def _spell(written: str, language: str) -> str:
    base = language.partition("-")[0]
    marks = _MARKS.get(base, {})
    words = []
    for piece in _PIECE.findall(written):
        if piece.isdecimal():
            words.append(_digits(piece) if base == "en" else piece)
        elif piece.isalpha():
            words.append(piece)
        elif piece in marks:
            words.append(marks[piece])
    return " ".join(words)


def _digits(piece: str) -> str:
    return integer(piece) if len(piece) <= 2 else digits(piece)
