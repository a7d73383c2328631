from gateway.session.playout import Playout

PREBUFFER = 2880  # 60 ms


def test_a_listener_begins_once_the_prebuffer_was_sent() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(1920, False, now=1.0)
    assert not playout.playing
    playout.receive_sent(3840, False, now=1.02)
    assert playout.playing
    assert playout.dry_at == 1.02 + 0.08
    assert playout.played(1.05) == 1440


def test_a_short_talkspurt_begins_without_the_prebuffer() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(960, True, now=1.0)
    assert playout.playing
    assert playout.dry_at == 1.02


def test_lead_is_what_was_sent_and_has_not_sounded() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(48_000, False, now=0.0)
    assert playout.lead_s(0.25) == 0.75
    assert playout.lead_s(2.0) == 0.0


def test_a_listener_that_played_everything_stops() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.1)
    assert not playout.playing
    assert playout.dry_at is None
    assert playout.played(5.0) == 4800


def test_after_running_dry_it_gathers_the_prebuffer_again() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.1)
    playout.receive_sent(6720, False, now=0.5)
    assert not playout.playing
    playout.receive_sent(7680, False, now=0.52)
    assert playout.playing
    assert playout.played(0.54) == 4800 + 960


def test_a_report_moves_the_anchor() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(48_000, False, now=0.0)
    playout.receive_report(9600, now=0.5)  # we had thought 24,000
    assert playout.played(0.6) == 9600 + 4800
    assert playout.dry_at == 0.5 + 0.8


def test_a_report_wakes_a_listener_that_was_thought_dry() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, False, now=0.0)
    playout.handle_timer(0.2)
    assert not playout.playing
    playout.receive_report(1200, now=0.21)
    assert playout.playing
    assert playout.dry_at == 0.21 + 0.075


def test_a_report_of_everything_played_stops_it() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, False, now=0.0)
    playout.receive_report(4800, now=0.05)
    assert not playout.playing


def test_a_report_beyond_what_was_sent_counts_as_everything() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, False, now=0.0)
    playout.receive_report(10**9, now=0.05)
    assert playout.played(1.0) == 4800


def test_a_listener_that_has_not_begun_begins_when_it_holds_enough() -> None:
    playout = Playout(PREBUFFER)
    playout.receive_sent(4800, True, now=0.0)
    playout.receive_report(0, now=0.03)
    assert playout.playing
    assert playout.dry_at == 0.03 + 0.1
