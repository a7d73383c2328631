"""A track says where each sample sounds, and a listener finds it there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gateway.codecs.base import Codec
from gateway.codecs.opus import OpusEncoder
from gateway.codecs.pcm import PcmEncoder
from gateway.codecs.track import Track
from gateway.errors import SynthesisError
from gateway.media import PcmBlock
from tests.codecs.signals import chirp, decode, place_of, signal_to_noise_db, sine

CODECS = {
    "opus 8k": lambda: OpusEncoder(sample_rate=8_000),
    "opus 12k": lambda: OpusEncoder(sample_rate=12_000),
    "opus 16k 40 ms": lambda: OpusEncoder(sample_rate=16_000, frame_duration_ms=40),
    "opus 24k": lambda: OpusEncoder(),
    "opus 24k voip": lambda: OpusEncoder(application="voip"),
    "opus 48k 60 ms": lambda: OpusEncoder(sample_rate=48_000, frame_duration_ms=60),
    "pcm 24k": lambda: PcmEncoder("pcm", sample_rate=24_000),
    "pcm 22.05k": lambda: PcmEncoder("pcm", sample_rate=22_050),
    "pcmu 8k": lambda: PcmEncoder("pcmu", sample_rate=8_000),
}


def opus_track() -> Track:
    return Track(OpusEncoder())


def silence(count: int, rate: int = 24_000) -> PcmBlock:
    return PcmBlock(np.zeros(count, np.float32), rate)


def play(codec: Codec, blocks: list[PcmBlock], talkspurt: int) -> tuple[np.ndarray, list[int]]:
    """Write ``blocks``, ``talkspurt`` of them at a time.

    Returns what is heard at 48 kHz (PCM: at the codec's rate) and the position of each block.
    """
    track = Track(codec)
    frames, positions = [], []
    for i, block in enumerate(blocks, 1):
        positions.append(track.position_samples)
        frames += track.write(block)
        if i % talkspurt == 0:
            frames += track.finish()
    frames += track.finish()
    assert track.encoded_samples == sum(frame.duration_samples for frame in frames)
    rate = 48_000 if codec.info.name == "opus" else codec.info.sample_rate
    return decode(frames, codec.info, rate), positions


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_each_block_is_heard_within_1_ms_of_its_position(codec: Callable[[], Codec]) -> None:
    """Twelve blocks of odd lengths at three rates, in four talkspurts, a chirp at each start."""
    rates = [22_050, 22_050, 24_000, 16_000, 22_050, 44_100] * 2
    rests = [811, 2_903, 1, 1_999, 477, 2_204, 55, 1_200, 2_048, 333, 2_777, 13]
    blocks = [
        PcmBlock(np.concatenate([chirp(rate), np.zeros(rest, np.float32)]), rate)
        for rate, rest in zip(rates, rests, strict=True)
    ]
    encoder = codec()
    heard, positions = play(encoder, blocks, talkspurt=3)
    rate = 48_000 if encoder.info.name == "opus" else encoder.info.sample_rate
    for position in positions:
        expected = position * rate / 48_000
        found = place_of(chirp(rate), heard, round(expected), reach=rate // 50)
        assert abs(found - expected) * 1000 / rate < 1.0


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_the_last_sample_of_a_talkspurt_can_be_decoded(codec: Callable[[], Codec]) -> None:
    """Whatever the length, what is decoded reaches beyond the end by a frame at most."""
    for length in (2, 300, 324, 325, 441, 480, 2_205, 22_050):
        encoder = codec()
        track = Track(encoder)
        frames = track.write(PcmBlock(np.full(length, 0.1, np.float32), 22_050))
        end = track.position_samples
        frames += track.finish()
        beyond = track.encoded_samples - encoder.info.preskip_samples - end
        assert 0 <= beyond <= encoder.info.frame_duration_samples
        assert track.end_samples == end
        assert track.position_samples == track.encoded_samples


def test_the_end_of_a_tone_is_heard_in_full() -> None:
    """A chirp that ends with the very last sample would lose its end without the lookahead."""
    encoder = OpusEncoder(bitrate=64_000)
    samples = np.concatenate([np.zeros(24_000 - 720, np.float32), chirp(24_000)])
    assert len(samples) == 24_000
    heard, _ = play(encoder, [PcmBlock(samples, 24_000)], talkspurt=1)
    assert place_of(chirp(48_000), heard, 48_000 - 1_440, reach=480) == pytest.approx(
        46_560, abs=24
    )
    assert len(heard) >= 48_000


def test_the_position_counts_what_waits_in_the_resampler_and_in_an_open_frame() -> None:
    track = opus_track()
    assert track.write(silence(221, 22_050)) == []
    assert track.position_samples == 482  # 221 * 24/22.05 = 240.5 samples at 24 kHz
    assert track.encoded_samples == 0
    assert track.written_samples == 482


def test_the_position_does_not_step_back_when_the_resampler_is_flushed() -> None:
    track = opus_track()
    track.write(silence(221, 22_050))
    before = track.position_samples
    track.write(silence(0, 16_000))
    assert track.position_samples == before
    track.write(silence(160, 16_000))
    assert track.position_samples == before + 480


def test_padding_shifts_the_next_talkspurt_and_is_not_counted_as_written() -> None:
    track = opus_track()
    track.write(silence(400))
    assert len(track.finish()) == 2  # 400 + 156 samples of lookahead need two frames of 480
    assert track.position_samples == 1_920
    assert track.end_samples == 800
    assert track.written_samples == 800
    track.write(silence(100))
    assert track.position_samples == 2_120
    assert track.end_samples == 2_120
    assert track.written_samples == 1_000
    track.finish()
    assert track.position_samples == 2_880
    assert track.end_samples == 2_120
    assert track.written_samples == 1_000


def test_a_full_frame_still_needs_a_frame_for_the_lookahead() -> None:
    track = opus_track()
    assert len(track.write(silence(480))) == 1
    assert len(track.finish()) == 1


def test_pcm_that_fills_its_frames_ends_with_one_of_silence() -> None:
    track = Track(PcmEncoder("pcm", sample_rate=24_000))
    assert len(track.write(silence(960))) == 2
    (last,) = track.finish()
    assert last.payload == bytes(960)
    assert (track.end_samples, track.position_samples) == (1_920, 2_880)
    assert track.finish() == []


def test_finish_does_nothing_when_nothing_was_written() -> None:
    track = opus_track()
    assert track.finish() == []
    track.write(silence(480))
    track.finish()
    position = track.position_samples
    assert track.finish() == []
    assert track.position_samples == position
    assert track.end_samples == 960


def test_a_sample_too_short_for_the_codec_waits_for_the_next_ones() -> None:
    track = Track(OpusEncoder(sample_rate=8_000))
    track.write(silence(1, 48_000))
    assert track.finish() == []
    assert track.encoded_samples == track.position_samples == 0
    track.write(silence(2, 48_000))
    assert track.position_samples == track.end_samples == 6
    assert len(track.finish()) == 1


def test_an_empty_block_changes_nothing() -> None:
    track = opus_track()
    track.write(silence(480))
    track.finish()
    assert track.write(silence(0)) == []
    assert track.finish() == []
    assert track.end_samples == 960


def test_samples_that_are_not_finite_are_the_engines_fault_and_are_not_taken() -> None:
    track = opus_track()
    samples = np.zeros(480, np.float32)
    samples[17] = np.nan
    with pytest.raises(SynthesisError, match="not finite"):
        track.write(PcmBlock(samples, 24_000))
    assert track.position_samples == 0
    assert len(track.write(silence(480))) == 1


@pytest.mark.parametrize(
    "samples", [np.zeros((10, 1), np.float32), np.zeros(10, np.float64), np.zeros(10, np.int16)]
)
def test_pcm_of_another_shape_or_type_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(AssertionError, match="PCM is"):
        opus_track().write(PcmBlock(samples, 24_000))


def test_a_prepared_source_rate_changes_no_packet() -> None:
    block = PcmBlock(sine(440, 22_050, 22_050), 22_050)
    prepared, plain = Track(OpusEncoder(), source_rate=22_050), Track(OpusEncoder())
    assert prepared.write(block) + prepared.finish() == plain.write(block) + plain.finish()


def test_a_sine_in_odd_blocks_has_no_missing_or_repeated_sample() -> None:
    """440 Hz for three seconds at 22.05 kHz: the count is exact and the phase never slips.

    One sample lost or doubled at 48 kHz turns the phase by 0.058 rad from there on.
    """
    tone = sine(440, 3 * 22_050, 22_050)
    sizes = [1, 441, 1_000, 37, 2_205, 613, 5, 3_001]
    blocks, start = [], 0
    while start < len(tone):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(PcmBlock(tone[start : start + size], 22_050))
        start += size
    track = Track(OpusEncoder(bitrate=64_000))
    frames = [frame for block in blocks for frame in track.write(block)] + track.finish()
    assert track.end_samples == track.written_samples == 144_000

    heard = decode(frames, OpusEncoder().info, 48_000)[:144_000]
    assert len(heard) == 144_000
    expected = sine(440, 144_000, 48_000)
    assert place_of(expected[4_800:139_200], heard, 4_800, reach=50) == 4_800
    carrier = np.exp(-2j * np.pi * 440 * np.arange(144_000) / 48_000)
    phase = np.angle((heard * carrier).reshape(-1, 4_800).sum(axis=1))[1:-1]  # each 100 ms
    assert np.ptp(phase) < 0.02
    assert signal_to_noise_db(expected[4_800:139_200], heard[4_800:139_200]) > 25


def test_pcm_carries_the_samples_unchanged_through_any_blocks() -> None:
    values = np.arange(-3_000, 3_000, dtype=np.float32) / 32_768
    track = Track(PcmEncoder("pcm", sample_rate=24_000))
    frames = []
    for start in range(0, 6_000, 7):
        frames += track.write(PcmBlock(values[start : start + 7], 24_000))
    frames += track.finish()
    heard = decode(frames, PcmEncoder("pcm", sample_rate=24_000).info)
    assert np.array_equal(heard[:6_000], values)
    assert not heard[6_000:].any()
