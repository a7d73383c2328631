"""How a conversation is written down in docs/protocol.md: one message a line, both ways.

    0.412  →  {"type":"flush"}
    0.415  ←  audio 11010000…  1 frame of 20 ms, context 0, generation 0, number 0 at 0; 83 bytes
           ⋮  7 more audio messages
    2.000  ←  close 1000

Seconds count from the first message.  Of an audio message the 16 bytes of its header are shown, and
what they say.  Runs of audio messages are folded.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.wire.audio_header import HEADER_BYTES, AudioHeader, unpack_message

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
BEGIN = "<!-- transcript; written by: python -m tests.e2e.record_transcript -->\n```text\n"
END = "```\n<!-- end of the transcript -->"
_LINE = re.compile(r" *(?P<time>\d+\.\d{3})  (?P<direction>[→←])  (?P<message>.+)")
_FOLD = re.compile(r" *⋮  (?P<count>\d+) more audio messages")


@dataclass(frozen=True, slots=True)
class Line:
    """One message; ``message`` is JSON text, a binary message, or a close code."""

    time_s: float
    from_client: bool
    message: str | bytes | int


@dataclass(frozen=True, slots=True)
class Shown:
    """One line as it can be read back; of ``audio`` there is the header and the number of frames.

    ``folded`` counts audio messages that a line stands for.
    """

    from_client: bool = False
    json: dict[str, object] | None = None
    audio: tuple[AudioHeader, int] | None = None
    close_code: int | None = None
    folded: int = 0


def render(lines: Iterable[Line]) -> Iterator[str]:
    """The text of a conversation."""
    for is_audio, group in itertools.groupby(lines, lambda line: isinstance(line.message, bytes)):
        run = list(group)
        if is_audio and len(run) > 4:
            yield from map(_text_of, run[:2])
            yield f"       ⋮  {len(run) - 3} more audio messages"
            yield _text_of(run[-1])
        else:
            yield from map(_text_of, run)


def _text_of(line: Line) -> str:
    message = line.message
    if isinstance(message, bytes):
        header, payloads = unpack_message(message)
        count = len(payloads)
        marks = "".join(f", {name}" for name in ("marker", "last") if getattr(header, name))
        shown = (
            f"audio {message[:HEADER_BYTES].hex()}  {count} frame{'s' * (count > 1)} of "
            f"{header.frame_duration_samples // 48} ms, context {header.context_number}, "
            f"generation {header.generation}, number {header.sequence_number} at "
            f"{header.timestamp}{marks}; {len(message)} bytes"
        )
    elif isinstance(message, int):
        shown = f"close {message}"
    else:
        shown = message
    return f"{line.time_s:6.3f}  {'→' if line.from_client else '←'}  {shown}"


def parse(text: str) -> Iterator[Shown]:
    """Read a conversation back."""
    for line in text.splitlines():
        if folded := _FOLD.fullmatch(line):
            yield Shown(folded=int(folded["count"]))
            continue
        found = _LINE.fullmatch(line)
        assert found is not None, line
        message, from_client = found["message"], found["direction"] == "→"
        if message.startswith("audio "):
            header, count = AudioHeader.unpack(bytes.fromhex(message.split()[1]))
            yield Shown(from_client, audio=(header, count))
        elif message.startswith("close "):
            yield Shown(from_client, close_code=int(message.split()[1]))
        else:
            yield Shown(from_client, json=orjson.loads(message))


def in_document() -> Sequence[Shown]:
    """The conversation that docs/protocol.md shows."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return list(parse(text.partition(BEGIN)[2].partition(END)[0]))


def put_into_document(lines: Iterable[Line]) -> None:
    """Replace the conversation that docs/protocol.md shows."""
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{DOCUMENT} has no {BEGIN!r}"
    assert end, f"{DOCUMENT} has no {END!r}"
    shown = "".join(f"{line}\n" for line in render(lines))
    DOCUMENT.write_text(before + begin + shown + end + after, encoding="utf-8")
