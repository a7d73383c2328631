"""Ogg pages, read by a parser of our own and by FFmpeg."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from gateway.codecs.ogg import OggOpusStream, checksum


@dataclass
class Page:
    flags: int
    granule: int
    serial: int
    number: int
    packets: list[bytes]


def parse(data: bytes) -> list[Page]:
    """Read all pages of RFC 3533, checking capture pattern, version, lacing and checksum."""
    pages = []
    while data:
        magic, version, flags, granule, serial, number, crc, segments = struct.unpack_from(
            "<4sBBqIIIB", data
        )
        assert (magic, version) == (b"OggS", 0)
        lacing = data[27 : 27 + segments]
        end = 27 + segments + sum(lacing)
        assert checksum(data[:22] + bytes(4) + data[26:end]) == crc
        packets, packet, start = [], b"", 27 + segments
        for size in lacing:
            packet += data[start : start + size]
            start += size
            if size < 255:
                packets.append(packet)
                packet = b""
        assert packet == b""
        pages.append(Page(flags, granule, serial, number, packets))
        data = data[end:]
    return pages


def stream(**options: int) -> tuple[OggOpusStream, io.BytesIO]:
    file = io.BytesIO()
    defaults = {"sample_rate": 24_000, "preskip_samples": 312, "serial": 7}
    return OggOpusStream(file, **{**defaults, **options}), file


def test_the_checksum_is_that_of_a_file_made_by_ffmpeg(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.ogg"), "w") as container:
        output = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        container.mux([*output.encode(frame), *output.encode(None)])
    pages = parse((tmp_path / "x.ogg").read_bytes())
    assert len(pages) >= 3
    assert pages[0].packets[0].startswith(b"OpusHead")


def test_a_checksum_of_one_byte_is_the_polynomial() -> None:
    assert checksum(b"\x01") == 0x04C11DB7


def test_the_headers_are_those_of_rfc_7845() -> None:
    writer, file = stream(sample_rate=16_000)
    writer.finish()
    head, tags, last = parse(file.getvalue())
    assert head.flags == 2
    assert head.packets == [b"OpusHead\x01\x01\x38\x01\x80\x3e\x00\x00\x00\x00\x00"]
    assert tags.packets == [b"OpusTags\x0d\x00\x00\x00voice-gateway\x00\x00\x00\x00"]
    assert (head.granule, tags.granule) == (0, 0)
    assert (last.flags, last.packets) == (4, [])


def test_pages_hold_a_second_and_count_what_was_decoded() -> None:
    writer, file = stream()
    for i in range(120):
        writer.write(bytes((i,)) * 80, 960)
    writer.finish()
    pages = parse(file.getvalue())
    assert [len(page.packets) for page in pages[2:]] == [50, 50, 20]
    assert [page.granule for page in pages[2:]] == [48_000, 96_000, 115_200]
    assert [page.number for page in pages] == [0, 1, 2, 3, 4]
    assert [page.flags for page in pages] == [2, 0, 0, 0, 4]
    assert {page.serial for page in pages} == {7}


def test_the_end_is_trimmed_by_the_last_granule_position() -> None:
    writer, file = stream()
    for _ in range(3):
        writer.write(bytes(80), 960)
    writer.finish(end_samples=2_000)
    assert parse(file.getvalue())[-1].granule == 2_312


def test_a_stream_without_packets_is_complete() -> None:
    writer, file = stream()
    writer.finish(end_samples=0)
    assert [(page.flags, page.granule) for page in parse(file.getvalue())] == [
        (2, 0),
        (0, 0),
        (4, 0),
    ]


def test_an_end_that_is_not_on_the_last_page_is_refused() -> None:
    writer, _ = stream()
    for _ in range(60):
        writer.write(bytes(80), 960)
    with pytest.raises(AssertionError, match="last page"):
        writer.finish(end_samples=40_000)
    with pytest.raises(AssertionError, match="last page"):
        writer.finish(end_samples=60 * 960)


@pytest.mark.parametrize("size", [1, 254, 255, 256, 510, 1_920])
def test_packets_of_any_size_are_laced(size: int) -> None:
    writer, file = stream()
    sent = [bytes((i,)) * size for i in range(40)]
    for packet in sent:
        writer.write(packet, 960)
    writer.finish()
    pages = parse(file.getvalue())
    assert [packet for page in pages[2:] for packet in page.packets] == sent


def test_streams_get_different_serial_numbers() -> None:
    serials = set()
    for _ in range(4):
        file = io.BytesIO()
        OggOpusStream(file, sample_rate=24_000, preskip_samples=312)
        serials.add(parse(file.getvalue())[0].serial)
    assert len(serials) == 4


def test_a_packet_that_does_not_fit_a_page_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not fit"):
        stream()[0].write(bytes(255 * 255), 960)
