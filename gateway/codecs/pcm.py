"""PCM without compression, and G.711's two companding laws.

    pcm      signed 16-bit, little-endian
    pcm_f32  IEEE 754 32-bit, little-endian, as the engine made it
    pcmu   ITU-T G.711 mu-law, 8 bit (RFC 3551, section 4.5.14: PCMU)
    pcma   ITU-T G.711 A-law, 8 bit (PCMA)

Rounding.  A sample x becomes round(32768 x), ties to even, clipped to [-32768, 32767]; so +1.0
loses one step and -1.0 none.  Decoding divides by 32768.  The laws agree bit for bit with FFmpeg's
``pcm_mulaw`` and ``pcm_alaw``.

G.711 is defined at 8 kHz; the laws work sample by sample, so the other rates are allowed, as in
several vendors' protocols.  Both laws are tables here: encoding is a look-up of the 16-bit sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gateway.codecs.base import FRAME_DURATIONS_MS, CodecInfo, check_choice
from gateway.errors import InvalidValue
from gateway.media import Samples

SAMPLE_RATES = (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates in Hz at which every frame duration is a whole number of samples."""

FULL_SCALE = 32_768

Int16 = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]


def to_int16(samples: Samples) -> Int16:
    """Convert float32 in [-1, 1] to little-endian int16; rounds and clips as the module says."""
    scaled = samples * np.float32(FULL_SCALE)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
    return scaled.astype("<i2")


def from_int16(values: Int16) -> Samples:
    """Convert int16 to float32 in [-1, 1)."""
    return values.astype(np.float32) / np.float32(FULL_SCALE)


def _mulaw_values() -> Int16:
    """Linear value of each mu-law code: code = ~(sign, 3-bit segment, 4-bit step)."""
    code = ~np.arange(256)
    segment, step = (code >> 4) & 7, code & 15
    magnitude = (((step << 3) + 0x84) << segment) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_values() -> Int16:
    """Linear value of each A-law code: code = 0x55 ^ (sign, 3-bit segment, 4-bit step)."""
    code = np.arange(256) ^ 0x55
    segment, step = (code >> 4) & 7, code & 15
    linear = (step << 4) + 8
    magnitude = np.where(segment == 0, linear, (linear + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _codes_of_int16(values: Int16) -> Codes:
    """Code of every 16-bit sample, indexed by the sample's bits: invert ``values``.

    The laws quantise 14 bits, so the lowest two are cut off first.  A magnitude takes the nearest
    value, and the greater one if it lies in the middle.  The codes of a sign differ in bit 7 only.
    """
    positive = np.flatnonzero(np.arange(256) & 0x80)
    by_value = positive[np.argsort(values[positive])]
    magnitudes = values[by_value].astype(np.int32)
    middles = (magnitudes[:-1] + magnitudes[1:] + 4) >> 3
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32) >> 2
    codes = by_value[np.searchsorted(middles, np.abs(sample), side="right")]
    signed: Codes = np.where(sample < 0, codes ^ 0x80, codes).astype(np.uint8)
    return signed


_LAW_VALUES = {"pcmu": _mulaw_values(), "pcma": _alaw_values()}
_LAW_CODES = {name: _codes_of_int16(values) for name, values in _LAW_VALUES.items()}
_LAW_SAMPLES = {name: from_int16(values) for name, values in _LAW_VALUES.items()}


def _encode_linear(samples: Samples) -> bytes:
    return to_int16(samples).tobytes()


def _law_encoder(codes: Codes) -> Callable[[Samples], bytes]:
    def encode(samples: Samples) -> bytes:
        payload: bytes = codes[to_int16(samples).view("<u2")].tobytes()
        return payload

    return encode


def _encode_float(samples: Samples) -> bytes:
    return samples.astype("<f4", copy=False).tobytes()


_ENCODERS: dict[str, Callable[[Samples], bytes]] = {
    "pcm": _encode_linear,
    "pcm_f32": _encode_float,
    **{name: _law_encoder(codes) for name, codes in _LAW_CODES.items()},
}
NAMES = tuple(_ENCODERS)
_BYTES_PER_SAMPLE = {"pcm": 2, "pcm_f32": 4, "pcmu": 1, "pcma": 1}


class PcmEncoder:
    """One of ``pcm``, ``pcm_f32``, ``pcmu``, ``pcma``; a ``Codec`` without state or pre-skip.

    Raises InvalidValue for a sample rate or frame duration that is not on offer.
    """

    __slots__ = ("_encode", "_frame_samples", "_info")

    def __init__(self, name: str, *, sample_rate: int, frame_duration_ms: int = 20) -> None:
        check_choice("sample_rate", sample_rate, SAMPLE_RATES)
        check_choice("frame_duration_ms", frame_duration_ms, FRAME_DURATIONS_MS)
        self._encode = _ENCODERS[name]
        self._info = CodecInfo(name, sample_rate, frame_duration_ms)
        self._frame_samples = self._info.frame_samples

    @property
    def info(self) -> CodecInfo:
        """Facts."""
        return self._info

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame; see ``Codec``."""
        assert samples.shape == (self._frame_samples,), (
            f"a frame has shape ({self._frame_samples},), not {samples.shape}"
        )
        return self._encode(samples)

    def reset(self) -> None:
        """Nothing to forget."""


class PcmDecoder:
    """Decodes ``pcm``, ``pcm_f32``, ``pcmu`` or ``pcma``; a ``Decoder``.  Loss becomes silence."""

    __slots__ = ("_name", "_sample_rate")

    def __init__(self, name: str, sample_rate: int) -> None:
        check_choice("sample_rate", sample_rate, SAMPLE_RATES)
        assert name in _BYTES_PER_SAMPLE, name
        self._name = name
        self._sample_rate = sample_rate

    @property
    def sample_rate(self) -> int:
        """Rate of the decoded samples in Hz."""
        return self._sample_rate

    def decode(self, payload: bytes) -> Samples:
        """Decode any number of whole samples.  Raises InvalidValue if the last one is cut."""
        if len(payload) % _BYTES_PER_SAMPLE[self._name]:
            raise InvalidValue(
                f"A {self._name} payload has {len(payload)} bytes, which cuts a sample.",
                field="payload",
            )
        if self._name == "pcm":
            return from_int16(np.frombuffer(payload, "<i2"))
        if self._name == "pcm_f32":
            return np.frombuffer(payload, "<f4").astype(np.float32)
        return _LAW_SAMPLES[self._name][np.frombuffer(payload, np.uint8)]

    def decode_lost(self, samples: int) -> Samples:
        """Silence."""
        return np.zeros(samples, np.float32)

    def reset(self) -> None:
        """Nothing to forget."""
