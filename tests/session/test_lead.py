import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.lead import Lead
from gateway.settings import PacingSettings

STEP_S = 0.06


def fed(lead: Lead, lateness_s: list[float], start: float = 0.0, every_s: float = 0.25) -> Lead:
    """Reports come every 250 ms."""
    for number, late_s in enumerate(lateness_s):
        lead.receive_lateness(late_s, start + number * every_s)
    return lead


def test_a_session_starts_with_a_lead_that_covers_common_stalls() -> None:
    assert Lead(PacingSettings()).target_s == 0.6


def test_a_calm_network_brings_the_lead_down_to_the_least() -> None:
    assert fed(Lead(PacingSettings()), [0.004] * 4 * 200).target_s == 0.12


def test_it_shrinks_slowly() -> None:
    assert fed(Lead(PacingSettings()), [0.004] * 4 * 4).target_s > 0.35


def test_one_stall_raises_it_at_once() -> None:
    lead = fed(Lead(PacingSettings()), [0.004] * 4 * 200)
    lead.receive_lateness(0.5, 200.0)
    assert lead.target_s == 0.5 + STEP_S


def test_and_keeps_it_up_for_a_while() -> None:
    lead = fed(Lead(PacingSettings()), [0.004] * 4 * 200)
    lead.receive_lateness(0.5, 200.0)
    fed(lead, [0.004] * 4 * 10, start=200.25)
    assert lead.target_s > 0.3
    fed(lead, [0.004] * 4 * 300, start=210.25)
    assert lead.target_s == pytest.approx(0.12, abs=0.01)


def test_lateness_that_varies_needs_more_than_lateness_that_does_not() -> None:
    steady = fed(Lead(PacingSettings()), [0.08] * 4 * 200)
    lively = fed(Lead(PacingSettings()), ([0.01] * 15 + [0.15]) * 50)
    assert steady.target_s < 0.25
    assert lively.target_s > 0.5


def test_an_underrun_multiplies_the_lead() -> None:
    lead = fed(Lead(PacingSettings()), [0.004] * 4 * 200)
    lead.receive_underrun(0.02)
    assert lead.target_s == pytest.approx(0.18)
    lead.receive_underrun(1.0)
    assert lead.target_s == pytest.approx(1.18)
    lead.receive_lateness(0.004, 200.0)
    assert lead.target_s == pytest.approx(1.18, abs=0.15)


def test_time_without_reports_proves_nothing() -> None:
    lead = fed(Lead(PacingSettings()), [0.004, 0.004])
    before = lead.target_s
    lead.receive_lateness(0.004, 3600.0)  # counts as one second
    assert lead.target_s == before


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
    assert lead.request_ahead_s == 10.0
    fed(lead, [0.0] * 4 * 200)
    assert lead.request_ahead_s == pytest.approx(3.0, abs=0.2)


def test_no_more_is_asked_for_than_may_be_queued() -> None:
    assert Lead(PacingSettings(request_ahead_s=30.0), queued_audio_s_max=10.0).request_ahead_s == 10
