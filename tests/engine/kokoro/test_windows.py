from itertools import pairwise

import numpy as np
import pytest

from gateway.engine.kokoro.windows import Method, Moments, Span, WindowSizes, divide, guess, whole

SIZES = WindowSizes(first=12, core=40, context=4)


def cores(frames: int, sizes: WindowSizes = SIZES) -> list[tuple[int, int]]:
    return [(span.begin, span.end) for span in divide(frames, sizes)]


def moments(mean: float, square: float, frames: float) -> Moments:
    return Moments(np.array([mean], np.float32), np.array([square], np.float32), frames)


def test_windows_double_until_they_are_full():
    assert cores(156) == [(0, 12), (12, 36), (36, 76), (76, 116), (116, 156)]
    assert WindowSizes(first=12, core=40).cores() == (12, 24, 40)
    assert WindowSizes(first=40, core=40).cores() == (40,)
    assert WindowSizes(first=30, core=20).cores() == (30, 20)


def test_a_rest_as_long_as_the_first_window_is_one_of_its_own():
    assert cores(48) == [(0, 12), (12, 36), (36, 48)]


def test_a_shorter_rest_joins_the_window_before_it():
    assert cores(47) == [(0, 12), (12, 47)]
    assert cores(23) == [(0, 23)]


@pytest.mark.parametrize("frames", [1, 11, 12, 13])
def test_a_short_clause_is_one_window(frames):
    assert divide(frames, SIZES) == (Span(0, 0, frames, frames),)


def test_context_is_on_both_sides_but_not_beyond_the_clause():
    first, middle, last = divide(48, SIZES)
    assert first == Span(left=0, begin=0, end=12, right=16)
    assert middle == Span(left=8, begin=12, end=36, right=40)
    assert last == Span(left=32, begin=36, end=48, right=48)
    assert [span.size for span in (first, middle, last)] == [16, 32, 16]


def test_equal_sizes_lengthen_the_context_of_the_last_window():
    sizes = WindowSizes(first=12, core=40, context=4, equal=True)
    assert [span.size for span in divide(150, sizes)] == [16, 48, 48, 48, 48]
    last = divide(150, sizes)[-1]
    assert last == Span(left=102, begin=132, end=150, right=150)


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("frames", range(1, 300, 7))
def test_cores_adjoin_and_cover_the_clause(frames, equal):
    spans = divide(frames, WindowSizes(first=8, core=20, context=4, equal=equal))
    assert spans[0].begin == 0
    assert spans[-1].end == frames
    assert all(left.end == right.begin for left, right in pairwise(spans))
    assert all(0 <= span.left <= span.begin < span.end <= span.right <= frames for span in spans)


def test_one_window_for_all_has_no_context():
    assert whole(77) == Span(0, 0, 77, 77)


BEFORE = [moments(1.0, 2.0, 12), moments(4.0, 20.0, 36)]
PRIOR = moments(2.0, 8.0, 48)


@pytest.mark.parametrize("method", [Method.LOCAL, Method.EXACT])
def test_a_window_that_looks_at_itself_alone_takes_its_own_statistics(method):
    statistics = guess(method, PRIOR, BEFORE, 40, 3)
    assert statistics.own_share == 1.0
    assert statistics.mean.shape == (3,)


def test_the_prior_alone_leaves_no_share_to_the_window():
    statistics = guess(Method.PRIOR, PRIOR, BEFORE, 40, 1)
    assert (statistics.mean[0], statistics.square[0], statistics.own_share) == (2.0, 8.0, 0.0)


def test_windows_before_are_carried_by_their_frames():
    statistics = guess(Method.CARRIED, PRIOR, BEFORE, 48, 1)
    assert statistics.mean[0] == pytest.approx((1.0 * 12 + 4.0 * 36) / 48)
    assert statistics.square[0] == pytest.approx((2.0 * 12 + 20.0 * 36) / 48)
    assert statistics.own_share == 0.5


def test_the_first_window_that_carries_has_only_itself():
    assert guess(Method.CARRIED, PRIOR, [], 12, 1).own_share == 1.0


def test_blending_weighs_the_prior_as_its_frames():
    statistics = guess(Method.BLENDED, PRIOR, BEFORE, 32, 1)
    assert statistics.mean[0] == pytest.approx((12 + 144 + 96) / 96)
    assert statistics.own_share == pytest.approx(32 / 128)


def test_blending_without_a_prior_is_carrying():
    blended = guess(Method.BLENDED, None, BEFORE, 48, 1)
    carried = guess(Method.CARRIED, None, BEFORE, 48, 1)
    assert (blended.mean, blended.square) == (carried.mean, carried.square)
    assert blended.own_share == carried.own_share
