"""One chunk on its way through an engine.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.errors import GatewayError
from gateway.media import EncodedFrame, PcmBlock, to_media_samples
from gateway.synthesis import (
    EncodedRendering,
    Rendering,
    RequestId,
    SpokenWord,
    SynthesisRequest,
    Window,
)


class Track(Protocol):
    """The encoder of one generation, as the dispatcher needs it."""

    @property
    def position_samples(self) -> int:
        """Media time at which the next written sample will sound."""
        ...

    def write(self, block: PcmBlock) -> list[EncodedFrame]:
        """Encode; called from a lane thread."""
        ...


class DueTimes:
    """When each window of a chunk must be there: the moment that its listener runs dry.

        deadline of the request            first window    second window
        ─────────┼─────────────────────────┼───────────────┼──────────────►
        silent:  first-audio budget        sounds when it arrives, early or late, and so moves
                                           the rest
        hearing: the chunk before ends     a window that came late moves the rest by its lateness

    Seconds of the loop.
    """

    __slots__ = ("_opens", "_starts_at", "made_s")

    def __init__(self, request: SynthesisRequest) -> None:
        self._starts_at = request.deadline
        self._opens = request.first
        self.made_s = 0.0

    @property
    def due_at(self) -> float:
        """Deadline of the next window."""
        return self._starts_at + self.made_s

    def receive_deadline(self, deadline: float) -> float:
        """The first sample of the chunk is due at ``deadline``; returns by how much that moved it.

        While nothing is heard, the first-audio budget counts, whatever the listener does.
        """
        if self._opens:
            return 0.0
        shift_s = deadline - self._starts_at
        self._starts_at = deadline
        return shift_s

    def receive_made(self, duration_s: float, now: float) -> None:
        """The next window, or its first block, came at ``now``; it lasts ``duration_s``."""
        if self._opens or now > self.due_at:
            self._starts_at = now - self.made_s
            self._opens = False
        self.made_s += duration_s


@dataclass(eq=False, slots=True)
class Job:
    """One chunk; ``deliver`` and ``fail`` are called on the loop.

    The dispatcher's loop owns it, save that the lane thread which renders a window of it writes
    ``words_given``, ``position_samples``, ``frames``, ``words``, ``posted`` and what is
    ``…_of_window`` meanwhile.
    """

    request: SynthesisRequest
    track: Track
    deliver: Callable[[EncodedRendering], None]
    fail: Callable[[RequestId, GatewayError], None]
    withdrawn: bool = False
    attempts: int = 0
    submitted_at: float = 0.0
    windows: tuple[Window, ...] = ()
    length_s: float | None = None
    planned_words: tuple[SpokenWord, ...] = ()
    position_samples: int | None = None
    made: list[Rendering] = field(default_factory=list)
    made_of_window: list[Rendering] = field(default_factory=list)
    samples_of_window: int = 0
    given_of_window: int = 0
    window_began_at: float = 0.0
    window_complete: bool = False
    frames: list[EncodedFrame] = field(default_factory=list)
    words: list[SpokenWord] = field(default_factory=list)
    posted: bool = False
    words_given: bool = False
    due: DueTimes = field(init=False)

    def __post_init__(self) -> None:
        self.due = DueTimes(self.request)

    def receive_rendering(
        self, rendering: Rendering, now: float, *, last_window: bool
    ) -> Rendering:
        """Note a rendering of the present window; returns the part that is to be given away.

        A retry makes the window again; what the listener has of it already is left out.  The words
        of the plan belong to the first block of the chunk: what is kept has them after a retry too,
        the listener gets them once.
        """
        if not self.given_of_window:
            self.window_began_at = now
        self.window_complete = rendering.final
        start = self.samples_of_window
        opening = not self.made and not self.made_of_window
        words = (*self.planned_words, *rendering.words) if opening else rendering.words
        final = rendering.final and last_window
        self.made_of_window.append(Rendering(rendering.pcm, final, words))
        self.samples_of_window += len(rendering.pcm.samples)
        given = Rendering(rendering.pcm, final, rendering.words)
        if self.given_of_window > start:
            given = _without_first(given, self.given_of_window - start, start)
        if not self.words_given:
            given = replace(given, words=(*self.planned_words, *given.words))
            self.words_given = True
        self.given_of_window += len(given.pcm.samples)
        return given

    def take_encoded(self, *, final: bool) -> EncodedRendering:
        """What was encoded and not posted yet."""
        assert self.position_samples is not None
        encoded = EncodedRendering(
            self.request.id,
            tuple(self.frames),
            tuple(self.words),
            self.position_samples,
            self.track.position_samples,
            final,
        )
        self.frames.clear()
        self.words.clear()
        self.posted = True
        return encoded

    def begin_again(self) -> None:
        """The present window failed and will be made once more."""
        self.made_of_window.clear()
        self.samples_of_window = 0

    def window_over(self) -> float:
        """The present window is complete; returns its seconds."""
        assert self.window_complete
        duration_s = sum(made.pcm.duration_s for made in self.made_of_window)
        self.made += self.made_of_window
        self.begin_again()
        self.given_of_window = 0
        self.window_complete = False
        self.due.receive_made(duration_s, self.window_began_at)
        return duration_s

    def left_s(self, expected_s: float) -> float:
        """Audio still to be made; ``expected_s`` is the length of the chunk if nobody knows it."""
        length_s = expected_s if self.length_s is None else self.length_s
        return max(0.0, length_s - self.due.made_s)


def _without_first(rendering: Rendering, skip: int, start: int) -> Rendering:
    """The rendering less its first ``skip`` samples, and less the words that began in them."""
    pcm = PcmBlock(rendering.pcm.samples[skip:], rendering.pcm.sample_rate)
    heard_samples = to_media_samples(
        start + min(skip, len(rendering.pcm.samples)), rendering.pcm.sample_rate
    )
    words = tuple(word for word in rendering.words if word.start_samples >= heard_samples)
    return Rendering(pcm, rendering.final, words)
