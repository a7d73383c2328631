"""Two clients read these times: pipecat adds spans up, LiveKit takes them as they are."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.session import events
from gateway.session.events import Word
from gateway.wire.alignment import Aligner, Alignment
from tests.wire.scripts import chunk


def blocks() -> list[Alignment]:
    """Two sentences, told as the audio comes."""
    aligner = Aligner()
    aligner.receive(chunk("c", "Hello there, you.", 0.02, 0.3))
    told = [aligner.take(round(at_s * 48_000)) for at_s in (0.3, 0.6, 0.9)]
    aligner.receive(chunk("c", " How now?", 0.92, 0.25, start=17))
    told.append(aligner.take(48_000))
    told.append(aligner.finish())
    return [each for each in told if each is not None]


def test_every_character_is_told_once_and_sentences_are_kept_apart() -> None:
    told = "".join("".join(block.characters) for block in blocks())
    assert told == "Hello there, you. How now? "


def test_spans_cover_the_audio_without_overlap() -> None:
    for block in blocks():
        starts, durations = block.milliseconds(relative=False)
        ends = [start + duration for start, duration in zip(starts, durations, strict=True)]
        assert ends[:-1] == starts[1:]
        assert all(duration >= 0 for duration in durations)
    for before, after in pairwise(blocks()):
        assert before.end == after.origin
        assert after.starts[0] >= before.end
    assert blocks()[-1].end == round(1.42 * 48_000)


def test_adding_spans_up_gives_the_same_times_as_absolute_ones() -> None:
    clock, added, absolute = 0, [], []
    for block in blocks():
        starts, durations = block.milliseconds(relative=True)
        added += [clock + start for start in starts]
        clock += starts[-1] + durations[-1]  # as pipecat does
        absolute += block.milliseconds(relative=False)[0]
    assert added == pytest.approx(absolute, abs=3)  # each block rounds once
    assert clock == pytest.approx(1420, abs=3)


def test_seconds_are_absolute() -> None:
    starts, ends = blocks()[0].seconds()
    assert (starts[0], ends[-1]) == (0.02, 0.32)
    assert starts[1:] == ends[:-1]


def test_words_that_come_later_are_told_later() -> None:
    aligner = Aligner()
    aligner.receive(events.ChunkStarted("c", 0, 0, "Hi you.", 0, 7, 0, ()))
    assert aligner.take() is None
    aligner.receive(events.WordsTimed("c", 0, 0, (Word("Hi", 0, 2, 0, 9600),)))
    assert aligner.take() is None  # what follows the word is not known yet
    aligner.receive(events.WordsTimed("c", 0, 0, (Word("you", 3, 6, 9600, 9600),)))
    told = aligner.take()
    assert told is not None
    assert "".join(told.characters) == "Hi you. "
    assert aligner.finish() is None


def test_a_chunk_without_words_tells_nothing() -> None:
    aligner = Aligner()
    aligner.receive(events.ChunkStarted("c", 0, 0, "...", 0, 3, 0, ()))
    assert aligner.finish() is None
