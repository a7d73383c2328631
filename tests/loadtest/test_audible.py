import numpy as np
import pytest

from gateway.codecs.opus import OpusEncoder
from loadtest.audible import first_audible_s, gaps_s, speech
from loadtest.outcome import Silence, SpokenChunk

from .calls import answer


def _quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(24_000 * seconds), np.float32)


def _loud(seconds: float) -> np.ndarray:
    return np.full(round(24_000 * seconds), 0.5, np.float32)


def test_the_silence_that_speech_begins_with_is_not_audible() -> None:
    samples = np.concatenate([_quiet(0.05), _loud(0.1)])

    assert first_audible_s(answer(first_sound_s=10.1), samples) == pytest.approx(10.15)
    assert first_audible_s(answer(first_sound_s=None), samples) is None
    assert first_audible_s(answer(), _quiet(1.0)) is None


def test_an_underrun_before_the_first_audible_sample_delays_it() -> None:
    samples = np.concatenate([_quiet(0.05), _loud(0.1)])
    torn = answer(silences=(Silence(10.12, 0.3, 960, 0.3), Silence(10.5, 0.4, 4800, 0.4)))

    assert first_audible_s(torn, samples) == pytest.approx(10.45)


def test_a_gap_is_the_silence_on_both_sides_of_a_chunks_beginning() -> None:
    samples = np.concatenate([_loud(1.0), _quiet(0.3), _loud(1.0)])
    chunks = (SpokenChunk(0, 5, 0), SpokenChunk(5, 9, 57_600))

    assert gaps_s(answer(chunks=chunks), samples) == [pytest.approx(0.3)]


def test_an_underrun_in_a_gap_makes_it_longer() -> None:
    samples = np.concatenate([_loud(1.0), _quiet(0.2), _loud(1.0)])
    chunks = (SpokenChunk(0, 5, 0), SpokenChunk(5, 9, 52_800), SpokenChunk(9, 12, 960_000))
    torn = answer(chunks=chunks, silences=(Silence(11.2, 0.5, 52_800, 0.5),))

    assert gaps_s(torn, samples) == [pytest.approx(0.7)]


def test_kept_audio_is_decoded_without_the_pre_skip() -> None:
    encoder = OpusEncoder(sample_rate=24_000)
    tone = np.sin(np.arange(480 * 5) / 5).astype(np.float32)
    packets = tuple(encoder.encode(frame) for frame in np.split(tone, 5))
    preskip = encoder.info.preskip_samples

    samples = speech(answer(codec="opus", audio=packets, preskip_samples=preskip))

    assert len(samples) == 480 * 5 - preskip // 2
    assert len(speech(answer(audio=()))) == 0
