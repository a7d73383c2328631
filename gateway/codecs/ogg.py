"""Ogg Opus files from finished packets (RFC 3533, RFC 7845).

Written by hand because PyAV's muxer takes no Opus packets without an encoder of its own, whose
OpusHead and pre-skip would then be FFmpeg's, not those of the encoder that made the packets.

    page 0        OpusHead: pre-skip, original sample rate          begins the stream
    page 1        OpusTags: who made the file
    page 2 …      packets, up to a second of them each              the last one ends the stream

A page's *granule position* is the number of 48 kHz samples that a decoder has returned at its end,
pre-skip included.  On the last page it may be smaller than what the packets hold: the player then
drops the rest (end trimming, RFC 7845, section 4.4), so the file is exact to the sample.

Limits: one mono stream, packets of 60 ms at most, none that continues on the next page.
"""

from __future__ import annotations

import secrets
import struct
from typing import BinaryIO

from gateway.media import MEDIA_RATE

PAGE_SAMPLES_MAX = MEDIA_RATE
"""RFC 7845 recommends pages of a second at most, to keep seeking and streaming fine-grained."""

SEGMENTS_MAX = 255
"""Lacing values of a page; a packet takes one for each 255 bytes, plus one."""

VENDOR = b"voice-gateway"

BEGINS_STREAM = 0x02
ENDS_STREAM = 0x04

_PAGE_HEADER = struct.Struct("<4sBBqIIIB")
_OPUS_HEAD = struct.Struct("<8sBBHIhB")


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_CRC_TABLE = _crc_table()


def checksum(data: bytes) -> int:
    """CRC-32 of Ogg: polynomial 0x04C11DB7, most significant bit first, no inversion."""
    value = 0
    for byte in data:
        value = ((value << 8) & 0xFFFFFFFF) ^ _CRC_TABLE[(value >> 24) ^ byte]
    return value


class OggOpusStream:
    """Writes one logical stream to ``file``, which it never seeks or closes."""

    __slots__ = (
        "_file",
        "_granule",
        "_packets",
        "_page_number",
        "_page_samples",
        "_preskip_samples",
        "_segments",
        "_serial",
    )

    def __init__(
        self,
        file: BinaryIO,
        *,
        sample_rate: int,
        preskip_samples: int,
        serial: int | None = None,
    ) -> None:
        self._file = file
        self._preskip_samples = preskip_samples
        self._serial = secrets.randbits(32) if serial is None else serial
        self._page_number = 0
        self._granule = 0
        self._packets: list[bytes] = []
        self._segments = 0
        self._page_samples = 0
        head = _OPUS_HEAD.pack(b"OpusHead", 1, 1, preskip_samples, sample_rate, 0, 0)
        tags = b"OpusTags" + struct.pack("<I", len(VENDOR)) + VENDOR + struct.pack("<I", 0)
        self._write_page([head], 0, BEGINS_STREAM)
        self._write_page([tags], 0, 0)

    def write(self, packet: bytes, duration_samples: int) -> None:
        """Add a packet of ``duration_samples`` 48 kHz samples."""
        segments = len(packet) // 255 + 1
        assert segments <= SEGMENTS_MAX, f"a packet of {len(packet)} bytes does not fit a page"
        if (
            self._segments + segments > SEGMENTS_MAX
            or self._page_samples + duration_samples > PAGE_SAMPLES_MAX
        ):
            self._flush(0)
        self._packets.append(packet)
        self._segments += segments
        self._page_samples += duration_samples
        self._granule += duration_samples

    def flush(self) -> None:
        """Write a page of what was added, so that a reader has it now."""
        if self._packets:
            self._flush(0)

    def finish(self, end_samples: int | None = None) -> None:
        """End the stream; the audio ends at media time ``end_samples``, or with the last packet.

        The end must lie on the last page; ``AudioFileWriter`` promises no more than a frame.
        """
        if end_samples is not None and self._granule:  # a stream without packets has no end to cut
            granule = self._preskip_samples + end_samples
            first = self._granule - self._page_samples
            assert first <= granule <= self._granule, f"{granule} is not on the last page"
            self._granule = granule
        self._flush(ENDS_STREAM)

    def _flush(self, flags: int) -> None:
        self._write_page(self._packets, self._granule, flags)
        self._packets = []
        self._segments = 0
        self._page_samples = 0

    def _write_page(self, packets: list[bytes], granule: int, flags: int) -> None:
        lacing = b"".join(
            b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets
        )
        body = lacing + b"".join(packets)
        fields = (b"OggS", 0, flags, granule, self._serial, self._page_number)
        unsigned = _PAGE_HEADER.pack(*fields, 0, len(lacing)) + body
        self._file.write(_PAGE_HEADER.pack(*fields, checksum(unsigned), len(lacing)) + body)
        self._page_number += 1
