"""What a context was started with, and what it shares with its session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.session.events import Audio, CodecOptions, Output
from gateway.session.lead import Lead
from gateway.session.pacer import Packet
from gateway.session.receiver import Listener
from gateway.settings import LimitSettings, PacingSettings, TextSettings
from gateway.text.chunker import Chunker
from gateway.trace import Trace

MakeChunker = Callable[[str, TextSettings], Chunker]
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
    text: TextSettings
    lead_s: float | None = None
    """As in ``Start``."""

    @property
    def frame_samples(self) -> int:
        """Media samples of one frame."""
        return self.codec.frame_duration_ms * 48

    def audio(self, packet: Packet, generation: int) -> Audio:
        """The frames of ``packet`` as they are sent."""
        return Audio(
            self.context,
            self.context_number,
            generation,
            packet.sequence_number,
            packet.timestamp_samples,
            self.frame_samples,
            packet.marker,
            packet.last,
            packet.payloads,
        )


@dataclass(slots=True)
class Surroundings:
    """What an utterance shares with its session."""

    session: str
    limits: LimitSettings
    pacing: PacingSettings
    make_chunker: MakeChunker
    trace: Trace
    emit: Callable[[Output], None]
    chunk_numbers: Iterator[int]
    """Counts for the whole session, as a context's name may be used again: a chunk of the old one
    may still be at the engine then."""
    listener: Listener
    lead: Lead
    congested: bool = False
    """The transport takes nothing at present."""
