"""Where speech becomes audible, and how long it is silent between sentences.  Pure.

Run after the load, on audio that was kept, so that decoding does not make the generator late.

*Audible* is a sample above -50 dBFS: below it lies what engines and codecs put around speech, above
it even a quiet consonant.
"""

from __future__ import annotations

import numpy as np

from gateway.codecs.catalog import make_decoder
from gateway.media import MEDIA_RATE, Samples
from loadtest.outcome import Answer

AUDIBLE = 10 ** (-50 / 20)
"""Least absolute value of an audible sample; full scale is 1."""

_NEAR_S = 0.5
"""A gap between sentences is sought this far on both sides of the chunk's beginning."""


def speech(answer: Answer) -> Samples:
    """The kept audio, decoded, without the pre-skip: shape [n] at ``answer.sample_rate``."""
    if not answer.audio:
        return np.zeros(0, np.float32)
    decoder = make_decoder(answer.codec, answer.sample_rate)
    samples = np.concatenate([decoder.decode(payload) for payload in answer.audio])
    return samples[answer.preskip_samples * answer.sample_rate // MEDIA_RATE :]


def first_audible_s(answer: Answer, samples: Samples) -> float | None:
    """When the first audible sample left the loudspeaker; None if there was none in ``samples``.

    Silence that the engine put first, and underruns before that sample, are in it.
    """
    audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
    if answer.first_sound_s is None or not len(audible):
        return None
    position_s = float(audible[0]) / answer.sample_rate
    waited_s = sum(
        silence.duration_s
        for silence in answer.silences
        if silence.position_samples <= position_s * MEDIA_RATE
    )
    return answer.first_sound_s + position_s + waited_s


def gaps_s(answer: Answer, samples: Samples) -> list[float]:
    """Silence between one chunk and the next, as heard: what was synthesised, and underruns in it.

    ``samples`` are the whole answer's.  Each is at most a second, plus underruns.
    """
    quiet = np.abs(samples) < AUDIBLE
    near = round(_NEAR_S * answer.sample_rate)
    gaps = []
    for chunk in answer.chunks[1:]:
        middle = chunk.timestamp_samples * answer.sample_rate // MEDIA_RATE
        if middle <= 0 or middle >= len(samples):
            continue
        before = _run(quiet[max(0, middle - near) : middle][::-1])
        after = _run(quiet[middle : middle + near])
        begin, end = middle - before, middle + after
        torn_s = sum(
            silence.duration_s
            for silence in answer.silences
            if begin <= silence.position_samples * answer.sample_rate // MEDIA_RATE <= end
        )
        gaps.append((before + after) / answer.sample_rate + torn_s)
    return gaps


def _run(quiet: np.typing.NDArray[np.bool_]) -> int:
    """How many of the first values are true in a row."""
    loud = np.flatnonzero(~quiet)
    return int(loud[0]) if len(loud) else len(quiet)
