"""PCM and G.711, against FFmpeg bit for bit."""

from __future__ import annotations

import av
import numpy as np
import pytest

from gateway.codecs.pcm import PcmDecoder, PcmEncoder, from_int16, to_int16
from gateway.errors import InvalidValue

EVERY_INT16 = np.arange(-32_768, 32_768).astype(np.int16)
FFMPEG = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}


def encode_all(name: str, samples: np.ndarray) -> bytes:
    encoder = PcmEncoder(name, sample_rate=8_000)
    padded = np.pad(samples, (0, -len(samples) % 160))
    frames = [encoder.encode(padded[i : i + 160]) for i in range(0, len(padded), 160)]
    return b"".join(frames)[: len(samples)]


def ffmpeg_encode(codec: str, values: np.ndarray) -> bytes:
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.format, context.layout = 8_000, "s16", "mono"
    frame = av.AudioFrame.from_ndarray(values[None], format="s16", layout="mono")
    frame.sample_rate = 8_000
    return b"".join(bytes(packet) for packet in context.encode(frame))


def ffmpeg_decode(codec: str, payload: bytes) -> np.ndarray:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8_000, "mono"
    frames = context.decode(av.Packet(payload))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_every_16_bit_sample_is_coded_as_by_ffmpeg(name: str) -> None:
    ours = encode_all(name, from_int16(EVERY_INT16))
    assert ours == ffmpeg_encode(FFMPEG[name], EVERY_INT16)


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_every_code_is_decoded_as_by_ffmpeg(name: str) -> None:
    codes = bytes(range(256))
    ours = PcmDecoder(name, 8_000).decode(codes)
    assert np.array_equal(to_int16(ours), ffmpeg_decode(FFMPEG[name], codes))


@pytest.mark.parametrize(
    ("name", "silence"), [("pcm", b"\0\0"), ("pcmu", b"\xff"), ("pcma", b"\xd5")]
)
def test_silence_has_its_known_code(name: str, silence: bytes) -> None:
    encoder = PcmEncoder(name, sample_rate=8_000)
    assert encoder.encode(np.zeros(160, np.float32)) == silence * 160


def test_linear_samples_are_little_endian_rounded_and_clipped() -> None:
    samples = np.array([0, 0.5, -0.5, 1.0, -1.0, 1.5, -7.0, 0.6 / 32_768, 0.4 / 32_768], np.float32)
    assert to_int16(samples).tolist() == [
        0,
        16_384,
        -16_384,
        32_767,
        -32_768,
        32_767,
        -32_768,
        1,
        0,
    ]
    assert to_int16(np.array([0.5], np.float32)).tobytes() == b"\x00\x40"


def test_halves_are_rounded_to_even() -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32) / np.float32(32_768)
    assert to_int16(halves).tolist() == [0, 2, 2, 0, -2]


def test_converting_does_not_change_the_input() -> None:
    samples = np.full(4, 0.25, np.float32)
    to_int16(samples)
    assert samples.tolist() == [0.25] * 4


def test_every_16_bit_sample_survives_the_way_to_float_and_back() -> None:
    assert np.array_equal(to_int16(from_int16(EVERY_INT16)), EVERY_INT16)


@pytest.mark.parametrize(("name", "frame_bytes"), [("pcm", 960), ("pcmu", 480), ("pcma", 480)])
def test_a_frame_has_its_number_of_bytes(name: str, frame_bytes: int) -> None:
    encoder = PcmEncoder(name, sample_rate=24_000)
    assert len(encoder.encode(np.zeros(480, np.float32))) == frame_bytes
    assert encoder.info.preskip_samples == 0
    assert encoder.info.bitrate is None


@pytest.mark.parametrize(("rate", "samples"), [(22_050, 441), (44_100, 882), (32_000, 640)])
def test_rates_outside_opus_are_allowed(rate: int, samples: int) -> None:
    info = PcmEncoder("pcm", sample_rate=rate).info
    assert info.frame_samples == samples
    assert info.frame_duration_samples == 960


def test_a_rate_without_whole_frames_is_refused() -> None:
    with pytest.raises(InvalidValue) as caught:
        PcmEncoder("pcm", sample_rate=11_025)
    assert caught.value.field == "sample_rate"
    assert "44100" in str(caught.value.limit)
    with pytest.raises(InvalidValue):
        PcmDecoder("pcm", 11_025)


def test_half_a_sample_is_an_invalid_value() -> None:
    with pytest.raises(InvalidValue, match="3 bytes") as caught:
        PcmDecoder("pcm", 8_000).decode(b"abc")
    assert caught.value.field == "payload"
