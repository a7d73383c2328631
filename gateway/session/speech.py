"""What a context was started with, and what it shares with its session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.session.events import CodecOptions, Output
from gateway.session.lead import Lead
from gateway.session.receiver import Listener
from gateway.settings import LimitSettings, PacingSettings, TextSettings
from gateway.text.chunker import Chunker
from gateway.trace import Trace

MakeChunker = Callable[[str], Chunker]
"""Makes a chunker for a language."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What a context was started with, every default filled in."""

    context: str
    context_number: int
    voice: str
    language: str
    speed: float
    codec: CodecOptions
    preskip_samples: int

    @property
    def frame_samples(self) -> int:
        """Media samples of one frame."""
        return self.codec.frame_duration_ms * 48


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an utterance shares with its session."""

    session: str
    limits: LimitSettings
    pacing: PacingSettings
    text: TextSettings
    make_chunker: MakeChunker
    trace: Trace
    emit: Callable[[Output], None]
    chunk_numbers: Iterator[int]
    """Counts for the whole session, as a context's name may be used again: a chunk of the old one
    may still be at the engine then."""
    listener: Listener
    lead: Lead
