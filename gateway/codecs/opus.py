"""Opus (RFC 6716) over libopus: encoder, decoder, loss concealment.

Traps of opuslib 3.0.1 that this file walks around: a PCM buffer that is too short is read past its
end (lengths are asserted); the ``dtx`` property does nothing (options go through ``encoder_set``);
``decode(None)`` fails (concealment calls the C function); each encoded frame costs a 4,000-byte
buffer and two copies (buffers here are allocated once, and only the packet is made anew).

libopus runs without the GIL, so two threads may encode at the same time *with different encoders*.
One encoder or decoder has one user at a time; it may move between threads, not be shared.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from gateway.codecs import libopus
from gateway.codecs.base import FRAME_DURATIONS_MS, CodecInfo, check_choice, check_range
from gateway.errors import InvalidValue
from gateway.media import MEDIA_RATE, Samples

SAMPLE_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
"""The rates that libopus encodes and decodes, in Hz."""

BITRATE_MIN = 6_000
BITRATE_MAX = 256_000
"""Below, speech is not intelligible; above, mono speech gains nothing."""

PACKET_BYTES_MAX = 4_000
"""Room for a packet, as libopus recommends; 60 ms at the greatest bitrate take 1,920 on average."""

PACKET_DURATION_MAX_S = 0.12
"""The longest packet there is (RFC 6716, section 3.1)."""

CONCEALMENT_STEP_S = 0.0025
"""Loss is concealed in multiples of the shortest Opus frame."""


class OpusEncoder:
    """A mono Opus encoder; a ``Codec``.

    Raises InvalidValue for a sample rate, frame duration or bitrate that is not on offer, and
    SetupError if there is no libopus.
    """

    __slots__ = (
        "_encode_float",
        "_encoder",
        "_frame_samples",
        "_info",
        "_library",
        "_packet",
        "_packet_address",
        "_pcm",
        "_pcm_address",
        "_state",
    )

    def __init__(
        self,
        *,
        sample_rate: int = 24_000,
        frame_duration_ms: int = 20,
        bitrate: int = 32_000,
        complexity: int = 5,
        application: Literal["audio", "voip"] = "audio",
        vbr: bool = True,
        dtx: bool = False,
    ) -> None:
        check_choice("sample_rate", sample_rate, SAMPLE_RATES)
        check_choice("frame_duration_ms", frame_duration_ms, FRAME_DURATIONS_MS)
        check_range("bitrate", bitrate, BITRATE_MIN, BITRATE_MAX)
        check_range("complexity", complexity, 0, 10)
        self._library = libopus.load()
        self._encoder = self._library.opuslib.Encoder(sample_rate, 1, application)
        self._state = self._encoder.encoder_state
        self._encode_float = self._library.encode_float
        for macro, value in (
            ("set_bitrate", bitrate),
            ("set_complexity", complexity),
            ("set_vbr", int(vbr)),
            ("set_dtx", int(dtx)),
        ):
            self._library.encoder_set(self._encoder, macro, value)
        lookahead = self._library.encoder_get(self._encoder, "get_lookahead")
        self._info = CodecInfo(
            name="opus",
            sample_rate=sample_rate,
            frame_duration_ms=frame_duration_ms,
            bitrate=bitrate,
            preskip_samples=lookahead * MEDIA_RATE // sample_rate,
        )
        self._frame_samples = self._info.frame_samples
        self._pcm = np.zeros(self._frame_samples, np.float32)
        self._packet = np.zeros(PACKET_BYTES_MAX, np.uint8)
        self._pcm_address = self._pcm.ctypes.data
        self._packet_address = self._packet.ctypes.data

    @property
    def info(self) -> CodecInfo:
        """Facts; the pre-skip is what libopus answered to OPUS_GET_LOOKAHEAD."""
        return self._info

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame; see ``Codec``.  With DTX, a packet of silence has 1 or 2 bytes."""
        assert samples.shape == (self._frame_samples,), (
            f"a frame has shape ({self._frame_samples},), not {samples.shape}"
        )
        self._pcm[:] = samples
        size = self._encode_float(
            self._state,
            self._pcm_address,
            self._frame_samples,
            self._packet_address,
            PACKET_BYTES_MAX,
        )
        assert size > 0, f"libopus refused a frame: {self._library.error_text(size)}"
        return self._packet[:size].tobytes()

    def reset(self) -> None:
        """Forget the stream; the options stay."""
        self._encoder.reset_state()


class OpusDecoder:
    """A mono ``Decoder`` at any rate of ``SAMPLE_RATES``, whatever the encoder's was."""

    __slots__ = ("_decoder", "_library", "_pcm", "_pcm_address", "_sample_rate")

    def __init__(self, sample_rate: int = MEDIA_RATE) -> None:
        check_choice("sample_rate", sample_rate, SAMPLE_RATES)
        self._sample_rate = sample_rate
        self._library = libopus.load()
        self._decoder = self._library.opuslib.Decoder(sample_rate, 1)
        self._pcm = np.zeros(round(sample_rate * PACKET_DURATION_MAX_S), np.float32)
        self._pcm_address = self._pcm.ctypes.data

    @property
    def sample_rate(self) -> int:
        """Rate of the decoded samples in Hz."""
        return self._sample_rate

    def decode(self, payload: bytes) -> Samples:
        """Decode one packet.  Raises InvalidValue if it is empty or corrupt."""
        if not payload:
            raise InvalidValue("An Opus packet is empty; conceal a lost one.", field="payload")
        return self._decode(payload, len(self._pcm))

    def decode_lost(self, samples: int) -> Samples:
        """Conceal ``samples`` lost samples: a multiple of 2.5 ms, 120 ms at most."""
        step = round(self._sample_rate * CONCEALMENT_STEP_S)
        assert 0 < samples <= len(self._pcm), f"{samples} samples are not within a packet"
        assert samples % step == 0, f"{samples} samples are not a multiple of {step}"
        return self._decode(None, samples)

    def reset(self) -> None:
        """Forget the stream."""
        self._decoder.reset_state()

    def _decode(self, payload: bytes | None, samples_max: int) -> Samples:
        count = self._library.decode_float(
            self._decoder.decoder_state,
            payload,
            len(payload or b""),
            self._pcm_address,
            samples_max,
            0,
        )
        if count < 0:
            raise InvalidValue(
                f"An Opus packet of {len(payload or b'')} bytes is corrupt: "
                f"{self._library.error_text(count)}.",
                field="payload",
            )
        return self._pcm[:count].copy()
