"""The Opus encoder and decoder, over the real libopus."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gateway.codecs.opus import OpusDecoder, OpusEncoder
from gateway.errors import InvalidValue
from tests.codecs.signals import sine, voice


def packets(encoder: OpusEncoder, samples: np.ndarray) -> list[bytes]:
    size = encoder.info.frame_samples
    return [encoder.encode(samples[i : i + size]) for i in range(0, len(samples) - size + 1, size)]


def frame_count(packet: bytes) -> int:
    """Number of Opus frames in a packet (RFC 6716, section 3.1)."""
    code = packet[0] & 3
    return packet[1] & 63 if code == 3 else (1, 2, 2)[code]


@pytest.mark.parametrize(
    ("rate", "frame_ms", "frame_samples", "duration"),
    [
        (8_000, 20, 160, 960),
        (12_000, 40, 480, 1920),
        (16_000, 60, 960, 2880),
        (24_000, 20, 480, 960),
        (48_000, 60, 2880, 2880),
    ],
)
def test_a_frame_has_the_length_that_was_asked_for(
    rate: int, frame_ms: int, frame_samples: int, duration: int
) -> None:
    encoder = OpusEncoder(sample_rate=rate, frame_duration_ms=frame_ms)
    assert encoder.info.frame_samples == frame_samples
    assert encoder.info.frame_duration_samples == duration
    packet = encoder.encode(np.zeros(frame_samples, np.float32))
    assert len(OpusDecoder(48_000).decode(packet)) == duration


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_the_preskip_is_the_lookahead_of_6_5_ms(rate: int) -> None:
    info = OpusEncoder(sample_rate=rate).info
    assert info.preskip_samples == 312
    assert info.lookahead_samples == 312 * rate // 48_000


@pytest.mark.parametrize("length", [0, 479, 481, 960])
def test_a_wrong_length_never_reaches_the_library(length: int) -> None:
    with pytest.raises(AssertionError, match="480"):
        OpusEncoder().encode(np.zeros(length, np.float32))


def test_two_dimensions_are_refused() -> None:
    with pytest.raises(AssertionError, match="480"):
        OpusEncoder().encode(np.zeros((480, 1), np.float32))


def test_a_strided_view_is_encoded_like_its_copy() -> None:
    samples = voice(960, 24_000)
    view = samples[::2]
    assert OpusEncoder().encode(view) == OpusEncoder().encode(view.copy())


def test_a_later_frame_does_not_change_an_earlier_packet() -> None:
    encoder = OpusEncoder()
    first = encoder.encode(sine(440, 480, 24_000))
    kept = bytes(bytearray(first))
    encoder.encode(voice(480, 24_000))
    assert first == kept


def test_the_bitrate_is_obeyed() -> None:
    seconds = 4
    samples = voice(24_000 * seconds, 24_000)
    for bitrate in (16_000, 32_000, 64_000):
        size = sum(map(len, packets(OpusEncoder(bitrate=bitrate), samples)))
        assert size * 8 / seconds == pytest.approx(bitrate, rel=0.25)


def test_constant_bitrate_gives_packets_of_one_length() -> None:
    sizes = {len(p) for p in packets(OpusEncoder(vbr=False), voice(24_000, 24_000))}
    assert sizes == {80}  # 32,000 bit/s * 20 ms / 8


def test_variable_bitrate_gives_packets_of_several_lengths() -> None:
    assert len({len(p) for p in packets(OpusEncoder(vbr=True), voice(24_000, 24_000))}) > 5


def test_dtx_saves_the_packets_of_silence() -> None:
    """The ``dtx`` property of opuslib would do nothing."""
    silence = np.zeros(24_000, np.float32)
    options = {"application": "voip", "bitrate": 16_000}
    with_dtx = packets(OpusEncoder(dtx=True, **options), silence)
    without = packets(OpusEncoder(dtx=False, **options), silence)
    assert sum(len(p) <= 2 for p in with_dtx) > 30
    assert all(len(p) > 2 for p in without)


def test_packets_of_dtx_decode_to_their_full_length() -> None:
    decoder = OpusDecoder(24_000)
    encoder = OpusEncoder(dtx=True, application="voip", bitrate=16_000)
    heard = [decoder.decode(p) for p in packets(encoder, np.zeros(24_000, np.float32))]
    assert [len(h) for h in heard] == [480] * 50


def test_complexity_and_application_change_the_packets() -> None:
    samples = voice(24_000, 24_000)
    base = packets(OpusEncoder(complexity=5, application="audio"), samples)
    assert packets(OpusEncoder(complexity=0, application="audio"), samples) != base
    assert packets(OpusEncoder(complexity=5, application="voip"), samples) != base


def test_reset_starts_a_new_stream_with_the_same_options() -> None:
    samples = voice(24_000, 24_000)
    encoder = OpusEncoder(vbr=False, bitrate=24_000)
    first = packets(encoder, samples)
    encoder.encode(sine(900, 480, 24_000))
    encoder.reset()
    assert packets(encoder, samples) == first


def test_samples_beyond_full_scale_are_limited() -> None:
    decoder, encoder = OpusDecoder(24_000), OpusEncoder(bitrate=64_000)
    loud = sine(440, 24_000, 24_000, amplitude=4.0)
    heard = np.concatenate([decoder.decode(p) for p in packets(encoder, loud)])
    assert np.isfinite(heard).all()


def test_encoders_in_several_threads_do_not_disturb_one_another() -> None:
    samples = voice(24_000, 24_000)
    alone = packets(OpusEncoder(), samples)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: packets(OpusEncoder(), samples), range(8)))
    assert all(result == alone for result in results)


@pytest.mark.parametrize(
    ("options", "field", "limit"),
    [
        ({"sample_rate": 22_050}, "sample_rate", "8000, 12000, 16000, 24000, 48000"),
        ({"frame_duration_ms": 10}, "frame_duration_ms", "20, 40, 60"),
        ({"bitrate": 5_999}, "bitrate", "6000-256000"),
        ({"bitrate": 256_001}, "bitrate", "6000-256000"),
        ({"complexity": 11}, "complexity", "0-10"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_limit(
    options: dict[str, int], field: str, limit: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        OpusEncoder(**options)
    assert caught.value.field == field
    assert caught.value.limit == limit
    assert str(options[field]) in caught.value.message


def test_a_decoder_works_at_any_rate_of_opus_and_no_other() -> None:
    packet = OpusEncoder(sample_rate=24_000).encode(np.zeros(480, np.float32))
    assert [len(OpusDecoder(r).decode(packet)) for r in (8_000, 16_000, 48_000)] == [160, 320, 960]
    with pytest.raises(InvalidValue, match="44100"):
        OpusDecoder(44_100)


@pytest.mark.parametrize(("payload", "why"), [(b"", "empty"), (b"\xff\xff\xff", "corrupt")])
def test_a_corrupt_packet_is_an_invalid_value(payload: bytes, why: str) -> None:
    with pytest.raises(InvalidValue, match=why) as caught:
        OpusDecoder(24_000).decode(payload)
    assert caught.value.field == "payload"


def test_a_packet_of_120_ms_can_be_decoded() -> None:
    """Others may send longer packets than ours; here six frames of 20 ms in one."""
    frame = OpusEncoder(bitrate=24_000, vbr=False).encode(sine(440, 480, 24_000))
    packet = bytes((frame[0] | 3, 6)) + frame[1:] * 6
    assert frame_count(packet) == 6
    assert len(OpusDecoder(48_000).decode(packet)) == 5760


def test_a_lost_packet_is_concealed_by_what_was_before() -> None:
    decoder = OpusDecoder(24_000)
    stream = packets(OpusEncoder(bitrate=64_000), sine(440, 24_000, 24_000))
    for packet in stream[:25]:
        decoder.decode(packet)
    concealed = decoder.decode_lost(480)
    assert concealed.shape == (480,)
    assert np.sqrt(np.mean(concealed**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.3)


@pytest.mark.parametrize("samples", [0, 481, 24_000])
def test_concealment_takes_multiples_of_2_5_ms_up_to_120(samples: int) -> None:
    with pytest.raises(AssertionError):
        OpusDecoder(24_000).decode_lost(samples)


def test_decoded_samples_are_not_overwritten_by_the_next_packet() -> None:
    decoder = OpusDecoder(24_000)
    stream = packets(OpusEncoder(), voice(4_800, 24_000))
    first = decoder.decode(stream[0])
    copy = first.copy()
    decoder.decode(stream[1])
    assert np.array_equal(first, copy)


def test_a_decoder_that_was_reset_is_as_new() -> None:
    stream = packets(OpusEncoder(), voice(4_800, 24_000))
    used, new = OpusDecoder(24_000), OpusDecoder(24_000)
    for packet in stream:
        used.decode(packet)
    used.reset()
    assert used.sample_rate == 24_000
    assert np.array_equal(used.decode(stream[0]), new.decode(stream[0]))
