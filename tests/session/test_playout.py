import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.jitter_buffer import JitterBuffer
from gateway.session.events import Report
from gateway.session.playout import Playout
from gateway.session.receiver import Listener

PREBUFFER = 2880  # 60 ms


def make_playout(round_trip_s: float | None = None) -> Playout:
    """A listener whose clock is known to be exact."""
    listener = Listener()
    listener.drift = 0.0
    if round_trip_s is not None:
        listener.receive_round_trip(round_trip_s, 0.0)
    return Playout(PREBUFFER, listener)


def report(played_samples: int, **fields: int) -> Report:
    return Report("c", played_samples, **fields)


def test_a_listener_begins_once_the_prebuffer_was_sent() -> None:
    playout = make_playout()
    playout.receive_sent(1920, False, now=1.0)
    assert not playout.playing
    playout.receive_sent(3840, False, now=1.02)
    assert playout.playing
    assert playout.dry_at == 1.02 + 0.08
    assert playout.played(1.05) == 1440


def test_a_short_talkspurt_begins_without_the_prebuffer() -> None:
    playout = make_playout()
    playout.receive_sent(960, True, now=1.0)
    assert playout.playing
    assert playout.dry_at == 1.02


def test_lead_is_what_was_sent_and_has_not_sounded() -> None:
    playout = make_playout()
    playout.receive_sent(48_000, False, now=0.0)
    assert playout.lead_s(0.25) == 0.75
    assert playout.lead_s(2.0) == 0.0


def test_a_listener_that_played_everything_stops() -> None:
    playout = make_playout()
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.1)
    assert not playout.playing
    assert playout.dry_at is None
    assert playout.played(5.0) == 4800


def test_after_running_dry_it_gathers_the_prebuffer_again() -> None:
    playout = make_playout()
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.1)
    playout.receive_sent(6720, False, now=0.5)
    assert not playout.playing
    playout.receive_sent(7680, False, now=0.52)
    assert playout.playing
    assert playout.played(0.54) == 4800 + 960


def test_a_report_moves_the_anchor() -> None:
    playout = make_playout(round_trip_s=0.0)
    playout.receive_sent(48_000, False, now=0.0)
    playout.receive_report(report(9600), now=0.5)  # we had thought 24,000
    assert playout.played(0.6) == 9600 + 4800
    assert playout.dry_at == 0.5 + 0.8


def test_a_report_wakes_a_listener_that_was_thought_dry() -> None:
    playout = make_playout()
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.2)
    assert not playout.playing
    playout.receive_report(report(1200), now=0.21)
    assert playout.playing
    assert playout.dry_at == 0.21 + 0.075


def test_a_report_of_everything_played_stops_it() -> None:
    playout = make_playout()
    playout.receive_sent(4800, False, now=0.0)
    playout.receive_report(report(4800), now=0.12)
    assert not playout.playing


def test_a_report_beyond_what_was_sent_counts_as_everything() -> None:
    playout = make_playout()
    playout.receive_sent(4800, False, now=0.0)
    playout.receive_report(report(10**9), now=0.05)
    assert playout.played(1.0) == 4800


def test_a_listener_that_has_not_begun_begins_when_it_holds_enough() -> None:
    playout = make_playout()
    playout.receive_sent(4800, True, now=0.0)
    playout.receive_report(report(0), now=0.03)
    assert playout.playing
    assert playout.dry_at == 0.03 + 0.1


def test_nobody_plays_faster_than_a_clock_may_run() -> None:
    playout = make_playout()
    playout.receive_sent(480_000, False, now=1.0)
    playout.receive_report(report(480_000), now=2.0)
    assert playout.played(2.0) <= 48_048
    playout.receive_report(report(480_000), now=3.0)
    assert playout.played(3.0) <= 96_096


def test_the_first_delay_of_a_client_that_names_no_numbers_may_be_on_the_way() -> None:
    playout = make_playout()
    playout.receive_sent(480_000, False, now=0.0)
    playout.receive_report(report(48_000 - 3840), now=1.0)  # 80 ms behind the open loop
    assert playout.told(1.0) == 48_000 - 3840
    assert playout.played(1.0) == 48_000


def test_pacing_looks_where_a_message_arrives_and_a_cancel_where_it_was_sent() -> None:
    playout = make_playout()
    playout.receive_sent(480_000, False, now=0.0, number=499)
    # 30 ms each way; playout began at 0.05, the report was made at 1.03.
    playout.receive_report(report(47_040, sequence_number=499, depth_samples=9), now=1.06)
    assert playout.told(1.06) == 47_040
    playout.receive_sent(482_880, False, now=1.2, number=502)
    playout.receive_report(report(57_120, sequence_number=502, depth_samples=9), now=1.27)
    # Message 502 took 30 ms, waited 10 ms for the report, and that took 30 ms.
    assert playout.told(1.5) == pytest.approx(48_000 * (1.5 - 0.08), abs=1)
    assert playout.played(1.5) == pytest.approx(48_000 * (1.5 - 0.08 + 0.07), abs=1)
    point, uncertainty = playout.playout_point(1.5)
    assert point == pytest.approx(48_000 * (1.5 - 0.08 + 0.035), abs=2)
    assert uncertainty == pytest.approx(0.035 * 48_000, abs=1)
    assert abs(point - 48_000 * (1.5 - 0.05)) <= uncertainty


def test_a_late_report_does_not_move_the_line() -> None:
    playout = make_playout(round_trip_s=0.0)
    playout.receive_sent(480_000, False, now=0.0)
    playout.receive_report(report(48_000), now=1.0)
    observed = playout.receive_report(report(60_000), now=1.4)  # made at 1.25
    assert observed is not None
    assert observed.late_s == pytest.approx(0.15)
    assert playout.played(1.4) == pytest.approx(48_000 * 1.4, abs=1)


def test_an_overtaken_or_repeated_report_says_nothing() -> None:
    playout = make_playout(round_trip_s=0.0)
    for number in range(10):
        playout.receive_sent(48_000 * (number + 1), False, now=0.0, number=number)
    assert playout.receive_report(report(24_000, sequence_number=5), now=0.5)
    line = playout.played(0.6)
    assert playout.receive_report(report(0, sequence_number=3), now=0.55) is None
    assert playout.receive_report(report(24_000, sequence_number=5), now=0.56) is None
    assert playout.played(0.6) == line


def test_a_number_that_was_never_sent_is_no_round_trip() -> None:
    listener = Listener()
    playout = Playout(PREBUFFER, listener)
    playout.receive_sent(48_000, False, now=0.0, number=49)
    playout.receive_report(report(100, sequence_number=50), now=0.5)
    assert listener.round_trip_s == pytest.approx(0.5, abs=0.01)  # by the fallback


def test_a_listener_that_ran_dry_goes_on_from_where_it_stopped() -> None:
    playout = make_playout(round_trip_s=0.0)
    playout.receive_sent(480_000, False, now=0.0)
    playout.receive_report(report(48_000, depth_samples=9), now=1.0)
    observed = playout.receive_report(report(50_400, depth_samples=0), now=1.25, starved=True)
    assert observed is not None
    assert observed.gap_s == pytest.approx(0.2)
    assert playout.played(1.25) == 50_400
    assert playout.played(1.35) == 55_200


def test_a_message_that_should_have_come_is_late() -> None:
    playout = make_playout(round_trip_s=0.04)
    playout.receive_sent(48_000, False, now=0.0, number=49)
    playout.receive_report(report(9600, sequence_number=49, depth_samples=9), now=0.22)
    playout.receive_sent(50_880, False, now=0.3, number=52)
    observed = playout.receive_report(report(24_000, sequence_number=49, depth_samples=9), now=0.52)
    assert observed is not None
    assert observed.late_s == pytest.approx(0.52 - 0.04 - 0.3, abs=0.001)


def test_a_cancel_before_any_report_counts_the_way_that_is_known() -> None:
    playout = make_playout(round_trip_s=0.1)
    playout.receive_sent(48_000, False, now=0.0)
    assert playout.told(0.05) == 0
    assert playout.told(0.5) == 19_200


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.booleans())
def test_no_lie_draws_audio_faster_than_in_real_time(seed: int, numbered: bool) -> None:
    chance = random.Random(seed)
    playout, now, number = Playout(1920, Listener()), 0.0, -1
    for _ in range(200):
        now += chance.choice([0.0, 0.001, 0.02, 0.3])
        playout.handle_timer(now)
        while playout.lead_s(now) <= 0.34:  # what a pacer with a target of 0.4 s does
            number += 3
            playout.receive_sent(playout.sent + 2880, False, now, number)
        lie = report(
            chance.choice([0, chance.randrange(10**7), 2**40, playout.sent]),
            **({"sequence_number": chance.randrange(number + 99)} if numbered else {}),
            **chance.choice([{}, {"depth_samples": 0}, {"depth_samples": 2**40}]),
            **chance.choice([{}, {"jitter_samples": chance.randrange(2**40)}]),
        )
        observed = playout.receive_report(lie, now, starved=chance.random() < 0.2)
        assert observed is None or (observed.late_s >= 0 and 0 <= observed.gap_s <= 2)
        assert 0 <= playout.told(now) <= playout.sent
        assert 0 <= playout.played(now) <= playout.sent
        assert playout.sent <= 48_000 * (now * 1.001 + 0.4) + 2880


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_a_clock_that_is_off_neither_starves_nor_gathers_in_an_hour(ppm: int) -> None:
    chance = random.Random(ppm)
    playout = Playout(1920, Listener())
    buffer = JitterBuffer(1920, clock_factor=1 + ppm / 1e6)
    number, down, up = -1, [0.0], [0.0]
    leads: list[float] = []

    def way(lane: list[float], now: float) -> float:
        lane[0] = max(lane[0], now + 0.02 + chance.expovariate(500))
        return lane[0]

    for tick in range(60 * 60 * 50 // 3):  # 60 ms each
        now = tick * 0.06
        while playout.lead_s(now) <= 0.12:  # it falls to 60 ms before the next look
            number += 3
            playout.receive_sent(playout.sent + 2880, False, now, number)
            buffer.receive_frame(playout.sent - 2880, 2880, way(down, now), frames=3)
        if tick % 5 == 4:
            made = max(now, down[0])
            told = buffer.report(made)
            leads.append(told.depth_samples / 48_000)
            at = min(way(up, made), now + 0.059)
            playout.receive_report(
                Report(
                    "c",
                    told.played_samples,
                    depth_samples=told.depth_samples,
                    sequence_number=told.sequence_number,
                    jitter_samples=told.jitter_samples,
                ),
                at,
            )
    assert buffer.underrun_count(now) == 0
    assert max(leads[-1000:]) < max(leads[:1000]) + 0.02
    assert max(leads) < 0.25
