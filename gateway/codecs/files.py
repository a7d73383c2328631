"""Audio files from encoded frames: WAV, and Ogg Opus without encoding again.

    EncodedFrame ──► Ogg pages                                           .opus, .ogg
                └──► Decoder ──► drop the pre-skip ──► 16-bit PCM        .wav

Both are exact to the sample: the pre-skip goes, and ``finish(end_samples)`` cuts the padding after
the last real sample, which is always shorter than a frame once the pre-skip is gone (``Track``).
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from gateway.codecs.base import CodecInfo, check_choice
from gateway.codecs.catalog import make_decoder
from gateway.codecs.ogg import OggOpusStream
from gateway.codecs.pcm import to_int16
from gateway.errors import InvalidValue
from gateway.media import MEDIA_RATE, EncodedFrame, Samples


class AudioFileWriter(Protocol):
    """Takes the frames of one generation in order."""

    def write(self, frame: EncodedFrame) -> None:
        """Add a frame."""
        ...

    def finish(self, end_samples: int | None = None) -> None:
        """Complete the file; the audio ends at media time ``end_samples``, or with the last frame.

        ``end_samples`` may cut at most the last frame.  A second call does nothing.
        """
        ...


class WavWriter:
    """16-bit mono WAV at the codec's rate, for every codec; ``file`` must be seekable."""

    __slots__ = ("_decoded", "_decoder", "_finished", "_held", "_info", "_skip", "_wave")

    def __init__(self, file: BinaryIO, info: CodecInfo) -> None:
        self._info = info
        self._decoder = make_decoder(info.name, info.sample_rate)
        self._wave = wave.Wave_write(file)
        self._wave.setnchannels(info.channels)
        self._wave.setsampwidth(2)
        self._wave.setframerate(info.sample_rate)
        self._skip = info.lookahead_samples
        self._held: Samples = np.zeros(0, np.float32)
        self._decoded = 0
        self._finished = False

    def write(self, frame: EncodedFrame) -> None:
        """Write the frame before this one; the last must wait, because ``finish`` may cut it."""
        samples = self._decoder.decode(frame.payload)
        dropped = min(self._skip, len(samples))
        self._skip -= dropped
        self._wave.writeframesraw(to_int16(self._held).tobytes())
        self._held = samples[dropped:]
        self._decoded += len(self._held)

    def finish(self, end_samples: int | None = None) -> None:
        """Complete the header; see ``AudioFileWriter``."""
        if self._finished:
            return
        keep = len(self._held)
        if end_samples is not None:
            keep += round(end_samples * self._info.sample_rate / MEDIA_RATE) - self._decoded
            assert 0 <= keep <= len(self._held), f"{end_samples} is not within the last frame"
        self._finished = True
        self._wave.writeframes(to_int16(self._held[:keep]).tobytes())
        self._wave.close()


class OggOpusWriter:
    """Ogg Opus; ``file`` may be a pipe."""

    __slots__ = ("_finished", "_stream")

    def __init__(self, file: BinaryIO, info: CodecInfo) -> None:
        assert info.name == "opus", info.name
        self._stream = OggOpusStream(
            file, sample_rate=info.sample_rate, preskip_samples=info.preskip_samples
        )
        self._finished = False

    def write(self, frame: EncodedFrame) -> None:
        """Add the packet as it is."""
        self._stream.write(frame.payload, frame.duration_samples)

    def finish(self, end_samples: int | None = None) -> None:
        """Write the last page; see ``AudioFileWriter``."""
        if not self._finished:
            self._stream.finish(end_samples)
            self._finished = True


WRITERS: dict[str, Callable[[BinaryIO, CodecInfo], AudioFileWriter]] = {
    ".wav": WavWriter,
    ".opus": OggOpusWriter,
    ".ogg": OggOpusWriter,
}


@contextmanager
def open_audio_file(path: Path, info: CodecInfo) -> Iterator[AudioFileWriter]:
    """Create ``path`` and yield its writer; the ending chooses the format.

    The file is valid even if the caller fails or stops early: what was written is then kept whole.
    Raises InvalidValue, and creates nothing, for an unknown ending or a codec that does not fit.
    """
    check_choice("out", path.suffix.lower(), tuple(WRITERS))
    make_writer = WRITERS[path.suffix.lower()]
    if make_writer is OggOpusWriter and info.name != "opus":
        raise InvalidValue(
            f"{path.name} needs the codec opus, not {info.name}; choose opus, or a .wav file.",
            field="codec",
            limit="opus",
        )
    with path.open("wb") as file:
        writer = make_writer(file, info)
        try:
            yield writer
        finally:
            writer.finish()
