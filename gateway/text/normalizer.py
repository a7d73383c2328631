"""What an engine should read for a piece of the client's text, and which words stand for what.

    source ──markdown──► plain text ──English rules, or pass-through──► spoken text + alignment
    "**$5** 🎉"            "$5 "                                           "five dollars"

English is read in full: numbers, dates, money, units, abbreviations, addresses, symbols.  Other
languages keep their tokens (see ``passthrough``).  Marks that carry prosody (. , ? ! : ; — …) stay;
brackets become commas; quotation marks, emoji and markup vanish.  Nothing raises, whatever a
``str`` can hold, and the cost is linear in the source.
"""

from __future__ import annotations

from gateway.synthesis import Alignment
from gateway.text.english import read_english
from gateway.text.markdown import strip_markup
from gateway.text.passthrough import read_other
from gateway.text.spoken import Spoken


def normalize(
    source: str,
    *,
    source_start: int,
    language: str,
    code_blocks: str,
    inside_code: bool = False,
    line_start: bool | None = None,
) -> tuple[str, tuple[Alignment, ...]]:
    """Spoken text of ``source``, and its alignment to the client's characters.

    ``source_start`` is where ``source`` begins in the client's text.  ``language`` is a lower-case
    tag ("en-us").  ``code_blocks`` is "skip" or "speak"; ``inside_code`` says that all of
    ``source`` is fenced code (part of a block that was too long for one chunk).  ``line_start``
    says whether a Markdown line begins at its first character; by default only at offset 0.
    """
    if inside_code and code_blocks == "skip":
        return "", ()
    plain = strip_markup(
        source,
        source_start,
        speak_code=code_blocks == "speak",
        inside_code=inside_code,
        line_start=source_start == 0 if line_start is None else line_start,
    )
    spoken = Spoken()
    if language.partition("-")[0] == "en":
        read_english(plain, spoken, british=language.startswith("en-gb"))
    else:
        read_other(plain, spoken, language=language)
    return spoken.result()
