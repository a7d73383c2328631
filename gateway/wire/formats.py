"""Audio formats by the names that other services give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import InvalidValue
from gateway.session.events import CodecName
from gateway.wire.bodies import Container, OggOpus, Raw


@dataclass(frozen=True, slots=True)
class Format:
    """How a client wants its audio; ``bitrate`` in bit/s where the codec has one."""

    media_type: str
    codec: CodecName
    sample_rate: int
    bitrate: int | None = None
    container: Callable[[], Container] = Raw


def elevenlabs_formats() -> dict[str, Format]:
    """``output_format`` of ElevenLabs: codec, rate and, where there is one, kbit/s."""
    formats = {
        f"pcm_{rate}": Format("audio/pcm", "pcm", rate)
        for rate in (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    }
    formats["ulaw_8000"] = Format("audio/basic", "pcmu", 8_000)
    formats["alaw_8000"] = Format("audio/x-alaw-basic", "pcma", 8_000)
    for rate, bitrates in ((22_050, (32,)), (24_000, (48,)), (44_100, (32, 64, 96, 128, 192))):
        for kilobits in bitrates:
            form = Format("audio/mpeg", "mp3", rate, kilobits * 1000)
            formats[f"mp3_{rate}_{kilobits}"] = form
    for kilobits in (32, 64, 96, 128, 192):
        form = Format("audio/ogg", "opus", 48_000, kilobits * 1000, OggOpus)
        formats[f"opus_48000_{kilobits}"] = form
    return formats


def find_format(field: str, name: str, formats: dict[str, Format]) -> Format:
    """The format called ``name``.  Raises InvalidValue that lists all."""
    found = formats.get(name)
    if found is None:
        listed = ", ".join(sorted(formats))
        raise InvalidValue(
            f"{field} is {name!r}; choose one of {listed}", field=field, limit=listed
        )
    return found
