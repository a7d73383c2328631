from __future__ import annotations

import pytest

from gateway.engine.admission import IDLE_SHARE, NEWCOMER_S, Admission
from gateway.errors import Overloaded


def running(load: float, *, seconds: int = 100, lanes: int = 2, cost: float = 0.4) -> Admission:
    """An engine that was needed for ``load`` lanes; each second of audio takes ``cost``."""
    admission = Admission("kokoro", lanes, 0.9)
    for tenth in range(10 * seconds):
        admission.receive_work(load / 10, load / 10 / cost, tenth / 10)
    return admission


def test_nothing_is_refused_before_anything_was_measured() -> None:
    admission = Admission("kokoro", 1, 0.9)
    assert admission.forecast(1000, (), 0.0) is None
    admission.check(1000, (3.0,) * 1000, 0.0)


def test_the_load_of_the_lanes_is_measured() -> None:
    assert running(0.8).utilisation(100.0) == pytest.approx(0.4, rel=0.01)
    assert running(0.8).utilisation(130.0) == pytest.approx(0.4 / 2.718, rel=0.05)
    assert Admission("kokoro", 1, 0.9).utilisation(5.0) == 0.0


def test_a_burst_at_the_start_is_no_habit() -> None:
    admission = Admission("kokoro", 1, 0.9)
    admission.receive_work(0.3, 1.0, 10.0)
    assert admission.utilisation(10.1) == pytest.approx(0.1, rel=0.1)


def test_a_session_fits_while_the_lanes_have_room() -> None:
    running(0.8).check(3, (), 100.0)


def test_a_session_is_refused_before_the_lanes_are_full() -> None:
    with pytest.raises(Overloaded, match=r"engine kokoro is busy: .*the limit is 90%") as caught:
        running(1.5).check(4, (), 100.0)
    assert caught.value.field == "utilisation_max"
    assert caught.value.limit == 0.9
    assert caught.value.retry_after_s == 1.0


def test_the_forecast_shows_how_it_came_about() -> None:
    forecast = running(0.8).forecast(9, (), 100.0)
    assert forecast is not None
    assert forecast.cost == pytest.approx(0.4)
    assert forecast.seen == pytest.approx(0.8, rel=0.01)
    # measured, and the one that asks, who counts one and a half times
    assert forecast.mean == pytest.approx(0.8 + 0.6, rel=0.01)
    # 10 sessions that speak for a third of the time (1.4 of 4.2 lanes): 3.5 ± 1.49 at a time
    assert forecast.peak == pytest.approx(0.4 * (3.5 + 2 * 1.49), rel=0.02)
    assert forecast.late_share == 0.0


def test_sessions_cannot_need_more_than_if_all_of_them_spoke() -> None:
    forecast = running(1.5).forecast(2, (), 100.0)
    assert forecast is not None
    assert forecast.peak == pytest.approx((2 + 1.5) * 0.4)


def test_what_is_planned_counts_before_it_is_rendered() -> None:
    admission = running(0.5)
    idle = admission.forecast(20, (), 100.0)
    busy = admission.forecast(20, (10.0, 3.0, 1.5), 100.0)
    assert idle is not None
    assert busy is not None
    assert idle.mean == pytest.approx(0.5 + 0.6, rel=0.01)
    assert busy.mean == pytest.approx(2.5 * 0.4 + 0.6, rel=0.01)


def test_those_who_just_came_count_as_speaking() -> None:
    admission = running(0.5)
    for _ in range(3):
        admission.receive_session(100.0)
    forecast = admission.forecast(20, (), 100.0)
    assert forecast is not None
    assert forecast.mean == pytest.approx(0.5 + 4 * 0.6, rel=0.01)
    later = admission.forecast(20, (), 100.0 + NEWCOMER_S)
    assert later is not None
    assert later.mean < 0.5 + 0.6 + 0.01


def test_the_refused_should_come_back_when_newcomers_have_shown_their_load() -> None:
    admission = running(1.5)
    admission.receive_session(98.0)
    with pytest.raises(Overloaded) as caught:
        admission.check(8, (1.0,), 100.0)
    assert caught.value.retry_after_s == 3.0
    with pytest.raises(Overloaded, match=r"try again in 20 s") as caught:
        admission.check(8, (10.0,) * 10, 100.0)
    assert caught.value.retry_after_s == 20.0


def test_an_idle_engine_refuses_nobody_however_many_come() -> None:
    admission = running(2 * 0.9 * IDLE_SHARE * 0.9)
    for _ in range(1000):
        admission.check(900, (), 100.0)
        admission.receive_session(100.0)


def test_an_engine_where_many_just_began_to_speak_is_not_idle() -> None:
    admission = running(2 * 0.9 * IDLE_SHARE * 0.9)
    for number in range(2):
        admission.check(20, (), 100.0)
        admission.receive_session(100.0)
        admission.receive_speaker(f"s{number}", 100.0)
    # 0.4 lanes that are needed, those two, and one more: 0.4 + 3 · 1.5 · 0.4, and headroom
    with pytest.raises(Overloaded, match=r"could reach 1[0-9][0-9]%"):
        admission.check(20, (), 100.0)
    admission.check(20, (), 100.0 + NEWCOMER_S)


def test_what_audio_costs_is_remembered_through_a_silence() -> None:
    admission = running(1.5)
    forecast = admission.forecast(4, (), 100.0 + 600.0)
    assert forecast is not None
    assert forecast.cost == pytest.approx(0.4)
    assert forecast.seen == pytest.approx(0.0, abs=1e-6)


def test_the_longer_nobody_was_let_in_the_later_the_refused_come_back() -> None:
    admission = running(1.6, seconds=200)

    def told(now: float) -> float:
        with pytest.raises(Overloaded) as caught:
            admission.check(8, (), now)
        assert caught.value.retry_after_s is not None
        return caught.value.retry_after_s

    assert [told(180.0), told(190.0), told(199.0)] == [1.0, 5.0, 9.5]
    admission.receive_session(199.5)
    assert told(200.0) == 4.5


def test_nobody_is_told_to_stay_away_for_long() -> None:
    admission = running(1.6, seconds=200)
    for now, expected_s in ((100.0, 1.0), (199.0, 30.0)):
        with pytest.raises(Overloaded) as caught:
            admission.check(8, (), now)
        assert caught.value.retry_after_s == expected_s


def test_late_audio_refuses_though_the_load_looks_small() -> None:
    admission = running(0.8)
    for number in range(100):
        admission.receive_window(0.2 if number % 20 == 0 else -0.5, 100.0)
    with pytest.raises(Overloaded, match="5% of its audio came late"):
        admission.check(2, (), 100.0)


def test_little_lateness_or_an_idle_engine_is_no_reason() -> None:
    admission = running(0.8)
    for number in range(100):
        admission.receive_window(0.04 if number else 0.2, 100.0)  # one of them late by 200 ms
    admission.check(2, (), 100.0)


def test_the_length_of_a_text_is_foretold_from_others() -> None:
    admission = Admission("kokoro", 1, 0.9)
    assert admission.expected_s(150, 0.0) == 0.0
    admission.receive_length(150, 10.0, 0.0)
    admission.receive_length(30, 2.0, 0.0)
    assert admission.expected_s(60, 0.0) == pytest.approx(4.0)
