"""The binary audio message of ``voice.v1``: a 16-byte header and length-prefixed frames.

The fields are RTP's (RFC 3550, section 5.1) with the payload of several frames behind one header,
little-endian, because a browser reads that with a DataView as easily and every CPU of today writes
it without swapping:

     0        1        2        4        6        8                12               16
    ┌────────┬────────┬────────┬────────┬────────┬────────────────┬────────────────┬──────────────
    │ver │flg│ frames │context │generat.│duration│sequence number │   timestamp    │len│frame│len│…
    └────────┴────────┴────────┴────────┴────────┴────────────────┴────────────────┴──────────────

Both ends use this file, so the layout is written once.  The generation is sent modulo 65,536.
Sequence number and timestamp do not wrap: 32 bits of media time are 24.8 hours of one generation.
The two undefined flag bits are sent as 0 and ignored when read.

This is a leaf: it knows bytes, not sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from gateway.errors import ProtocolViolation

VERSION = 1
MARKER = 0b0001
LAST = 0b0010
GENERATION_MODULUS = 1 << 16
FRAMES_MAX = 255
PAYLOAD_BYTES_MAX = 65_535
FRAME_DURATIONS = (960, 1920, 2880)
"""20, 40 and 60 ms of media time."""

_HEADER = Struct("<BBHHHII")
_HEADER_AND_LENGTH = Struct("<BBHHHIIH")
_LENGTH = Struct("<H")
HEADER_BYTES = _HEADER.size
LENGTH_BYTES = _LENGTH.size


class AudioHeader(NamedTuple):
    """What a binary message says about its frames.

    ``sequence_number`` and ``timestamp`` are those of the first frame; ``frame_duration_samples``
    and ``timestamp`` are media time.  ``marker``: the first frame opens a talkspurt; ``last``: the
    last frame closes one.  A named tuple, because one is made for every message that is sent.
    """

    context_number: int
    generation: int
    frame_duration_samples: int
    sequence_number: int
    timestamp: int
    marker: bool = False
    last: bool = False

    def pack(self, frame_count: int) -> bytes:
        """The 16 bytes in front of ``frame_count`` frames."""
        return _HEADER.pack(*self._fields_on_wire(frame_count))

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> tuple[AudioHeader, int]:
        """Header and number of frames at the start of ``data``; raises ProtocolViolation."""
        if len(data) < HEADER_BYTES:
            raise ProtocolViolation(
                f"audio message has {len(data)} bytes, fewer than its header of {HEADER_BYTES}",
                limit=HEADER_BYTES,
            )
        version_and_flags, frame_count, context, generation, duration, sequence, timestamp = (
            _HEADER.unpack_from(data)
        )
        if version_and_flags >> 4 != VERSION:
            raise ProtocolViolation(
                f"audio message of version {version_and_flags >> 4}; this end speaks {VERSION}",
                field="version",
                limit=VERSION,
            )
        if not frame_count:
            raise ProtocolViolation("audio message without a frame", field="frames", limit=1)
        if duration not in FRAME_DURATIONS:
            raise ProtocolViolation(
                f"frame duration {duration} is none of {FRAME_DURATIONS}", field="duration"
            )
        flags = version_and_flags & 0x0F
        header = cls(
            context,
            generation,
            duration,
            sequence,
            timestamp,
            bool(flags & MARKER),
            bool(flags & LAST),
        )
        return header, frame_count

    def _fields_on_wire(self, frame_count: int) -> tuple[int, int, int, int, int, int, int]:
        assert 0 < frame_count <= FRAMES_MAX, f"{frame_count} frames in one message"
        return (
            VERSION << 4 | (MARKER if self.marker else 0) | (LAST if self.last else 0),
            frame_count,
            self.context_number,
            self.generation % GENERATION_MODULUS,
            self.frame_duration_samples,
            self.sequence_number,
            self.timestamp,
        )


def pack_message(header: AudioHeader, payloads: Sequence[bytes]) -> bytes:
    """One binary message; every payload has 1–65,535 bytes and there are 1–255 of them."""
    if len(payloads) == 1:  # the usual case while the lead is short
        payload = payloads[0]
        return _HEADER_AND_LENGTH.pack(*header._fields_on_wire(1), len(payload)) + payload
    parts = [header.pack(len(payloads))]
    for payload in payloads:
        parts.append(_LENGTH.pack(len(payload)))
        parts.append(payload)
    return b"".join(parts)


def unpack_message(data: bytes | bytearray | memoryview) -> tuple[AudioHeader, list[bytes]]:
    """Header and payloads of one binary message.

    Raises ProtocolViolation for anything that ``pack_message`` cannot have made.
    """
    data = bytes(data)
    header, frame_count = AudioHeader.unpack(data)
    payloads: list[bytes] = []
    position = HEADER_BYTES
    for index in range(frame_count):
        start = position + LENGTH_BYTES
        if start > len(data):
            raise ProtocolViolation(
                f"audio message ends before frame {index + 1} of {frame_count}", field="frames"
            )
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position == start:
            raise ProtocolViolation(f"frame {index + 1} of {frame_count} is empty", field="frames")
        if position > len(data):
            raise ProtocolViolation(
                f"frame {index + 1} of {frame_count} is cut off: {position - len(data)} bytes "
                "are missing",
                field="frames",
            )
        payloads.append(data[start:position])
    if position != len(data):
        raise ProtocolViolation(
            f"{len(data) - position} bytes follow the last of {frame_count} frames", field="frames"
        )
    return header, payloads
