"""The codecs by name: the extension point.  A new codec is a file and a line in each dict here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.codecs.base import Codec, Decoder, check_choice
from gateway.codecs.compressed import NAMES as COMPRESSED_NAMES
from gateway.codecs.compressed import CompressedEncoder
from gateway.codecs.opus import OpusDecoder, OpusEncoder
from gateway.codecs.pcm import NAMES as PCM_NAMES
from gateway.codecs.pcm import PcmDecoder, PcmEncoder
from gateway.settings import AudioSettings

Factory = Callable[[int, int, int, AudioSettings], Codec]
"""``factory(sample_rate, frame_duration_ms, bitrate, settings)``."""


def _opus(sample_rate: int, frame_duration_ms: int, bitrate: int, settings: AudioSettings) -> Codec:
    return OpusEncoder(
        sample_rate=sample_rate,
        frame_duration_ms=frame_duration_ms,
        bitrate=bitrate,
        complexity=settings.complexity,
        application=settings.application,
        vbr=settings.vbr,
        dtx=settings.dtx,
    )


def _pcm(
    name: str, sample_rate: int, frame_duration_ms: int, _bitrate: int, _settings: AudioSettings
) -> Codec:
    return PcmEncoder(name, sample_rate=sample_rate, frame_duration_ms=frame_duration_ms)


def _compressed(
    name: str, sample_rate: int, frame_duration_ms: int, bitrate: int, _settings: AudioSettings
) -> Codec:
    return CompressedEncoder(
        name, sample_rate=sample_rate, frame_duration_ms=frame_duration_ms, bitrate=bitrate
    )


CODECS: dict[str, Factory] = {
    "opus": _opus,
    **{name: partial(_pcm, name) for name in PCM_NAMES},
}
"""Codecs each of whose payloads is a frame by itself."""

STREAMS: dict[str, Factory] = {name: partial(_compressed, name) for name in COMPRESSED_NAMES}
"""Codecs whose payloads are a stream only when they are joined: for files and others' protocols."""

_FACTORIES = CODECS | STREAMS

DECODERS: dict[str, Callable[[int], Decoder]] = {
    "opus": OpusDecoder,
    **{name: partial(PcmDecoder, name) for name in PCM_NAMES},
}


def make_codec(
    name: str, *, sample_rate: int, frame_duration_ms: int, bitrate: int, settings: AudioSettings
) -> Codec:
    """Make an encoder.  ``bitrate`` (bit/s) counts where the codec has one; ``settings`` give
    the rest.

    Raises InvalidValue that names ``codec``, ``sample_rate``, ``frame_duration_ms`` or ``bitrate``
    and what is allowed; SetupError if Opus is asked for and there is no libopus.
    """
    check_choice("codec", name, tuple(_FACTORIES))
    return _FACTORIES[name](sample_rate, frame_duration_ms, bitrate, settings)


def make_decoder(name: str, sample_rate: int) -> Decoder:
    """Make the decoder of a codec; raises as ``make_codec`` does."""
    check_choice("codec", name, tuple(DECODERS))
    return DECODERS[name](sample_rate)
