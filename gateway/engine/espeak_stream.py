"""From a worker's marks and PCM to renderings: blocks of one length, with the words they need.

    marks     0         6500                 9800 …            samples of the utterance
              │ "Hello" │ "big"              │ "world"
    blocks    ├───────┼───────┼───────┼───────┼───────┤        block_samples each
                              ▲
    A word's end is known at the next mark.  A block is handed over once all words that begin in it
    are known: these four when the mark at 9800 arrives.  espeak is some hundred times faster than
    speech, so that costs a fraction of a millisecond and saves clients corrections.

Silence before the first word is dropped: it would only delay the listener.  If there is no word at
all, silence is all that there is (espeak makes 7 ms of it for an empty text) and none is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from gateway.engine.espeak_text import WordSpans
from gateway.media import PcmBlock, to_media_samples
from gateway.synthesis import Rendering, SpokenWord

SILENCE_PEAK = 328
"""Largest 16-bit value that counts as silence: 1 % of full scale."""

_SAMPLE_BYTES = 2


class SpeechStream:
    """One utterance on its way out; pure.

    ``text`` is what was spoken; ``block_samples`` counts samples at ``sample_rate``, and every
    block but the last has that length.
    """

    def __init__(self, text: str, sample_rate: int, block_samples: int) -> None:
        self._spans = WordSpans(text)
        self._text_end = len(text)
        self._sample_rate = sample_rate
        self._block_samples = block_samples
        self._pcm = bytearray()
        self._given = 0  # samples handed over
        self._dropped: int | None = None  # samples of silence before the first word
        self._word: tuple[int, int] | None = None  # the one that sounds: text offset, sample
        self._words: deque[tuple[int, SpokenWord]] = deque()  # with the sample where they begin

    def receive(self, marks: Iterable[tuple[int, int]], pcm: bytes) -> Iterator[Rendering]:
        """Take (text position, sample) marks and 16-bit PCM; yields the blocks that got ready."""
        self._pcm += pcm
        for position, sample in marks:
            self._receive_mark(self._spans.start_of(position), sample)
        while self._word and self._given + self._block_samples <= self._word[1]:
            yield self._cut(self._block_samples, final=False)

    def finish(self) -> Iterator[Rendering]:
        """There is no more; yields what is left, the last one final and possibly empty."""
        if self._dropped is None:
            self._drop_silence(len(self._pcm) // _SAMPLE_BYTES)
        if self._word is not None:
            self._end_word(self._text_end, self._given + len(self._pcm) // _SAMPLE_BYTES)
        while len(self._pcm) > self._block_samples * _SAMPLE_BYTES:
            yield self._cut(self._block_samples, final=False)
        yield self._cut(len(self._pcm) // _SAMPLE_BYTES, final=True)

    def _receive_mark(self, start: int, sample: int) -> None:
        if self._dropped is None:
            self._drop_silence(sample)
        sample = max(0, sample - (self._dropped or 0))
        if self._word is not None:
            if start <= self._word[0]:
                return  # a further word of the same expansion
            self._end_word(start, sample)
        self._word = start, sample

    def _end_word(self, next_start: int, end_sample: int) -> None:
        assert self._word is not None
        start, sample = self._word
        word = SpokenWord(
            spoken_start=start,
            spoken_end=self._spans.end_of(start, next_start),
            start_samples=to_media_samples(sample, self._sample_rate),
            end_samples=to_media_samples(end_sample, self._sample_rate),
        )
        self._words.append((sample, word))

    def _drop_silence(self, first_word_sample: int) -> None:
        lead = np.frombuffer(bytes(self._pcm[: first_word_sample * _SAMPLE_BYTES]), np.int16)
        silent = lead.size == 0 or max(int(lead.max()), -int(lead.min())) <= SILENCE_PEAK
        self._dropped = len(lead) if silent else 0
        del self._pcm[: self._dropped * _SAMPLE_BYTES]

    def _cut(self, count: int, *, final: bool) -> Rendering:
        pcm = np.frombuffer(bytes(self._pcm[: count * _SAMPLE_BYTES]), np.int16)
        del self._pcm[: count * _SAMPLE_BYTES]
        self._given += count
        words = []
        while self._words and (final or self._words[0][0] < self._given):
            words.append(self._words.popleft()[1])
        samples = pcm.astype(np.float32) * np.float32(1 / 32_768)
        return Rendering(PcmBlock(samples, self._sample_rate), final, tuple(words))
