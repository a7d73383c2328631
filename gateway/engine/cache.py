"""Recently spoken chunks, by what determines their sound.

Agents repeat themselves ("One moment, please."), so a chunk that was spoken before comes from here.
Bounded by bytes of PCM, least recently used goes first.  One owner: the dispatcher, on its loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetools import LRUCache

from gateway.synthesis import Rendering, SynthesisRequest

_SHARE_OF_ONE = 8
"""One chunk may take at most this fraction (1/n) of the cache, so that it cannot empty it."""

Key = tuple[str, str, float, str]


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """All renderings of one chunk, in order."""

    renderings: tuple[Rendering, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of PCM."""
        return sum(rendering.pcm.samples.nbytes for rendering in self.renderings)


class ChunkCache:
    """Maps (voice, language, speed, spoken text) to renderings."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._chunks: LRUCache[Key, SpokenChunk] = LRUCache(
            maxsize=bytes_max, getsizeof=lambda chunk: chunk.size_bytes
        )
        self.hits = 0
        self.misses = 0

    @staticmethod
    def key(request: SynthesisRequest) -> Key:
        """What determines the sound of ``request``."""
        return request.voice, request.language, request.speed, request.chunk.spoken

    @property
    def size_bytes(self) -> int:
        """Bytes of PCM that are kept."""
        return int(self._chunks.currsize)

    def get(self, request: SynthesisRequest) -> SpokenChunk | None:
        """The chunk as it was spoken before, or None."""
        found = self._chunks.get(self.key(request))
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, request: SynthesisRequest, chunk: SpokenChunk) -> None:
        """Keep ``chunk``, unless it is too large a part of the whole."""
        if chunk.size_bytes * _SHARE_OF_ONE <= self._bytes_max:
            self._chunks[self.key(request)] = chunk
