"""The framer keeps every sample once and in order."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.codecs.framer import Framer


def ramp(start: int, stop: int) -> np.ndarray:
    return np.arange(start, stop, dtype=np.float32)


def test_a_block_of_two_frames_gives_views_of_it() -> None:
    block = ramp(0, 8)
    frames = Framer(4).write(block)
    assert [f.tolist() for f in frames] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert all(np.shares_memory(frame, block) for frame in frames)


def test_what_is_left_opens_the_next_frame() -> None:
    framer = Framer(4)
    assert [f.tolist() for f in framer.write(ramp(0, 6))] == [[0, 1, 2, 3]]
    assert framer.pending_samples == 2
    assert framer.write(ramp(6, 7)) == []
    assert framer.pending_samples == 3
    assert [f.tolist() for f in framer.write(ramp(7, 14))] == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert framer.pending_samples == 2


def test_a_frame_across_blocks_survives_the_rest_of_the_second_block() -> None:
    """The frame and the rest that is kept must not share a buffer."""
    framer = Framer(4)
    framer.write(ramp(0, 3))
    [frame] = framer.write(ramp(3, 7))
    assert frame.tolist() == [0, 1, 2, 3]
    assert [f.tolist() for f in framer.finish()] == [[4, 5, 6, 0]]


def test_what_is_kept_does_not_depend_on_the_callers_block() -> None:
    framer = Framer(4)
    block = ramp(0, 3)
    framer.write(block)
    block[:] = 9
    assert framer.finish()[0].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("pending", "extra", "frames"),
    [(0, 0, 0), (0, 1, 1), (0, 4, 1), (0, 5, 2), (3, 0, 1), (3, 1, 1), (3, 2, 2), (1, 11, 3)],
)
def test_finish_adds_the_fewest_frames_that_hold_the_silence(
    pending: int, extra: int, frames: int
) -> None:
    framer = Framer(4)
    framer.write(np.ones(pending, np.float32))
    out = framer.finish(extra)
    assert len(out) == frames
    assert sum(float(f.sum()) for f in out) == pending
    assert framer.pending_samples == 0


def test_an_old_frame_does_not_shine_through_the_padding() -> None:
    framer = Framer(4)
    framer.write(np.full(3, 5, np.float32))
    framer.write(np.full(3, 5, np.float32))
    framer.finish()
    framer.write(np.ones(1, np.float32))
    framer.finish()
    framer.write(np.ones(1, np.float32))
    assert framer.finish()[0].tolist() == [1, 0, 0, 0]


def test_an_empty_block_changes_nothing() -> None:
    framer = Framer(4)
    framer.write(ramp(0, 2))
    assert framer.write(ramp(0, 0)) == []
    assert framer.pending_samples == 2


def test_the_shared_silence_cannot_be_written() -> None:
    [silence] = Framer(4).finish(extra=4)
    with pytest.raises(ValueError, match="read-only"):
        silence[0] = 1
