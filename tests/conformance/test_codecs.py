"""What every codec must do, whatever it is: one suite over the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.codecs.base import Codec
from gateway.codecs.catalog import CODECS, make_codec, make_decoder
from gateway.errors import InvalidValue
from gateway.media import Samples
from gateway.settings import AudioSettings
from tests.codecs.signals import signal_to_noise_db, sine, voice

SETTINGS = AudioSettings()

SHAPES = [(8_000, 20), (16_000, 40), (24_000, 20), (48_000, 60)]
"""Sample rate and frame duration."""

SINE_SNR_DB = {"opus": 20, "pcm": 80, "pcm_f32": 120, "pcmu": 30, "pcma": 30}
"""Least signal-to-noise ratio of a 440 Hz sine at -6 dB full scale, 64 kbit/s."""

SPECTRAL_DISTANCE_DB = {"opus": 3.0, "pcm": 0.1, "pcm_f32": 0.01, "pcmu": 1.5, "pcma": 1.5}
"""Greatest log-spectral distance of speech-like sound, over its audible part."""

every_codec = pytest.mark.parametrize("name", sorted(CODECS))
every_shape = pytest.mark.parametrize(("rate", "frame_ms"), SHAPES)


def make(name: str, rate: int = 24_000, frame_ms: int = 20) -> Codec:
    return make_codec(
        name, sample_rate=rate, frame_duration_ms=frame_ms, bitrate=64_000, settings=SETTINGS
    )


def encode(codec: Codec, samples: Samples) -> list[bytes]:
    size = codec.info.frame_samples
    return [codec.encode(samples[i : i + size]) for i in range(0, len(samples) - size + 1, size)]


def round_trip(codec: Codec, samples: Samples) -> Samples:
    decoder = make_decoder(codec.info.name, codec.info.sample_rate)
    heard = np.concatenate([decoder.decode(payload) for payload in encode(codec, samples)])
    return heard[codec.info.lookahead_samples :]


def log_spectral_distance_db(reference: Samples, heard: Samples) -> float:
    """RMS difference of the log power in bands of 250 Hz, where the reference is above -50 dB."""

    def spectrum(samples: Samples) -> np.ndarray:
        blocks = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
        power = np.abs(np.fft.rfft(blocks)) ** 2
        return power[:, :512].reshape(len(blocks), 64, 8).sum(axis=2)

    a, b = spectrum(reference), spectrum(heard)
    audible = a > a.max() * 1e-5
    return float(np.sqrt(np.mean((10 * np.log10(a[audible] / (b[audible] + 1e-12))) ** 2)))


@every_codec
@every_shape
def test_the_info_agrees_with_the_request(name: str, rate: int, frame_ms: int) -> None:
    info = make(name, rate, frame_ms).info
    assert (info.name, info.sample_rate, info.frame_duration_ms) == (name, rate, frame_ms)
    assert info.frame_samples * 1000 == rate * frame_ms
    assert info.frame_duration_samples == 48 * frame_ms
    assert info.channels == 1


@every_codec
@every_shape
def test_each_payload_decodes_to_exactly_one_frame(name: str, rate: int, frame_ms: int) -> None:
    codec, decoder = make(name, rate, frame_ms), make_decoder(name, rate)
    assert decoder.sample_rate == rate
    for payload in encode(codec, voice(rate, rate)):
        assert len(decoder.decode(payload)) == codec.info.frame_samples


@every_codec
@every_shape
def test_a_sine_survives(name: str, rate: int, frame_ms: int) -> None:
    tone = sine(440, rate * 12 // 10, rate)
    heard = round_trip(make(name, rate, frame_ms), tone)
    edge = rate // 10
    ratio = signal_to_noise_db(tone[edge : len(heard) - edge], heard[edge:-edge])
    assert ratio > SINE_SNR_DB[name]


@every_codec
def test_speech_keeps_its_spectrum(name: str) -> None:
    sound = voice(48_000, 24_000)
    heard = round_trip(make(name), sound)
    distance = log_spectral_distance_db(sound[: len(heard)], heard)
    assert distance < SPECTRAL_DISTANCE_DB[name]


@every_codec
def test_two_encoders_give_the_same_bytes(name: str) -> None:
    sound = voice(24_000, 24_000)
    assert encode(make(name), sound) == encode(make(name), sound)


@every_codec
def test_reset_forgets_the_stream(name: str) -> None:
    sound = voice(24_000, 24_000)
    codec = make(name)
    first = encode(codec, sound)
    codec.reset()
    assert encode(codec, sound) == first


@every_codec
@pytest.mark.parametrize("length", [0, 479, 481, 960])
def test_a_frame_of_another_length_is_our_own_fault(name: str, length: int) -> None:
    with pytest.raises(AssertionError, match="480"):
        make(name).encode(np.zeros(length, np.float32))


@every_codec
def test_the_input_is_neither_changed_nor_kept(name: str) -> None:
    codec, again = make(name), make(name)
    frame = voice(480, 24_000)
    before = frame.copy()
    codec.encode(frame)
    assert np.array_equal(frame, before)
    again.encode(before)
    frame[:] = 1
    assert codec.encode(before) == again.encode(before)


@every_codec
def test_a_read_only_frame_is_taken(name: str) -> None:
    frame = voice(480, 24_000)
    frame.flags.writeable = False
    assert make(name).encode(frame)


@every_codec
def test_overload_is_limited_not_wrapped(name: str) -> None:
    """+2.0 must not come out negative, as it would if the integer overflowed."""
    heard = round_trip(make(name), np.full(24_000, 2.0, np.float32))
    assert np.isfinite(heard).all()
    assert heard[480:2_400].mean() > 0.1


@every_codec
def test_silence_stays_silent(name: str) -> None:
    heard = round_trip(make(name), np.zeros(24_000, np.float32))
    assert np.abs(heard).max() < 1e-3


@every_codec
def test_a_lost_frame_is_filled_to_its_length(name: str) -> None:
    decoder = make_decoder(name, 24_000)
    for payload in encode(make(name), voice(4_800, 24_000)):
        decoder.decode(payload)
    assert decoder.decode_lost(480).shape == (480,)


@every_codec
def test_a_decoder_that_was_reset_is_as_new(name: str) -> None:
    payloads = encode(make(name), voice(4_800, 24_000))
    used, new = make_decoder(name, 24_000), make_decoder(name, 24_000)
    for payload in payloads:
        used.decode(payload)
    used.reset()
    assert np.array_equal(used.decode(payloads[0]), new.decode(payloads[0]))


@every_codec
@pytest.mark.parametrize(("field", "value"), [("sample_rate", 11_025), ("frame_duration_ms", 25)])
def test_what_is_not_on_offer_is_named(name: str, field: str, value: int) -> None:
    options = {"sample_rate": 24_000, "frame_duration_ms": 20, field: value}
    with pytest.raises(InvalidValue) as caught:
        make_codec(name, bitrate=32_000, settings=SETTINGS, **options)
    assert caught.value.field == field
    assert str(value) in caught.value.message
    assert caught.value.limit
