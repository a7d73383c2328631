import pytest

from loadtest.peers.load import Load, Step, tokens_of
from loadtest.peers.spoken import Outcome
from loadtest.peers.table import Row, as_text, capacity, figures, row

GOOD = Outcome(0.2, -0.1, 0.0, 0, 5.0)
SLOW = Outcome(1.5, 1.1, 0.0, 0, 5.0)
TORN = Outcome(0.2, -0.1, 0.4, 1, 5.0)
FAILED = Outcome(None, None, 0.0, 0, 0.0, "TimeoutError")


def step(sessions: int, *outcomes: Outcome, late_s: float = 0.001) -> Step:
    return Step(Load(sessions, 10.0, 80, 1), outcomes, late_s, 8.0, 10.0, 0.1)


def rows(*steps: Step) -> list[Row]:
    return [row(each) for each in steps]


def test_callers_come_as_often_as_makes_so_many_answers_at_once() -> None:
    # 150 characters last 10 s, so that two at once begin every 5 s.
    assert Load(2, 20.0, 150, 1).arrivals_s == [0.0, 5.0, 10.0, 15.0]


def test_callers_have_texts_of_their_own() -> None:
    load = Load(1, 20.0, 80, 1)

    assert load.text(0) != load.text(1)
    assert tokens_of("One two three.") == ["One", " two", " three."]


def test_a_row_tells_failures_and_gaps_apart() -> None:
    told = row(step(1, GOOD, TORN, FAILED, GOOD))

    assert (told.answers, told.failed, told.gapless) == (4, 1, 0.5)
    assert told.worst_gap_s == 0.4
    assert told.server_cpu_share == 0.8
    assert told.first_audio_p50_s == 0.2


def test_capacity_ends_at_the_first_step_that_does_not_hold() -> None:
    steps = rows(step(1, GOOD), step(2, GOOD), step(3, TORN, GOOD), step(4, GOOD))

    assert capacity(steps) == 2


def test_a_slow_server_may_still_be_gapless() -> None:
    steps = rows(step(1, SLOW), step(2, SLOW))

    assert capacity(steps) == 0
    assert capacity(steps, prompt=False) == 2


def test_a_late_generator_makes_a_step_invalid() -> None:
    assert not row(step(1, GOOD, late_s=0.06)).valid
    assert "INVALID" in as_text({"a": rows(step(1, GOOD, late_s=0.06))})


def test_first_audio_of_the_others_is_a_ratio_to_the_first() -> None:
    found = figures({"peer": rows(step(1, SLOW)), "ours": rows(step(1, GOOD))})

    ratio = found["ours: first audio of peer's"]
    assert (ratio.value, ratio.unit) == (pytest.approx(0.1333, abs=1e-4), "ratio")
    assert found["ours: capacity"].value == 1


def test_a_table_of_those_whom_nobody_heard_has_no_times() -> None:
    text = as_text({"a": rows(step(1, FAILED))})

    assert "| a | 1 | 1 (1) | 0% | 0 ms | – / – |" in text
    assert "a: capacity 0, gapless 0; loads tried: 1" in text
