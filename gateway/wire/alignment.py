"""Which character sounds when, for protocols that ask for characters instead of words.  Pure.

The session tells words; between the first character of a word and that of the next, time is shared
out evenly.  So every character of the client's text is told once, in order, and the spans cover the
audio without a gap:

    text    H  e  l  l  o  ,     w  o  r  l  d  .  ␣
    time    │◄── until "world" begins ──►│◄── until the chunk ends ──►│
    block   │◄────────── one ───────────►│◄─────────── another ──────►│

A block may be told with times of the whole stream, or relative to where the block before it ended:
clients that add up spans arrive at the same figures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from gateway.media import MEDIA_RATE
from gateway.session.events import ChunkStarted, Word, WordsTimed


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters, and the media sample at which each begins; ``end`` is where the last one ends.

    ``origin`` is where the block before this one ended.
    """

    characters: tuple[str, ...]
    starts: tuple[float, ...]
    end: int
    origin: int

    def milliseconds(self, *, relative: bool) -> tuple[list[int], list[int]]:
        """Starts and durations; relative to ``origin`` or to the stream's beginning."""
        zero = self.origin if relative else 0
        edges = [round((at - zero) * 1000 / MEDIA_RATE) for at in (*self.starts, self.end)]
        return edges[:-1], [after - before for before, after in pairwise(edges)]

    def seconds(self) -> tuple[list[float], list[float]]:
        """Starts and ends from the stream's beginning."""
        edges = [round(at / MEDIA_RATE, 4) for at in (*self.starts, self.end)]
        return edges[:-1], edges[1:]


class Aligner:
    """The characters of one generation."""

    def __init__(self) -> None:
        self._chunk = ""
        self._chunk_start = 0
        self._told = 0
        self._end = 0
        self._words: deque[Word] = deque()
        self._pending: list[tuple[str, Word]] = []

    def receive(self, event: ChunkStarted | WordsTimed) -> None:
        """Words of a chunk; a ``ChunkStarted`` says that those of the one before are complete."""
        if isinstance(event, ChunkStarted):
            self._close_chunk()
            self._chunk, self._chunk_start = event.text, event.start
            self._told = len(event.text) - len(event.text.lstrip())
        for word in event.words:
            self._close_word(word.start - self._chunk_start)
            self._words.append(word)
        if self._words and not any(
            character.isalnum()
            for character in self._chunk[self._words[-1].end - self._chunk_start :]
        ):
            self._close_chunk()

    def _close_word(self, before: int) -> None:
        """The last word known, with what follows it up to the chunk's offset ``before``."""
        if self._words:
            word = self._words.popleft()
            self._pending.append((self._chunk[self._told : before], word))
            self._told = before

    def _close_chunk(self) -> None:
        if self._words:
            # Clients join what they are told: two sentences need a space between them.
            self._chunk = self._chunk.rstrip() + " "
            self._close_word(len(self._chunk))

    def take(self, before_samples: int | None = None) -> Alignment | None:
        """What begins to sound before ``before_samples`` (None: all that is known), once."""
        ready: list[tuple[str, Word]] = []
        while self._pending and (
            before_samples is None or self._pending[0][1].timestamp_samples < before_samples
        ):
            ready.append(self._pending.pop(0))
        if not ready:
            return None
        characters: list[str] = []
        starts: list[float] = []
        for text, word in ready:
            step = word.duration_samples / max(1, len(text))
            characters += text
            starts += [word.timestamp_samples + i * step for i in range(len(text))]
        last = ready[-1][1]
        origin = self._end
        self._end = last.timestamp_samples + last.duration_samples
        return Alignment(tuple(characters), tuple(starts), self._end, origin)

    def finish(self) -> Alignment | None:
        """All that is left; no more words follow."""
        self._close_chunk()
        return self.take()
