"""Audio files, read back by the standard library and by FFmpeg."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from gateway.codecs.base import Codec
from gateway.codecs.files import OggOpusWriter, WavWriter, open_audio_file
from gateway.codecs.opus import OpusEncoder
from gateway.codecs.pcm import PcmEncoder
from gateway.codecs.track import Track
from gateway.errors import InvalidValue
from gateway.media import PcmBlock
from tests.codecs.signals import chirp, place_of, signal_to_noise_db, sine


def write(path: Path, codec: Codec, samples: np.ndarray, rate: int = 24_000) -> int:
    """Write ``samples`` in two talkspurts; returns the media time at which the audio ends."""
    track = Track(codec)
    half = len(samples) // 2
    with open_audio_file(path, codec.info) as writer:
        for part in (samples[:half], samples[half:]):
            for frame in track.write(PcmBlock(part, rate)) + track.finish():
                writer.write(frame)
        writer.finish(track.end_samples)
    return track.end_samples


def read_with_ffmpeg(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        [stream] = container.streams
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
    return np.concatenate(frames, axis=1)[0]


def read_wav(path: Path) -> tuple[int, np.ndarray]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.mark.parametrize("frame_ms", [20, 40, 60])
@pytest.mark.parametrize("length", [2, 321, 480, 24_000, 60_001])
def test_an_opus_file_has_the_exact_length(tmp_path: Path, length: int, frame_ms: int) -> None:
    codec = OpusEncoder(frame_duration_ms=frame_ms)
    end = write(tmp_path / "x.opus", codec, np.zeros(length, np.float32))
    assert len(read_with_ffmpeg(tmp_path / "x.opus")) == end


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_an_opus_file_tells_its_preskip_and_plays_in_time(tmp_path: Path, rate: int) -> None:
    pattern = chirp(24_000)
    samples = np.concatenate([np.zeros(10_000, np.float32), pattern, np.zeros(9_280, np.float32)])
    write(tmp_path / "x.opus", OpusEncoder(sample_rate=rate), np.pad(samples, (0, len(samples))))
    heard = read_with_ffmpeg(tmp_path / "x.opus")
    assert place_of(chirp(48_000), heard, 20_000, reach=960) == pytest.approx(20_000, abs=48)


def test_the_packets_are_not_encoded_again(tmp_path: Path) -> None:
    codec = OpusEncoder()
    track = Track(codec)
    frames = track.write(PcmBlock(sine(440, 24_000, 24_000), 24_000)) + track.finish()
    with open_audio_file(tmp_path / "x.ogg", codec.info) as writer:
        for frame in frames:
            writer.write(frame)
    with av.open(str(tmp_path / "x.ogg")) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    assert packets == [frame.payload for frame in frames]


@pytest.mark.parametrize(
    ("make", "floor_db"),
    [
        (lambda: OpusEncoder(bitrate=64_000), 20),
        (lambda: PcmEncoder("pcm", sample_rate=24_000), 80),
        (lambda: PcmEncoder("pcmu", sample_rate=24_000), 30),
        (lambda: PcmEncoder("pcma", sample_rate=24_000), 30),
    ],
    ids=["opus", "pcm", "pcmu", "pcma"],
)
def test_a_wav_file_begins_with_the_first_sample(
    tmp_path: Path, make: Callable[[], Codec], floor_db: float
) -> None:
    samples = np.concatenate([sine(440, 12_000, 24_000), np.zeros(12_000, np.float32)])
    end = write(tmp_path / "x.wav", make(), samples)
    rate, heard = read_wav(tmp_path / "x.wav")
    assert rate == 24_000
    assert len(heard) == end // 2
    assert signal_to_noise_db(samples[1_200:12_000], heard[1_200:12_000] / 32_768) > floor_db


@pytest.mark.parametrize("length", [2, 321, 480, 24_000, 60_001])
def test_a_wav_file_has_the_exact_length(tmp_path: Path, length: int) -> None:
    end = write(tmp_path / "x.wav", OpusEncoder(), np.zeros(length, np.float32))
    assert len(read_wav(tmp_path / "x.wav")[1]) == end // 2
    end = write(
        tmp_path / "y.wav", PcmEncoder("pcm", sample_rate=22_050), np.zeros(length, np.float32)
    )
    assert len(read_wav(tmp_path / "y.wav")[1]) == round(end * 22_050 / 48_000)


@pytest.mark.parametrize("name", ["x.wav", "x.opus"])
def test_a_caller_that_fails_leaves_a_valid_file(tmp_path: Path, name: str) -> None:
    codec = OpusEncoder()
    frames = Track(codec).write(PcmBlock(np.zeros(24_000, np.float32), 24_000))

    def stop_early() -> None:
        with open_audio_file(tmp_path / name, codec.info) as writer:
            for frame in frames:
                writer.write(frame)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_early()
    rate = 24_000 if name == "x.wav" else 48_000
    assert len(read_with_ffmpeg(tmp_path / name)) == rate - 312 * rate // 48_000


@pytest.mark.parametrize("writer_class", [WavWriter, OggOpusWriter])
def test_finish_twice_does_nothing(writer_class: type[WavWriter] | type[OggOpusWriter]) -> None:
    codec, file = OpusEncoder(), io.BytesIO()
    writer = writer_class(file, codec.info)
    for frame in Track(codec).write(PcmBlock(np.zeros(960, np.float32), 24_000)):
        writer.write(frame)
    writer.finish()
    complete = file.getvalue()
    writer.finish()
    assert file.getvalue() == complete


def test_a_wav_file_of_nothing_is_valid(tmp_path: Path) -> None:
    write(tmp_path / "x.wav", OpusEncoder(), np.zeros(0, np.float32))
    assert len(read_wav(tmp_path / "x.wav")[1]) == 0


def test_an_opus_file_of_nothing_has_headers_only(tmp_path: Path) -> None:
    """FFmpeg opens no stream without a packet, so the pages are counted."""
    write(tmp_path / "x.opus", OpusEncoder(), np.zeros(0, np.float32))
    assert (tmp_path / "x.opus").read_bytes().count(b"OggS") == 3


def test_an_unknown_ending_is_refused_and_creates_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidValue) as caught,
        open_audio_file(tmp_path / "x.mp3", OpusEncoder().info),
    ):
        pass
    assert caught.value.field == "out"
    assert caught.value.limit == ".wav, .opus, .ogg"
    assert not (tmp_path / "x.mp3").exists()


def test_pcm_does_not_fit_an_opus_file(tmp_path: Path) -> None:
    info = PcmEncoder("pcm", sample_rate=24_000).info
    with (
        pytest.raises(InvalidValue, match="pcm") as caught,
        open_audio_file(tmp_path / "x.OPUS", info),
    ):
        pass
    assert caught.value.field == "codec"
    assert not (tmp_path / "x.OPUS").exists()


def test_an_end_outside_the_last_frame_is_refused(tmp_path: Path) -> None:
    codec = OpusEncoder()
    track = Track(codec)
    frames = track.write(PcmBlock(np.zeros(4_800, np.float32), 24_000)) + track.finish()
    with open_audio_file(tmp_path / "x.wav", codec.info) as writer:
        for frame in frames:
            writer.write(frame)
        with pytest.raises(AssertionError, match="last frame"):
            writer.finish(960)
    assert len(read_wav(tmp_path / "x.wav")[1]) == 11 * 480 - 156
