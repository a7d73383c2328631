import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.lead import Lead
from gateway.settings import PacingSettings

START_S = 0.35
STEP_S = 0.06


def fed(lead: Lead, lateness_s: list[float], start: float = 0.0, every_s: float = 0.25) -> Lead:
    """Reports come every 250 ms."""
    for number, late_s in enumerate(lateness_s):
        lead.receive_lateness(late_s, start + number * every_s)
    return lead


QUIET = [0.004] * 4 * 200
"""200 s of reports."""


def quiet_lead() -> Lead:
    return fed(Lead(PacingSettings()), QUIET)


def test_a_session_starts_with_a_lead_that_covers_the_stalls_of_an_ordinary_wifi() -> None:
    lead = Lead(PacingSettings())
    assert lead.target_s == START_S
    assert START_S - STEP_S > 0.28


def test_a_calm_network_brings_the_lead_down_to_the_least() -> None:
    assert quiet_lead().target_s == 0.12


def test_it_shrinks_slowly_and_not_before_a_minute_was_quiet() -> None:
    lead = fed(Lead(PacingSettings()), [0.004] * 4 * 60)
    assert lead.target_s == START_S
    fed(lead, [0.004] * 4 * 10, start=60.0)
    assert 0.2 < lead.target_s < START_S
    fed(lead, [0.004] * 4 * 100, start=70.0)
    assert lead.target_s == 0.12


def test_a_path_that_shows_some_lateness_each_minute_is_not_quiet() -> None:
    minute = [0.004] * 4 * 50 + [0.035]
    assert fed(Lead(PacingSettings()), minute * 10).target_s == START_S


def test_a_stall_that_was_covered_is_kept_but_does_not_raise_the_lead() -> None:
    lead = fed(Lead(PacingSettings()), [0.004, 0.2, *QUIET])
    assert lead.target_s == pytest.approx(STEP_S + 0.2, abs=0.001)


def test_a_stall_that_is_longer_than_expected_raises_it_at_once_by_half_as_much_again() -> None:
    lead = quiet_lead()
    lead.receive_lateness(0.5, 200.0)
    assert lead.target_s == pytest.approx(0.75 + STEP_S)


def test_and_five_minutes_keep_it_up() -> None:
    lead = quiet_lead()
    lead.receive_lateness(0.5, 200.0)
    fed(lead, [0.004] * 4 * 299, start=200.25)
    assert lead.target_s == pytest.approx(0.75 + STEP_S)
    fed(lead, [0.004] * 4 * 150, start=499.25)
    assert lead.target_s == 0.12


def test_a_later_stall_counts_from_when_it_came() -> None:
    lead = fed(Lead(PacingSettings()), [0.6, *QUIET, 0.5])
    fed(lead, [0.004] * 4 * 99, start=200.5)
    assert lead.target_s == pytest.approx(0.9 + STEP_S, abs=0.001)
    fed(lead, [0.004] * 4 * 199, start=299.5)
    assert lead.target_s == pytest.approx(0.5 + STEP_S, abs=0.01)


def test_what_varies_all_the_time_is_held_besides_what_stalls() -> None:
    lead = Lead(PacingSettings())
    lead.receive_lateness(0.0, 0.0, usual_s=0.05)
    assert lead.target_s == pytest.approx(START_S + 0.05)
    lead.receive_lateness(0.0, 0.25)
    assert lead.target_s == START_S


def test_a_long_way_lets_expect_long_stalls() -> None:
    lead = Lead(PacingSettings())
    lead.receive_lateness(0.0, 0.0, usual_s=0.01, round_trip_s=0.1)
    assert lead.target_s == pytest.approx(STEP_S + 0.01 + 6 * 0.08)


def test_an_underrun_multiplies_what_was_needed() -> None:
    lead = quiet_lead()
    lead.receive_underrun(0.02)
    assert lead.target_s == 0.12  # 30 ms are less than the least lead holds
    lead.receive_underrun(1.0)
    assert lead.target_s == pytest.approx(1.6, abs=0.03)
    lead.receive_lateness(0.004, 200.0)
    assert lead.target_s == pytest.approx(1.6, abs=0.03)


def test_time_without_reports_proves_nothing() -> None:
    lead = fed(Lead(PacingSettings()), [0.004] * 4 * 59)
    lead.receive_lateness(0.004, 3600.0)  # counts as one second
    assert lead.target_s == START_S


def test_what_is_remembered_is_bounded() -> None:
    lead = Lead(PacingSettings(lead_memory_s=3600.0))
    fed(lead, [2.0 - number / 5000 for number in range(9800)])
    assert lead.stalls_remembered <= 200


def test_equal_bounds_pin_the_lead() -> None:
    lead = fed(Lead(PacingSettings(lead_min_s=0.4, lead_max_s=0.4)), [0.0, 0.9] * 50)
    lead.receive_underrun(1.0)
    assert lead.target_s == 0.4


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100), st.booleans()), max_size=60),
    st.floats(0.02, 1),
    st.floats(1, 10),
)
def test_whatever_is_seen_the_lead_stays_within_its_bounds(
    seen: list[tuple[float, float, bool]], lead_min_s: float, lead_max_s: float
) -> None:
    lead = Lead(PacingSettings(lead_min_s=lead_min_s, lead_max_s=lead_max_s))
    now = 0.0
    for elapsed_s, late_s, underrun in seen:
        now += elapsed_s
        lead.receive_lateness(late_s, now)
        if underrun:
            lead.receive_underrun(late_s)
        assert lead_min_s <= lead.target_s <= lead_max_s


def test_the_bounds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="lead_min_s is 3, more than lead_max_s, 2"):
        PacingSettings(lead_min_s=3.0)


def test_audio_that_comes_with_little_to_spare_is_asked_for_earlier() -> None:
    lead = Lead(PacingSettings(request_ahead_s=3.0), queued_audio_s_max=10.0)
    lead.receive_slack(0.3)
    assert lead.request_ahead_s == 3.0
    lead.receive_slack(-0.25)
    assert lead.request_ahead_s == 4.0
    lead.receive_slack(-60.0)
    assert lead.request_ahead_s == 4.0
    fed(lead, [0.0] * 4 * 300)
    assert lead.request_ahead_s == pytest.approx(3.0, abs=0.05)


def test_no_more_is_asked_for_than_may_be_queued() -> None:
    assert Lead(PacingSettings(request_ahead_s=30.0), queued_audio_s_max=10.0).request_ahead_s == 10
