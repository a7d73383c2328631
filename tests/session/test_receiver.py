import math
import random
from itertools import pairwise

import pytest

from gateway.session.receiver import ClockFilter, Listener, SentLog


def test_the_least_round_trip_of_late_counts() -> None:
    listener = Listener()
    assert listener.round_trip_s is None
    listener.receive_round_trip(0.08, 0.0)
    listener.receive_round_trip(0.05, 1.0)
    listener.receive_round_trip(0.2, 2.0)
    assert listener.round_trip_s == 0.05


def test_a_way_that_became_longer_is_believed_after_a_while() -> None:
    listener = Listener()
    listener.receive_round_trip(0.05, 0.0)
    for second in range(1, 25):
        listener.receive_round_trip(0.2, float(second))
    assert listener.round_trip_s == 0.2


def test_a_round_trip_is_never_negative_nor_endless() -> None:
    listener = Listener()
    listener.receive_round_trip(1e9, 0.0)
    assert listener.round_trip_s == 5.0
    listener.receive_round_trip(-1.0, 0.0)
    assert listener.round_trip_s == 0.0


def test_what_no_device_holds_is_bounded() -> None:
    listener = Listener()
    listener.receive_output_latency(2**40)
    assert listener.output_latency_samples == 96_000


def test_the_report_that_was_least_delayed_tells_where_playout_is() -> None:
    clock = ClockFilter(Listener())
    # Playout began at 0; the ways of three reports took 30, 20 and 90 ms.
    assert clock.receive(48_000 * 1, now=1.03) == 0.0
    assert clock.receive(48_000 * 2, now=2.02) == 0.0
    assert clock.receive(48_000 * 3, now=3.09) == pytest.approx(0.07, abs=0.001)
    assert clock.position_samples == pytest.approx(48_000 * 3.07, abs=20)


def test_a_listener_far_behind_the_line_had_paused() -> None:
    clock = ClockFilter(Listener())
    clock.receive(48_000, now=1.0)
    assert clock.receive(72_000, now=2.0) == pytest.approx(0.5, abs=0.001)
    assert clock.position_samples == 72_000


def test_old_reports_are_forgotten() -> None:
    clock = ClockFilter(Listener())
    clock.receive(48_000, now=1.0)
    clock.receive(48_000 * 5 - 4800, now=5.0)
    assert clock.position_samples == 48_000 * 5 - 4800


@pytest.mark.parametrize("drift", [-0.0008, -0.0002, 0.0, 0.0002, 0.0008])
def test_drift_is_found_among_late_reports(drift: float) -> None:
    listener, chance = Listener(), random.Random(1)
    clock = ClockFilter(listener)
    for quarter in range(4 * 120):
        made = quarter / 4
        played = round(made * 48_000 * (1 + drift))
        clock.receive(played, now=made + 0.02 + chance.expovariate(100))
    assert listener.drift == pytest.approx(drift, abs=30e-6)


def test_drift_that_no_clock_has_is_bounded() -> None:
    listener = Listener()
    listener.receive_slope(0.3, 100.0)
    assert listener.drift == 0.001
    assert listener.rate == pytest.approx(48_048)


def sent_log(*sent_at: float) -> SentLog:
    """Messages of three frames, 60 ms."""
    log = SentLog(Listener())
    for number, at in enumerate(sent_at):
        log.add(3 * number + 2, 2880 * (number + 1), at)
    return log


def test_the_newest_message_that_arrived_tells_the_round_trip() -> None:
    log = sent_log(1.0, 1.06, 1.12)
    assert log.acknowledge(5, None) == (1.06, 0.0)
    assert log.oldest_at == 1.12
    assert log.acknowledged == 5
    assert log.acknowledge(5, None) == (None, 0.0)
    assert log.acknowledge(8, None) == (1.12, 0.0)
    assert log.oldest_at is None


def rfc3550(jitter: float, sent: list[float], arrived: list[float]) -> float:
    """The listener's interarrival jitter, of messages of 60 ms."""
    transits = [at - number * 0.06 for number, at in enumerate(arrived)]
    for before, after in pairwise(transits):
        jitter += (abs(after - before) - jitter) / 16
    return jitter


def test_a_stall_between_two_reports_shows_in_the_jitter() -> None:
    sent = [0.06 * number for number in range(9)]
    arrived = [at + 0.02 for at in sent]
    arrived[6] += 0.2  # and holds back the next two
    arrived[7] += 0.14
    arrived[8] += 0.08
    log = sent_log(*sent)
    log.acknowledge(14, jitter_samples=0)
    _, stall_s = log.acknowledge(26, round(48_000 * rfc3550(0.0, sent, arrived)))
    assert 0.12 < stall_s <= 0.2


def test_our_own_bursts_are_no_stalls() -> None:
    sent = [0.0, 0.0, 0.0, 0.0, 0.0, 0.06, 0.12]
    arrived = [at + 0.02 for at in sent]
    log = sent_log(*sent)
    log.acknowledge(2, jitter_samples=0)
    _, stall_s = log.acknowledge(20, round(48_000 * rfc3550(0.0, sent, arrived)))
    assert stall_s == 0.0


def test_the_log_of_a_silent_client_is_bounded() -> None:
    log = SentLog(Listener())
    for number in range(10_000):
        log.add(number, 960 * number, number / 50)
    assert log.oldest_at == (10_000 - 256) / 50


def test_a_device_that_takes_much_at_a_time_does_not_stall() -> None:
    """It looks every 100 ms and reports every 0.3 s: the first minute, and then a real stall."""
    listener, jitter, transit_s = Listener(), 0.0, 0.0
    log, stalls = SentLog(listener), []
    for number in range(1000):
        sent_at = 0.06 * number
        log.add(3 * number + 2, 2880 * (number + 1), sent_at)
        waits_s = 0.1 * math.ceil((sent_at + 0.02) / 0.1 - 1e-9) - sent_at
        late_s = waits_s + (0.3 if number == 997 else 0.0)
        jitter += (abs(late_s - transit_s) - jitter) / 16
        transit_s = late_s
        if number % 5 == 4:
            stalls.append(log.acknowledge(3 * number + 2, round(48_000 * jitter))[1])
    assert listener.usual_jitter_s == pytest.approx(0.045, abs=0.01)
    assert max(stalls[20:-1]) < 0.05
    assert 0.2 < stalls[-1] < 0.35


def test_the_usual_jitter_falls_at_once_and_rises_slowly() -> None:
    listener = Listener()
    listener.receive_jitter(0.002, 4)
    assert listener.usual_jitter_s == 0.002  # the first is all that is known
    listener.receive_jitter(0.034, 4)
    assert listener.usual_jitter_s == pytest.approx(0.004)
    listener.receive_jitter(0.032, 10_000)
    assert listener.usual_jitter_s == pytest.approx(0.032)
    listener.receive_jitter(0.004, 1)
    assert listener.usual_jitter_s == pytest.approx(0.004)
