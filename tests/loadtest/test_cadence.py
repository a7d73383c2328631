import pytest

from loadtest.cadence import Arrival, Cadence, Player, course

CADENCE = Cadence(lead_target_s=0.4, step_s=0.06, prebuffer_samples=2880, preskip_samples=312)
MESSAGE = 2880
BURST = 6
"""Messages that are due at once: 6 * 60 ms is what a lead of 0.4 s takes."""


def _messages(*arrivals_s: float) -> list[Arrival]:
    """Messages of 60 ms, one after the other."""
    return [Arrival(at_s, number * MESSAGE, MESSAGE) for number, at_s in enumerate(arrivals_s)]


def _due(count: int) -> list[float]:
    """When ``count`` messages are due, for a listener that begins to sound at 10 s."""
    return [10.0 + CADENCE.offset_s(number * MESSAGE) for number in range(count)]


def test_the_burst_of_the_start_is_due_at_once() -> None:
    assert CADENCE.offset_s(0) == 0.0
    assert CADENCE.offset_s(312 + 16_320) == 0.0


def test_later_messages_are_due_when_the_lead_has_fallen_by_one() -> None:
    assert CADENCE.offset_s(312 + 19_200) == pytest.approx(0.06)
    assert CADENCE.offset_s(312 + 48_000) == pytest.approx(0.66)


def test_playing_begins_with_the_message_that_fills_the_prebuffer() -> None:
    player = Player(CADENCE)

    player.receive(Arrival(10.0, 0, MESSAGE))
    assert not player.playing  # it has 2,880 samples, but 312 of them are dropped
    player.receive(Arrival(10.02, MESSAGE, MESSAGE))
    assert player.playing
    assert player.played_samples(10.03) == 480


def test_a_player_plays_no_more_than_it_has() -> None:
    player = Player(CADENCE)
    player.receive(Arrival(10.0, 0, 2 * MESSAGE))

    assert player.played_samples(99.0) == 2 * MESSAGE - 312


def test_messages_that_come_when_due_are_not_late() -> None:
    heard = course(_messages(*_due(50)), CADENCE, 0.0, 99.0)

    assert len(heard.lateness_s) == 50 - BURST
    assert heard.lateness_s == pytest.approx(0.0, abs=1e-9)
    assert heard.underruns == 0


def test_lateness_counts_from_the_due_time() -> None:
    due_s = _due(8)
    due_s[6] += 0.002
    due_s[7] -= 0.001

    heard = course(_messages(*due_s), CADENCE, 0.0, 99.0)

    assert heard.lateness_s == pytest.approx([0.002, -0.001])


def test_a_session_that_is_always_late_by_the_same_time_is_late() -> None:
    due_s = _due(50)
    shifted = due_s[:BURST] + [at_s + 0.02 for at_s in due_s[BURST:]]

    assert course(_messages(*shifted), CADENCE, 0.0, 99.0).lateness_s == pytest.approx([0.02] * 44)


def test_a_gap_shorter_than_the_lead_is_lateness() -> None:
    due_s = _due(50)
    delayed = [max(at_s, 11.3) if at_s > 11.0 else at_s for at_s in due_s]

    heard = course(_messages(*delayed), CADENCE, 0.0, 99.0)

    assert heard.underruns == 0
    assert max(heard.lateness_s) == pytest.approx(0.3, abs=0.06)
    assert heard.lateness_s[-1] == pytest.approx(0.0, abs=1e-9)


def test_after_it_ran_dry_a_listener_begins_anew() -> None:
    # 30 messages, a pause that is longer than the lead, then a burst and its due times.
    second = [16.0 + max(0.0, number * 0.06 - 0.34) for number in range(20)]

    heard = course(_messages(*_due(30), *second), CADENCE, 0.0, 99.0)

    assert heard.underruns == 1
    # The pause is not lateness: nothing was due any more when the listener had fallen silent.
    assert heard.lateness_s == pytest.approx([0.0] * (24 + 14), abs=1e-9)


def test_only_the_window_counts() -> None:
    heard = course(_messages(*_due(50)), CADENCE, 11.0, 11.6)

    assert (heard.messages, len(heard.lateness_s)) == (10, 10)
    assert heard.audio_s == pytest.approx(0.6)


def test_a_listener_that_never_gets_its_prebuffer_has_no_due_times() -> None:
    heard = course(_messages(10.0), CADENCE, 0.0, 99.0)

    assert (heard.messages, len(heard.lateness_s)) == (1, 0)
