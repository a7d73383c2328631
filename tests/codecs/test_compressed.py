"""The streams that others' protocols ask for, read back by FFmpeg's decoders."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from gateway.codecs.catalog import STREAMS, make_codec
from gateway.codecs.compressed import CompressedEncoder
from gateway.codecs.track import Track
from gateway.errors import InvalidValue
from gateway.media import PcmBlock, Samples
from gateway.settings import AudioSettings
from tests.codecs.signals import signal_to_noise_db, sine, voice

FORMATS = {"mp3": "mp3", "aac": "aac", "flac": "flac"}
SILENCE_BEFORE = {"mp3": 1105, "aac": 1024, "flac": 0}
"""Samples that the encoder's stream begins with, in decoders that are not told to drop them."""

every_stream = pytest.mark.parametrize("name", sorted(STREAMS))


def stream_of(name: str, samples: Samples, rate: int, bitrate: int = 64_000) -> bytes:
    codec = make_codec(
        name, sample_rate=rate, frame_duration_ms=20, bitrate=bitrate, settings=AudioSettings()
    )
    track = Track(codec, rate)
    frames = track.write(PcmBlock(samples, rate)) + track.finish()
    return b"".join(frame.payload for frame in frames)


def decoded(name: str, data: bytes) -> tuple[Samples, int]:
    with av.open(io.BytesIO(data), format=FORMATS[name]) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        parts = [
            part.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
        return np.concatenate(parts), container.streams.audio[0].rate


@every_stream
@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100, 48_000])
def test_every_sample_can_be_decoded_once_the_talkspurt_is_over(name: str, rate: int) -> None:
    tone = sine(440, rate, rate)
    heard, heard_rate = decoded(name, stream_of(name, tone, rate))
    assert heard_rate == rate
    start = SILENCE_BEFORE[name]
    assert len(heard) >= start + len(tone)
    edge = rate // 20
    middle = heard[start + edge : start + len(tone) - edge]
    assert signal_to_noise_db(tone[edge:-edge], middle) > 20
    end = heard[start + len(tone) - edge : start + len(tone)]
    assert np.sqrt(np.mean(end**2)) > 0.8 * np.sqrt(np.mean(tone**2))


def test_flac_is_exact_to_the_bit_depth() -> None:
    sound = voice(24_000, 24_000)
    heard, _ = decoded("flac", stream_of("flac", sound, 24_000))
    assert np.abs(heard[: len(sound)] - sound).max() <= 0.5 / 32_768 + 1e-6


def test_a_higher_bitrate_takes_more_bytes() -> None:
    sound = voice(44_100, 44_100)
    small = len(stream_of("mp3", sound, 44_100, 32_000))
    large = len(stream_of("mp3", sound, 44_100, 128_000))
    assert small < 5_000 < 15_000 < large


@every_stream
def test_reset_begins_a_stream_of_its_own(name: str) -> None:
    sound = voice(24_000, 24_000)
    codec = CompressedEncoder(name, sample_rate=24_000)
    size = codec.info.frame_samples
    first = [codec.encode(sound[i : i + size]) for i in range(0, len(sound), size)]
    codec.reset()
    assert [codec.encode(sound[i : i + size]) for i in range(0, len(sound), size)] == first


@every_stream
def test_what_is_not_on_offer_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidValue, match="sample_rate"):
        CompressedEncoder(name, sample_rate=11_025)
    with pytest.raises(InvalidValue, match="frame_duration_ms"):
        CompressedEncoder(name, sample_rate=24_000, frame_duration_ms=30)


@pytest.mark.parametrize("name", ["aac", "mp3"])
def test_a_bitrate_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="bitrate"):
        CompressedEncoder(name, sample_rate=24_000, bitrate=1_000)
