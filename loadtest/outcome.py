"""What became of each answer: the records that callers bring home, and how they are judged.  Pure.

Times are seconds after the run's zero; positions are media samples (48 kHz) of speech, without the
codec's pre-skip.  Records are frozen and picklable, as they come from other processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.client.jitter_buffer import Underrun
from gateway.media import MEDIA_RATE
from loadtest.script import Token, Turn

_SAME_PLACE_SAMPLES = MEDIA_RATE // 10
"""Resampler and framer hold back some 60 ms, so a chunk's audio ends a little before the next."""


class Fate(StrEnum):
    """How a turn ended."""

    HEARD = "everything was sent"
    INTERRUPTED = "the listener interrupted it"
    CUT = "the connection was cut, as the script said"
    LEFT = "the caller left, or the run was over"
    FAILED = "the server failed it"


@dataclass(frozen=True, slots=True)
class Interruption:
    """A cancel at ``at_s``, when ``position_samples`` had been played of a buffer with
    ``depth_samples`` more in it.

    ``last_frame_s`` is when the last frame of the old generation came after it, None if none did;
    ``answer_s`` when the server answered, None if it did not.  ``heard_error_words`` and
    ``heard_error_samples`` compare what it said was heard with what was; ``told``: the cancel
    had named the position.
    """

    at_s: float
    position_samples: int
    depth_samples: int
    told: bool
    last_frame_s: float | None = None
    answer_s: float | None = None
    heard_error_words: int | None = None
    heard_error_samples: int | None = None

    @property
    def frames_for_s(self) -> float:
        """For how long frames of the old generation went on coming; 0 if none came."""
        return max(0.0, self.last_frame_s - self.at_s) if self.last_frame_s is not None else 0.0

    @property
    def audible_for_s(self) -> float | None:
        """For how long a listener is heard that falls silent only when the server answers.

        One that flushes its own buffer as it cancels, as ours does, is silent at once.
        """
        if self.answer_s is None:
            return None
        return min(self.answer_s - self.at_s, self.depth_samples / MEDIA_RATE)


@dataclass(frozen=True, slots=True)
class Silence:
    """An underrun, and how much of it the server could have avoided.

    ``excess_s`` counts only from when the text was there whose speech ended the silence: a
    language model that stalls is nobody's underrun, though the listener hears it.
    """

    start_s: float
    duration_s: float
    position_samples: int
    excess_s: float

    @property
    def text_was_late(self) -> bool:
        """Whether it began before the text was there; the excess is then a first-audio time."""
        return self.excess_s < self.duration_s


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """A ``chunk`` message: text offsets, and where it begins to sound."""

    start: int
    end: int
    timestamp_samples: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One turn as it was heard.

    ``audio`` holds payloads, of the first second or of everything (``whole``), with the codec's
    name, rate and pre-skip, for audible.py.  ``lead`` is (time, samples in the buffer).
    """

    session: int
    turn: int
    codec: str
    request_s: float
    first_token_s: float
    clause_s: float
    over_s: float
    fate: Fate
    error: str = ""
    first_arrival_s: float | None = None
    first_sound_s: float | None = None
    last_arrival_s: float | None = None
    received_samples: int = 0
    silences: tuple[Silence, ...] = ()
    lead: tuple[tuple[float, int], ...] = ()
    chunks: tuple[SpokenChunk, ...] = ()
    interruption: Interruption | None = None
    sample_rate: int = 0
    preskip_samples: int = 0
    whole: bool = False
    audio: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Life:
    """One caller: when it came and went, and each time it connected.

    ``connects`` are (asked, ready); ``errors`` those that belong to no turn.
    """

    session: int
    arrive_s: float
    end_s: float
    connects: tuple[tuple[float, float], ...]
    errors: tuple[str, ...]
    answers: tuple[Answer, ...]


def judge_silences(
    underruns: Sequence[Underrun], chunks: Sequence[SpokenChunk], turn: Turn
) -> tuple[Silence, ...]:
    """Each underrun of a turn, with the part that was not the text's fault."""
    judged = []
    for underrun in underruns:
        end_s = underrun.start + underrun.duration_s
        begin_s = underrun.start
        for chunk in chunks:
            if abs(chunk.timestamp_samples - underrun.position_samples) <= _SAME_PLACE_SAMPLES:
                begin_s = max(begin_s, known_at(turn.tokens, chunk.end))
        excess_s = max(0.0, end_s - begin_s)
        judged.append(
            Silence(underrun.start, underrun.duration_s, underrun.position_samples, excess_s)
        )
    return tuple(judged)


def known_at(tokens: Sequence[Token], offset: int) -> float:
    """When it was certain where a chunk ends that ends at ``offset``: one character later."""
    known = 0
    for token in tokens:
        known += len(token.text)
        if known > offset:
            return token.at_s
    return tokens[-1].at_s
