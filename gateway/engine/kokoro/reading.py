"""A text as the model will see it: symbols, and which word each belongs to.

    symbols   h ə l ˈ O ,   w ˈ ɜ ɹ l d .        one token each
    word_of   0 0 0 0 0 − − 1 1 1 1 1 1 −        NONE for marks and spaces
    durations     6 2 2 0 5 4 2 3 …              frames; one more at each end: boundaries

The model predicts a duration for each token, so the words' times follow by addition, exact to the
frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from gateway.engine.kokoro.symbols import BOUNDARY, TOKENS, TOKENS_MAX
from gateway.errors import SynthesisError
from gateway.media import to_media_samples
from gateway.synthesis import SpokenWord

NONE = -1
"""In ``word_of``: the token belongs to no word."""

FRAME_SAMPLES = 600
"""Samples of one frame of duration, at SAMPLE_RATE: 25 ms."""

SAMPLE_RATE = 24_000

_CUTS = (".!?…", ",;:—", " ")
"""Where to cut a text that is too long, best first: behind these symbols."""

_SHORTEST_SHARE = 0.5
"""A part shorter than this share of an even one is worth a worse place to cut."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``symbols`` all have tokens; ``words`` are spans of the spoken text, in order.

    ``dropped`` are symbols that have no token and were left out.
    """

    symbols: str
    word_of: tuple[int, ...]
    words: tuple[tuple[int, int], ...]
    dropped: str = ""

    def __post_init__(self) -> None:
        assert len(self.symbols) == len(self.word_of)

    def __len__(self) -> int:
        return len(self.symbols)

    def input_ids(self) -> npt.NDArray[np.int64]:
        """Token ids with both boundaries, shape [1, len + 2].

        Raises SynthesisError if there are more than 510 tokens; ``split`` prevents that.
        """
        if len(self) > TOKENS_MAX:
            raise SynthesisError(
                f"a chunk of {len(self)} tokens is longer than the {TOKENS_MAX} that Kokoro takes; "
                "lower text.chunk_chars_max",
                limit=TOKENS_MAX,
            )
        ids = [BOUNDARY, *(TOKENS[symbol] for symbol in self.symbols), BOUNDARY]
        return np.array([ids], np.int64)

    def split(self, tokens_max: int = TOKENS_MAX) -> list[Reading]:
        """Parts of at most ``tokens_max`` tokens each, about even, cut where it is heard least.

        That is behind a sentence, else a clause, else a word; a word is cut only if it is longer
        than a part.  Spaces at the cuts are dropped.
        """
        assert tokens_max > 0
        parts: list[Reading] = []
        rest = self
        while len(rest) > tokens_max:
            cut = rest._place_to_cut(tokens_max)
            parts.append(rest._part(0, cut))
            rest = rest._part(cut, len(rest))
        return [part for part in (*parts, rest) if len(part)]

    def spoken_words(self, durations: Sequence[int]) -> tuple[SpokenWord, ...]:
        """Times of the words, from the frames that the model gave each token and boundary."""
        assert len(durations) == len(self) + 2, "one for each token and boundary"
        ends = list(accumulate(int(frames) for frames in durations))
        words = []
        for index, (start, end) in enumerate(self.words):
            tokens = [place for place, word in enumerate(self.word_of) if word == index]
            if tokens:
                times = _media_time(ends[tokens[0]]), _media_time(ends[tokens[-1] + 1])
                words.append(SpokenWord(start, end, *times))
        return tuple(words)

    def _place_to_cut(self, tokens_max: int) -> int:
        even = len(self) / -(-len(self) // tokens_max)
        for marks in _CUTS:
            places = [
                place + 1
                for place in range(int(even * _SHORTEST_SHARE), tokens_max)
                if self.symbols[place] in marks and self._is_gap(place + 1)
            ]
            if places:
                return min(places, key=lambda place: abs(place - even))
        return tokens_max

    def _is_gap(self, place: int) -> bool:
        """Whether no further mark follows that belongs to what lies before ``place``."""
        return place == len(self) or self.word_of[place] != NONE or self.symbols[place] == " "

    def _part(self, start: int, end: int) -> Reading:
        while start < end and self.symbols[start] == " ":
            start += 1
        while end > start and self.symbols[end - 1] == " ":
            end -= 1
        used = sorted({word for word in self.word_of[start:end] if word != NONE})
        renumbered = {NONE: NONE} | {word: index for index, word in enumerate(used)}
        return Reading(
            self.symbols[start:end],
            tuple(renumbered[word] for word in self.word_of[start:end]),
            tuple(self.words[word] for word in used),
            self.dropped if start == 0 else "",
        )


def _media_time(frames: int) -> int:
    return to_media_samples(frames * FRAME_SAMPLES, SAMPLE_RATE)
