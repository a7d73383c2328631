"""The oracle of the browser tests: binary messages parsed and decoded without the page's code.

The header is that of docs/protocol.md, written down a second time on purpose.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.codecs.opus import OpusDecoder

HEADER = struct.Struct("<BBHHHII")


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame with its place in the stream."""

    context_number: int
    generation: int
    sequence_number: int
    timestamp: int
    payload: bytes


def packets_of(messages: Sequence[bytes], *, generation: int = 0) -> list[Packet]:
    """All frames of one generation; asserts that they adjoin."""
    packets: list[Packet] = []
    for message in messages:
        version, count, context, of_generation, duration, sequence, timestamp = HEADER.unpack_from(
            message
        )
        assert version >> 4 == 1
        offset = HEADER.size
        for i in range(count):
            (length,) = struct.unpack_from("<H", message, offset)
            payload = message[offset + 2 : offset + 2 + length]
            offset += 2 + length
            if of_generation == generation:
                at = timestamp + i * duration
                packets.append(Packet(context, of_generation, sequence + i, at, payload))
        assert offset == len(message)
    assert [packet.sequence_number for packet in packets] == list(range(len(packets)))
    return packets


def decode(packets: Sequence[Packet], preskip_samples: int) -> npt.NDArray[np.float32]:
    """What libopus makes of the packets at 48 kHz, without the encoder's lookahead."""
    decoder = OpusDecoder(48_000)
    return np.concatenate([decoder.decode(packet.payload) for packet in packets])[preskip_samples:]


def greatest_difference(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> tuple[float, int]:
    """Greatest difference of two equally long signals, and where it is."""
    assert one.shape == other.shape, f"{one.shape} samples against {other.shape}"
    difference = np.abs(one - other)
    worst = int(np.argmax(difference))
    return float(difference[worst]), worst
