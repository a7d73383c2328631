"""What was heard: the words of one generation by media time.

Word times arrive in order; the last word that began before the played sample is the one that was
sounding when the listener was cut off.  Words that ended long before the playout point are
forgotten, so that a context that speaks for hours stays small.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from gateway.media import MEDIA_RATE
from gateway.session.events import Heard, Word
from gateway.synthesis import SpokenWord, TextChunk

_KEPT_SAMPLES = 30 * MEDIA_RATE
"""A client's own figure may lag our model's by this much and still find its word."""


class ChunkWords:
    """The words of one chunk as the client wrote them, in the context's media time.

    Spoken words that stand for one run of the client's characters ("five", "dollars" for "$5")
    become one word, also when an engine that streams times them one by one; so the newest word is
    held back until the next one is known, or the chunk is over.
    """

    __slots__ = ("_chunk", "_held", "_position_samples")

    def __init__(self, chunk: TextChunk, position_samples: int) -> None:
        self._chunk = chunk
        self._position_samples = position_samples
        self._held: Word | None = None

    def receive(self, spoken: Iterable[SpokenWord], *, final: bool) -> tuple[Word, ...]:
        """The words that are complete now; ``final``: no more come."""
        complete: list[Word] = []
        for item in spoken:
            word = self._word(item)
            held = self._held
            if word is None:
                continue
            if held is not None and word.start < held.end:
                word = self._joined(held, word)
            elif held is not None:
                complete.append(held)
            self._held = word
        if final and self._held is not None:
            complete.append(self._held)
            self._held = None
        return tuple(complete)

    def _word(self, item: SpokenWord) -> Word | None:
        start, end = self._chunk.source_span(item.spoken_start, item.spoken_end)
        if start == end:
            return None
        timestamp = self._position_samples + item.start_samples
        return Word(
            self._text(start, end), start, end, timestamp, item.end_samples - item.start_samples
        )

    def _joined(self, one: Word, other: Word) -> Word:
        start, end = min(one.start, other.start), max(one.end, other.end)
        duration = other.timestamp_samples + other.duration_samples - one.timestamp_samples
        return Word(self._text(start, end), start, end, one.timestamp_samples, duration)

    def _text(self, start: int, end: int) -> str:
        offset = self._chunk.source_start
        return self._chunk.source[start - offset : end - offset]


class HeardWords:
    """The words of one generation, oldest first."""

    __slots__ = ("_forgotten_offset", "_words")

    def __init__(self) -> None:
        self._words: deque[Word] = deque()
        self._forgotten_offset = 0

    def add(self, words: Iterable[Word]) -> None:
        """Append words; times must not go back."""
        self._words.extend(words)

    def forget_before(self, played_samples: int) -> None:
        """Drop what lies too far behind the playout point to be asked for again."""
        horizon = played_samples - _KEPT_SAMPLES
        while self._words and self._words[0].timestamp_samples < horizon:
            self._forgotten_offset = self._words.popleft().end

    def at(self, played_samples: int, source: Literal["client", "model"]) -> Heard:
        """The last word that had begun to sound once ``played_samples`` were played."""
        heard = None
        for word in self._words:
            if word.timestamp_samples >= played_samples:
                break
            heard = word
        if heard is None:
            return Heard(self._forgotten_offset, "", played_samples, source)
        return Heard(heard.end, heard.text, played_samples, source)
