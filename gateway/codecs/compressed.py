"""MP3, AAC and FLAC as streams, by the encoders of FFmpeg (PyAV).

Their own frames have other lengths than ours, so a payload is whatever bytes the encoder gave up
while it was fed one of our frames: often none, sometimes two of its own.  Concatenated, payloads
are a valid stream that a decoder may join at the next sync word:

    mp3    MPEG-1/2 Layer III frames (ISO 11172-3, 13818-3), constant bit rate, no Xing header
    aac    AAC-LC in ADTS (ISO 14496-3, annex 1.A)
    flac   RFC 9639: ``fLaC``, STREAMINFO without a length, 16-bit frames

The encoders of the first two begin with silence of their own, which decoders keep as nothing in
the stream tells them how long it is: measured, 1105 samples for MP3 (LAME's 576 and a decoder's
529) and 1024 for AAC.  Word times count without it.  At the end of a talkspurt silence is fed until
the last sample is out (``CodecInfo.tail_samples``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gateway.codecs.base import (
    FRAME_DURATIONS_MS,
    CodecInfo,
    check_choice,
    check_range,
)
from gateway.codecs.pcm import to_int16
from gateway.media import Samples

if TYPE_CHECKING:  # FFmpeg takes 70 ms to load, which most gateways never need
    from av.audio.codeccontext import AudioCodecContext

ADTS_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
)  # fmt: skip
"""Index is the sampling frequency index of ISO 14496-3, table 1.18."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """``delay_samples``: silence before the first sample; ``held_frames``: kept back by it."""

    encoder: str
    sample_format: str
    sample_rates: tuple[int, ...]
    bitrates: tuple[int, int] | None
    delay_samples: int
    held_frames: int
    options: Mapping[str, str] = field(default_factory=dict)


_KINDS = {
    "mp3": _Kind(
        "libmp3lame",
        "fltp",
        (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        (8_000, 320_000),
        1105,
        1,
        {"reservoir": "0"},  # else bytes wait for up to four frames, which is latency
    ),
    "aac": _Kind(
        "aac",
        "fltp",
        (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        (8_000, 256_000),
        1024,
        1,
    ),
    "flac": _Kind(
        "flac", "s16", (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000), None, 0, 0
    ),
}
NAMES = tuple(_KINDS)


class CompressedEncoder:
    """One of ``mp3``, ``aac``, ``flac``; a ``Codec`` whose payloads vary in length, down to 0.

    ``bitrate`` in bit/s is the nearest that the standard has; FLAC ignores it.  Raises InvalidValue
    for a sample rate, frame duration or bitrate that is not on offer.
    """

    __slots__ = ("_bitrate", "_context", "_info", "_kept", "_kind", "_name", "_position", "_wrap")

    def __init__(
        self, name: str, *, sample_rate: int, frame_duration_ms: int = 20, bitrate: int = 64_000
    ) -> None:
        kind = _KINDS[name]
        check_choice("sample_rate", sample_rate, kind.sample_rates)
        check_choice("frame_duration_ms", frame_duration_ms, FRAME_DURATIONS_MS)
        if kind.bitrates is not None:
            check_range("bitrate", bitrate, *kind.bitrates)
        self._name = name
        self._kind = kind
        self._bitrate = bitrate
        self._open(sample_rate)
        self._info = CodecInfo(
            name,
            sample_rate,
            frame_duration_ms,
            bitrate=bitrate if kind.bitrates else None,
            tail_samples=kind.delay_samples + (kind.held_frames + 1) * self._context.frame_size,
        )

    def _open(self, sample_rate: int) -> None:
        import av
        from av.audio.codeccontext import AudioCodecContext

        context = av.CodecContext.create(self._kind.encoder, "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = sample_rate
        context.layout = "mono"
        context.format = self._kind.sample_format
        context.options = dict(self._kind.options)
        if self._kind.bitrates is not None:
            context.bit_rate = self._bitrate
        context.open()
        self._context = context
        self._kept: Samples = np.zeros(0, np.float32)
        self._position = 0
        self._wrap = _WRAPPERS[self._name](context)

    @property
    def info(self) -> CodecInfo:
        """Facts."""
        return self._info

    def encode(self, samples: Samples) -> bytes:
        """Feed one frame; see ``Codec``.  Returns what the encoder gave up, which may be nothing.

        What lies beyond [-1, 1] is limited.
        """
        assert samples.shape == (self._info.frame_samples,), samples.shape
        kept = np.concatenate((self._kept, samples))
        size = self._context.frame_size
        whole = len(kept) // size * size
        payload = b"".join(self._feed(kept[at : at + size]) for at in range(0, whole, size))
        self._kept = kept[whole:]
        return payload

    def _feed(self, samples: Samples) -> bytes:
        whole = self._kind.sample_format == "s16"
        data = to_int16(samples) if whole else np.clip(samples, -1.0, 1.0)
        import av

        frame = av.AudioFrame.from_ndarray(
            data[None, :], format=self._kind.sample_format, layout="mono"
        )
        frame.sample_rate = self._info.sample_rate
        frame.pts = self._position
        self._position += len(samples)
        return b"".join(self._wrap(bytes(packet)) for packet in self._context.encode(frame))

    def reset(self) -> None:
        """Forget the stream: what follows is a stream of its own."""
        self._open(self._info.sample_rate)


_Wrap = Callable[[bytes], bytes]


def _mp3(_: AudioCodecContext) -> _Wrap:
    return lambda packet: packet


def _aac(context: AudioCodecContext) -> _Wrap:
    """Each access unit behind an ADTS header: AAC-LC, one channel, no checksum."""
    index = ADTS_RATES.index(context.sample_rate)

    def wrap(packet: bytes) -> bytes:
        length = len(packet) + 7
        fixed = 0xFFF1 << 16 | 1 << 14 | index << 10 | 1 << 6 | length >> 11
        return struct.pack(">IHB", fixed, (length & 0x7FF) << 5 | 0x1F, 0xFC) + packet

    return wrap


def _flac(context: AudioCodecContext) -> _Wrap:
    """The first frame behind ``fLaC`` and STREAMINFO as the last metadata block."""
    info = context.extradata
    assert info is not None
    head = [b"fLaC" + struct.pack(">I", 0x80 << 24 | len(info)) + info]

    def wrap(packet: bytes) -> bytes:
        return head.pop() + packet if head else packet

    return wrap


_WRAPPERS: dict[str, Callable[[AudioCodecContext], _Wrap]] = {
    "mp3": _mp3,
    "aac": _aac,
    "flac": _flac,
}
