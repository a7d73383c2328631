"""The only words that sessions and engines share.

    client text ──chunker──► TextChunk ──► SynthesisRequest ──plan──► Plan ──► Window…
    Window ──render──► Rendering… ──track──► EncodedRendering… ──► the session

A *chunk* is always text, a *window* a range of acoustic frames, a *rendering* the PCM of (a part
of) a window.  Offsets into text count Unicode code points.  Everything here is frozen, because it
crosses threads.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from gateway.media import EncodedFrame, PcmBlock


@dataclass(frozen=True, slots=True)
class Alignment:
    """One run of spoken text and the client's own characters that it stands for.

    ``spoken_*`` are offsets in ``TextChunk.spoken``; ``source_*`` are offsets in the text of the
    whole context, as the client sent it.  "$5" → "five dollars" is one run: 0–12 ← that of "$5".
    """

    spoken_start: int
    spoken_end: int
    source_start: int
    source_end: int


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a context's text that is synthesised in one go.

    ``source`` is exactly ``text_of_context[source_start:source_end]``; consecutive chunks adjoin.
    ``spoken`` is what the engine reads; empty if nothing in the chunk can be spoken.
    ``alignment`` is sorted, does not overlap, and covers every spoken word.
    """

    source: str
    source_start: int
    source_end: int
    spoken: str
    alignment: tuple[Alignment, ...]

    def source_span(self, spoken_start: int, spoken_end: int) -> tuple[int, int]:
        """Span of the client's text that ``spoken[spoken_start:spoken_end]`` stands for."""
        touched = [
            run
            for run in self.alignment
            if run.spoken_start < spoken_end and spoken_start < run.spoken_end
        ]
        if not touched:
            return self.source_start, self.source_start
        return touched[0].source_start, touched[-1].source_end


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as the engine timed it: offsets in ``TextChunk.spoken``, times in media samples.

    Times count from the first sample of the chunk.
    """

    spoken_start: int
    spoken_end: int
    start_samples: int
    end_samples: int


@dataclass(frozen=True, slots=True)
class RequestId:
    """Names one chunk of one generation of one context of one session, in a whole process."""

    session: str
    context: str
    generation: int
    chunk: int


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """What a session asks of the engines.

    ``deadline`` is the moment, in loop seconds, at which the listener's buffer runs dry; ``first``
    says that the listener hears nothing yet (the chunk opens a talkspurt), so the deadline is the
    first-audio budget.
    """

    id: RequestId
    chunk: TextChunk
    voice: str
    language: str
    speed: float
    deadline: float
    first: bool


@dataclass(frozen=True, slots=True)
class Window:
    """A range of acoustic frames that is rendered in one go.

    ``shape`` groups windows that may share a batch; ``state`` is the engine's own and opaque.
    """

    request: RequestId
    index: int
    final: bool
    shape: Hashable = None
    state: object = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the cheap stage found out: the windows and, if the engine can know it, the length.

    ``length_samples`` is media time, exact, or None for an engine that learns it while it renders.
    ``words`` are complete in the first case; in the second they come with the renderings.
    """

    request: RequestId
    windows: tuple[Window, ...]
    length_samples: int | None = None
    words: tuple[SpokenWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendering:
    """PCM of a window or, from an engine that streams, of a part of one.

    ``words`` are those whose times became known with this block; ``final`` marks the last block of
    the window.
    """

    pcm: PcmBlock
    final: bool
    words: tuple[SpokenWord, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedRendering:
    """A rendering as the session gets it: frames of its codec, on its media time line.

    ``position_samples`` is where the chunk's first sample sounds in the context's media time;
    ``words`` count from there; ``end_samples`` is where the audio that was made so far ends.
    ``final`` marks the last part of the chunk.
    """

    request: RequestId
    frames: tuple[EncodedFrame, ...]
    words: tuple[SpokenWord, ...]
    position_samples: int
    end_samples: int
    final: bool
