"""Networks: faults by name and time, TCP's order and its timers, recordings, players' callbacks."""

from __future__ import annotations

import random
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.sim.network import Pipe
from tests.sim.networks import (
    MOBILE,
    TRACES,
    WIFI,
    Fault,
    NetworkFaults,
    draw_faults,
    load_trace,
)
from tests.sim.players import PLAYERS, Handover, Player, Throttle
from tests.sim.world import World

STILL = NetworkFaults(delay_s=0.05, jitter_s=0.0)


def arrivals(
    network: NetworkFaults,
    faults: list[Fault],
    sent_at: list[float],
    size_bytes: int = 100,
    cut_at: float | None = None,
) -> list[tuple[int, float]]:
    """Which message arrived when."""
    world = World(1)
    pipe = Pipe(world, network, faults, "seed", "down")
    came: list[tuple[int, float]] = []

    def send(number: int) -> None:
        pipe.send(size_bytes, lambda: came.append((number, round(world.now, 6))))

    for number, when in enumerate(sent_at):
        world.at(when, partial(send, number))
    if cut_at is not None:
        world.at(cut_at, pipe.cut)
    while world.step():
        pass
    return came


def test_without_faults_a_message_takes_the_delay() -> None:
    assert arrivals(STILL, [], [0.0, 1.0]) == [(0, 0.05), (1, 1.05)]


def test_what_comes_into_a_stall_comes_at_its_end_all_at_once() -> None:
    stall = Fault("stall", 1.0, 0.2)
    came = arrivals(STILL, [stall], [0.90, 0.96, 1.02, 1.16])
    assert came == [(0, 0.95), (1, 1.2), (2, 1.2), (3, 1.21)]


def test_a_narrow_link_sends_one_message_after_the_other() -> None:
    link = NetworkFaults(delay_s=0.05, jitter_s=0.0, bandwidth_bps=8000)
    assert arrivals(link, [], [0.0, 0.0, 1.0]) == [(0, 0.15), (1, 0.25), (2, 1.15)]


def test_bandwidth_may_fall_for_a_while() -> None:
    came = arrivals(STILL, [Fault("narrow", 0.0, 0.1, 8000)], [0.0, 1.0])
    assert came == [(0, 0.15), (1, 1.05)]


def test_a_lost_segment_holds_back_all_that_follows() -> None:
    """The round trip is 100 ms: 125 ms after the first segment that shows the hole came."""
    came = arrivals(STILL, [Fault("loss", 1.0, size=1)], [0.9, 1.0, 1.06, 1.12, 1.4])
    assert came == [(0, 0.95), (1, 1.235), (2, 1.235), (3, 1.235), (4, 1.45)]


def test_a_lost_last_segment_waits_for_the_probe() -> None:
    """Two round trips."""
    assert arrivals(STILL, [Fault("loss", 1.0, size=1)], [1.0]) == [(0, 1.25)]


def test_a_retransmission_that_is_lost_waits_for_the_timer_which_doubles() -> None:
    """200 ms, and 400 ms more for each further loss, though others follow."""
    twice = arrivals(STILL, [Fault("loss", 1.0, size=2)], [1.0, 1.06])
    thrice = arrivals(STILL, [Fault("loss", 1.0, size=3)], [1.0, 1.06])
    assert twice == [(0, 1.45), (1, 1.45)]
    assert thrice == [(0, 1.85), (1, 1.85)]


def test_a_cut_loses_what_is_under_way() -> None:
    assert arrivals(STILL, [], [0.0, 0.1, 0.2], cut_at=0.12) == [(0, 0.05)]


@pytest.mark.parametrize("network", [WIFI, MOBILE], ids=["wifi", "mobile"])
def test_nothing_is_lost_or_overtaken(network: NetworkFaults) -> None:
    faults = list(draw_faults(network, 60.0, random.Random(3)))
    sent_at = [number * 0.06 for number in range(1000)]
    came = arrivals(network, faults, sent_at)
    assert [number for number, _ in came] == list(range(1000))
    assert all(b >= a for (_, a), (_, b) in pairwise(came))
    assert all(
        when >= sent + network.delay_s for (_, when), sent in zip(came, sent_at, strict=True)
    )


def test_wifi_is_late_as_often_as_it_was_measured() -> None:
    """Ten minutes, some ten times: about 18 spikes over 100 ms each, 12 of them over 200 ms."""
    spikes = [f.lasts_s for f in draw_faults(WIFI, 6000.0, random.Random(1)) if f.kind == "stall"]
    assert 150 < len(spikes) < 210
    assert min(spikes) >= 0.1
    assert max(spikes) <= 0.28


def test_faults_are_those_of_the_seed() -> None:
    once = draw_faults(MOBILE, 100.0, random.Random("7/s0/down"))
    assert once == draw_faults(MOBILE, 100.0, random.Random("7/s0/down"))
    assert once != draw_faults(MOBILE, 100.0, random.Random("7/s1/down"))
    assert [fault.at_s for fault in once] == sorted(fault.at_s for fault in once)
    assert draw_faults(STILL, 100.0, random.Random(1)) == ()


def test_a_handover_takes_between_100_and_800_ms() -> None:
    drawn = draw_faults(MOBILE, 20_000.0, random.Random(1))
    lengths = [fault.lasts_s for fault in drawn if fault.kind == "stall"]
    assert (min(lengths) >= 0.1, max(lengths)) == (True, 0.8)


# ── recordings ─────────────────────────────────────────────────────────────────────────────────


def test_a_csv_trace_has_the_same_delay_both_ways_unless_it_says() -> None:
    trace = load_trace(TRACES / "elevator.csv")
    assert trace.duration_s == 10.0
    assert trace.delay_s("down", 4.3) == 0.7
    assert trace.delay_s("up", 4.3) == 0.7
    assert trace.delay_s("down", 10.0) == 0.022, "it begins anew"


def test_a_json_trace_has_both_directions() -> None:
    trace = load_trace(TRACES / "walk.json")
    assert trace.duration_s == 40.0
    assert trace.down_s != trace.up_s


def test_a_recording_decides_the_delay(tmp_path: Path) -> None:
    network = NetworkFaults(delay_s=0.01, jitter_s=0.0, trace="elevator.csv")
    sent_at = [number * 0.01 for number in range(1000)]
    came = arrivals(network, [], sent_at)
    delays = [when - sent for (_, when), sent in zip(came, sent_at, strict=True)]
    assert min(delays) == pytest.approx(0.032)
    assert max(delays) == pytest.approx(0.71)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,down_ms\n0,1\n", "1 points"),
        ("time_s,down_ms\n0,1\n0,2\n", "point 2: times begin at 0 and rise"),
        ("time_s,down_ms\n1,1\n2,2\n", "point 1: times begin at 0 and rise"),
        ("time_s,down_ms\n0,1\n1,-2\n", "point 2: a delay below 0"),
        ("time_s,down_ms\n0,1\n1,late\n", "point 2: ValueError"),
        ("time_s,up_ms\n0,1\n1,1\n", "point 1: KeyError"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"bad.csv: {message}"):
        load_trace(file)


def test_a_json_trace_that_is_no_object_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"list.json: not an object"):
        load_trace(file)


# ── players ────────────────────────────────────────────────────────────────────────────────────


def test_a_bursty_device_sees_what_came_at_its_next_callback() -> None:
    device = Handover(Player(callback_s=0.1), began_at=0.03)
    assert device.due_at(0.05) == pytest.approx(0.13)
    assert device.due_at(0.13) == pytest.approx(0.13)
    assert device.due_at(0.131) == pytest.approx(0.23)


def test_a_throttled_tab_runs_once_a_second_until_it_is_seen_again() -> None:
    tab = Handover(Player(), (Throttle(at_s=2.0, lasts_s=2.5),))
    assert [tab.due_at(now) for now in (1.9, 2.0, 2.1, 3.5, 4.2, 4.6)] == [
        1.9,
        2.0,
        3.0,
        4.0,
        4.5,
        4.6,
    ]


def test_two_hundred_ppm_are_720_ms_in_an_hour() -> None:
    assert 3600 * (PLAYERS["fast"].clock_factor - 1) == pytest.approx(0.72)
    assert 3600 * (PLAYERS["slow"].clock_factor - 1) == pytest.approx(-0.72)
