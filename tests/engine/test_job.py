from __future__ import annotations

import numpy as np
import pytest

from gateway.engine.job import DueTimes, Job
from gateway.media import PcmBlock
from gateway.synthesis import Rendering, RequestId, SpokenWord, SynthesisRequest, TextChunk


def request(*, first: bool, deadline: float = 10.0) -> SynthesisRequest:
    chunk = TextChunk("hello", 0, 5, "hello", ())
    return SynthesisRequest(RequestId("s", "c", 0, 0), chunk, "v", "en", 1.0, deadline, first)


def job(*, first: bool = False) -> Job:
    return Job(request(first=first), None, lambda _: None, lambda *_: None)  # type: ignore[arg-type]


def rendering(
    seconds: float, *, final: bool = True, words: tuple[SpokenWord, ...] = ()
) -> Rendering:
    return Rendering(PcmBlock(np.zeros(round(seconds * 24_000), np.float32), 24_000), final, words)


def test_windows_in_time_are_due_one_after_the_other() -> None:
    due = DueTimes(request(first=False))
    assert due.due_at == 10.0
    due.receive_made(0.5, now=8.0)
    assert due.due_at == 10.5
    due.receive_made(1.0, now=9.0)
    assert due.due_at == 11.5


def test_a_silent_listener_begins_when_the_first_window_is_there() -> None:
    early, late = DueTimes(request(first=True)), DueTimes(request(first=True))
    early.receive_made(0.3, now=9.9)
    late.receive_made(0.3, now=10.2)
    assert early.due_at == pytest.approx(10.2)
    assert late.due_at == pytest.approx(10.5)


def test_a_gap_moves_all_that_follows() -> None:
    due = DueTimes(request(first=False))
    due.receive_made(0.5, now=9.0)
    due.receive_made(0.5, now=10.7)  # 0.2 s late
    assert due.due_at == pytest.approx(11.2)


def test_a_job_knows_how_much_is_left() -> None:
    one = job()
    assert one.left_s(expected_s=2.0) == 2.0
    one.length_s = 3.0
    one.receive_rendering(rendering(1.0), 9.0, last_window=False)
    assert one.window_over() == 1.0
    assert one.left_s(expected_s=9.0) == 2.0
    one.receive_rendering(rendering(2.5), 9.0, last_window=True)
    one.window_over()
    assert one.left_s(expected_s=9.0) == 0.0
    assert [made.final for made in one.made] == [False, True]


def test_a_window_that_is_made_again_gives_only_what_is_new() -> None:
    one = job()
    one.planned_words = (SpokenWord(0, 5, 0, 96_000),)
    first = one.receive_rendering(rendering(0.5, final=False), 9.0, last_window=True)
    assert len(first.pcm.samples) == 12_000
    assert len(first.words) == 1
    one.begin_again()
    again = one.receive_rendering(rendering(0.3, final=False), 9.0, last_window=True)
    assert (len(again.pcm.samples), again.words) == (0, ())
    rest = one.receive_rendering(
        rendering(1.0, words=(SpokenWord(0, 1, 20_000, 24_000), SpokenWord(2, 3, 30_000, 40_000))),
        9.0,
        last_window=True,
    )
    assert len(rest.pcm.samples) == 0.8 * 24_000
    assert [word.spoken_start for word in rest.words] == [2]
    assert one.window_over() == pytest.approx(1.3)


def test_the_words_of_a_plan_outlive_a_retry_and_are_given_once() -> None:
    one = job()
    plan = (SpokenWord(0, 2, 0, 9_600), SpokenWord(3, 5, 12_000, 48_000))
    one.planned_words = plan
    first = one.receive_rendering(rendering(0.25, final=False), 9.0, last_window=False)
    assert first.words == plan
    one.begin_again()
    again = one.receive_rendering(rendering(0.5), 9.0, last_window=False)
    assert (len(again.pcm.samples), again.words) == (6_000, ())
    one.window_over()
    last = one.receive_rendering(rendering(0.5), 9.0, last_window=True)
    one.window_over()
    assert last.words == ()
    assert [made.words for made in one.made] == [plan, ()]  # what the cache keeps


def test_the_words_of_a_plan_are_given_after_a_retry_if_nothing_was_before() -> None:
    one = job()
    plan = (SpokenWord(0, 5, 0, 9_600),)
    one.planned_words = plan
    one.begin_again()
    assert one.receive_rendering(rendering(0.5), 9.0, last_window=True).words == plan


def test_a_window_that_streams_is_there_with_its_first_block() -> None:
    one = job(first=True)
    one.receive_rendering(rendering(0.1, final=False), 9.0, last_window=True)
    one.receive_rendering(rendering(0.9), 9.8, last_window=True)
    one.window_over()
    assert one.due.due_at == pytest.approx(10.0)


def test_a_new_deadline_moves_all_windows_to_come() -> None:
    due = DueTimes(request(first=False))
    due.receive_made(0.5, now=8.0)
    assert due.receive_deadline(12.0) == 2.0
    assert due.due_at == 12.5


def test_the_first_audio_budget_does_not_move() -> None:
    due = DueTimes(request(first=True))
    assert due.receive_deadline(12.0) == 0.0
    assert due.due_at == 10.0
    due.receive_made(0.3, now=9.9)
    assert due.receive_deadline(9.95) == pytest.approx(0.05)
    assert due.due_at == pytest.approx(10.25)
