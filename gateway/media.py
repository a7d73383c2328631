"""Audio data and the arithmetic of media time.

Media time is an integer number of samples at 48 kHz, the RTP clock of Opus (RFC 7587, section 4.1),
whatever rate the engine or the codec runs at:

    engine 22.05 kHz ──soxr──► codec 24 kHz ──Opus──► client 48 kHz
                                            ▲
                         one 20 ms frame = 480 samples here = 960 ticks of media time

PCM is mono float32 in [-1, 1].  Wall time never appears in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MEDIA_RATE = 48_000
"""Ticks of media time in one second."""

Samples = npt.NDArray[np.float32]
"""Mono PCM, shape [n], float32 in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class PcmBlock:
    """PCM of any length: ``samples`` has shape [n], float32, mono, at ``sample_rate`` Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame as the codec made it, neither numbered nor stamped yet.

    ``duration_samples`` counts 48 kHz samples.
    """

    payload: bytes
    duration_samples: int


def to_media_samples(count: int, sample_rate: int) -> int:
    """Media time of ``count`` samples at ``sample_rate`` Hz, rounded to the nearest tick."""
    return (count * MEDIA_RATE * 2 + sample_rate) // (2 * sample_rate)


def seconds(samples: int) -> float:
    """Media time in seconds."""
    return samples / MEDIA_RATE


def media_samples(duration_s: float) -> int:
    """Media time nearest to ``duration_s`` seconds."""
    return round(duration_s * MEDIA_RATE)
