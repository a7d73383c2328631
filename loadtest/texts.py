"""Plain English without end, no two texts alike: what the benchmarks have spoken.  Pure.

Texts must differ, else the gateway's cache would speak them; and they must be ordinary words, so
that what is spoken is what was sent.  They mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gateway.settings import TextSettings
from gateway.synthesis import TextChunk
from gateway.text.chunker import Chunker

_ARTICLES = ("the", "a", "every", "another", "this", "one")
_ADJECTIVES = (
    "quiet", "patient", "yellow", "distant", "narrow", "gentle", "broken", "curious", "heavy",
    "early", "silver", "honest", "ancient", "modest", "hidden", "frozen", "brave", "simple",
    "crowded", "wooden",
)  # fmt: skip
_NOUNS = (
    "baker", "garden", "river", "lantern", "teacher", "harbour", "window", "market", "engine",
    "sailor", "mountain", "letter", "orchard", "station", "painter", "bridge", "kitchen",
    "traveller", "village", "candle", "doctor", "forest", "piano",
)  # fmt: skip
_VERBS = (
    "follows", "paints", "carries", "watches", "repairs", "remembers", "crosses", "visits",
    "measures", "forgets", "opens", "describes", "borrows", "admires", "collects", "guards",
    "imagines", "welcomes",
)  # fmt: skip
_PLACES = (
    "near", "behind", "beside", "under", "above", "beyond", "across", "around", "towards",
    "against", "without", "after",
)  # fmt: skip
_LINKS = ("and then", "because", "while", "but", "so that", "although", "until", "before")

_OPENING_CHARS = 200
"""More than any sentence, so that something follows the first clause."""


def sentences(seed: int) -> Iterator[str]:
    """Sentences of one or two clauses, each with its full stop; the same for the same ``seed``."""
    random = Random(seed)
    while True:
        first = _clause(random)
        text = f"{first[0].upper()}{first[1:]}"
        if random.random() < 0.6:
            text += f", {random.choice(_LINKS)} {_clause(random)}"
        yield text + "."


def long_text(seed: int, chars_min: int) -> str:
    """Whole sentences, ``chars_min`` characters or a little more."""
    parts: list[str] = []
    length = 0
    for sentence in sentences(seed):
        parts.append(sentence)
        length += len(sentence) + 1
        if length >= chars_min:
            break
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a text, as it is sent: ``completing`` is what ends the first clause.

    ``before`` alone makes the gateway say nothing; with ``completing`` it speaks ``chunk``.
    """

    before: str
    completing: str
    chunk: TextChunk


def opening(seed: int) -> Opening:
    """A text's opening, cut where the gateway's own chunker sees the first full clause.

    Tokens are words with the space before them, as language models make them.
    """
    text = long_text(seed, _OPENING_CHARS)
    chunker = Chunker(TextSettings())
    position = 0
    for token in _tokens(text):
        chunker.receive_text(token, 0.0)
        chunk = chunker.next_chunk(lead_s=0.0, first=True, now=0.0)
        if chunk is not None:
            return Opening(text[:position], token, chunk)
        position += len(token)
    raise AssertionError(f"no clause ends in {text!r}")


def _tokens(text: str) -> Iterator[str]:
    first, *others = text.split(" ")
    yield first
    for word in others:
        yield f" {word}"


def _clause(random: Random) -> str:
    words = [random.choice(_ARTICLES), random.choice(_ADJECTIVES), random.choice(_NOUNS)]
    words.append(random.choice(_VERBS))
    words += [random.choice(_ARTICLES), random.choice(_NOUNS)]
    for _ in range(random.randrange(3)):
        words += [random.choice(_PLACES), "the", random.choice(_ADJECTIVES), random.choice(_NOUNS)]
    return " ".join(words)
