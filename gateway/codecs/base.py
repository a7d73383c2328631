"""What every codec is, and the checks of what a client may choose.

A codec turns exactly one frame of mono float32 samples into one payload.  Its encoder may hold back
audio: the *pre-skip* (RFC 7845, section 4.2; RFC 6716's lookahead) is how many samples a decoder
returns before the first one that was written, and the receiver drops them:

    written   │ s0 s1 s2 …
    decoded   │ ░░░░░░ s0 s1 s2 …        ░ = pre-skip: 312 samples at 48 kHz for Opus, none for PCM

An encoder and a decoder each have one user at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import InvalidValue
from gateway.media import MEDIA_RATE, Samples

FRAME_DURATIONS_MS = (20, 40, 60)
"""Frame durations on offer, for every codec."""


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """Facts about an encoder.

    ``sample_rate`` in Hz; ``bitrate`` in bit/s, None where the codec has no choice;
    ``preskip_samples`` at 48 kHz; ``tail_samples`` at ``sample_rate``: silence that pushes the last
    sample out of an encoder that holds back more than its pre-skip.
    """

    name: str
    sample_rate: int
    frame_duration_ms: int
    bitrate: int | None = None
    preskip_samples: int = 0
    tail_samples: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        assert self.channels == 1, "all audio of the gateway is mono"
        assert self.sample_rate * self.frame_duration_ms % 1000 == 0, "a frame is whole samples"
        assert self.preskip_samples * self.sample_rate % MEDIA_RATE == 0, "so is the pre-skip"

    @property
    def frame_samples(self) -> int:
        """Samples of a frame at ``sample_rate``."""
        return self.sample_rate * self.frame_duration_ms // 1000

    @property
    def frame_duration_samples(self) -> int:
        """Duration of a frame in media time (48 kHz)."""
        return MEDIA_RATE * self.frame_duration_ms // 1000

    @property
    def lookahead_samples(self) -> int:
        """The pre-skip in samples at ``sample_rate``."""
        return self.preskip_samples * self.sample_rate // MEDIA_RATE

    @property
    def flush_samples(self) -> int:
        """Silence, at ``sample_rate``, after which every sample that was written can be decoded."""
        return max(self.lookahead_samples, self.tail_samples)


class Codec(Protocol):
    """An encoder; memory and C state are freed with the object."""

    @property
    def info(self) -> CodecInfo:
        """Facts, constant over the encoder's life."""
        ...

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame, float32 of shape [info.frame_samples].

        Values beyond [-1, 1] are limited; they must be finite.  Keeps no reference to ``samples``.
        """
        ...

    def reset(self) -> None:
        """Forget the stream: what follows is encoded as by a new encoder."""
        ...


class Decoder(Protocol):
    """The opposite of a codec, for files, players and tests."""

    @property
    def sample_rate(self) -> int:
        """Rate of the decoded samples in Hz."""
        ...

    def decode(self, payload: bytes) -> Samples:
        """Decode one payload, pre-skip included.  Raises InvalidValue if it is corrupt."""
        ...

    def decode_lost(self, samples: int) -> Samples:
        """Make up ``samples`` samples in place of payloads that never came."""
        ...

    def reset(self) -> None:
        """Forget the stream."""
        ...


def check_choice(field: str, value: object, allowed: Sequence[object]) -> None:
    """Raise InvalidValue unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        listed = ", ".join(str(choice) for choice in allowed)
        raise InvalidValue(
            f"{field} is {value!r}; choose one of {listed}.", field=field, limit=listed
        )


def check_range(field: str, value: int, low: int, high: int) -> None:
    """Raise InvalidValue unless ``low <= value <= high``."""
    if not low <= value <= high:
        limit = f"{low}-{high}"
        raise InvalidValue(
            f"{field} is {value}; choose from {low} to {high}.", field=field, limit=limit
        )
