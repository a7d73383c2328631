import json
from dataclasses import replace
from math import inf

from loadtest.overhead import Overhead
from loadtest.pacing import Load, Pacing, Side
from loadtest.report import overhead_text, pacing_text, to_json, wires_text
from loadtest.statistics import Spread
from loadtest.wires import Wire, Wires

MACHINE = "2 x Some CPU"


def _spread(p50: float, p99: float) -> Spread:
    return Spread(count=200, least=0.001, p50=p50, p90=0.004, p99=p99, greatest=0.1)


OVERHEAD = Overhead(
    turns=200,
    gateway_s=_spread(0.003, 0.009),
    engine_s=_spread(0.001, 0.002),
    overhead_s=_spread(0.002, 0.007),
    ratio=2.0,
    missed_p99_goal=0.005,
    cached_s=_spread(0.0025, 0.006),
    cache_hits=200,
    foreign_cpu_share=0.01,
)


def _side(p99: float, loop_ms: float) -> Side:
    return Side(
        frames_per_s=10_000.0,
        messages_per_s=3333.0,
        lateness_s=_spread(0.002, p99),
        lateness_p99_by_round_s=(p99, p99 + 0.001),
        share_later_than_goal=0.0025,
        loop_ms_per_1000_frames=loop_ms,
        lanes_ms_per_1000_frames=40.0,
        workers_ms_per_1000_frames=13.0,
        process_ms_per_1000_frames=loop_ms + 40.0,
        total_ms_per_1000_frames=loop_ms + 53.0,
        frames_per_loop_s=1e6 / loop_ms,
        frames_per_process_s=1e6 / (loop_ms + 40.0),
        listeners_cpu_share=0.06,
        reading_delay_p99_s=0.0003,
        foreign_cpu_share=0.02,
    )


PACING = Pacing(
    load=Load(200, 20.0, 2, 60, "opus", 0.0, 1),
    gateway=_side(0.008, 20.0),
    bare=_side(0.001, 10.0),
    server_lateness_p99_s=0.0075,
    server_share_later_than_goal=0.001,
    loop_ratio=0.5,
    process_ratio=0.2,
    total_ratio=0.15,
    underruns=0,
    cache_hits=0,
    plain=_side(0.001, 25.0),
    plain_ratio=1.25,
)


def test_overhead_is_told_in_milliseconds_with_its_goals() -> None:
    text = overhead_text(OVERHEAD, MACHINE)

    assert "200 turns, 2 x Some CPU" in text
    assert "overhead of the gateway             2.00  4.00  7.00  100.00" in text
    assert "medians: 2.00" in text
    assert "goal p50 <= 5.00 ms: met" in text
    assert "goal p99 <= 15.00 ms: met (0.50% of turns over 15.00 ms)" in text
    assert "cache hits: 200; texts that it should know: 200" in text


def test_a_goal_that_is_missed_is_said_to_be_missed() -> None:
    slow = replace(OVERHEAD, overhead_s=_spread(0.006, 0.016))

    assert "goal p50 <= 5.00 ms: MISSED" in overhead_text(slow, MACHINE)
    assert "goal p99 <= 15.00 ms: MISSED" in overhead_text(slow, MACHINE)
    assert json.loads(to_json(slow, MACHINE))["goals_met"] == {"p50": False, "p99": False}


def test_pacing_shows_both_sides_and_their_ratios() -> None:
    text = pacing_text(PACING, MACHINE)

    assert "200 sessions, 2 rounds of 20 s" in text
    assert "gateway / bare: 0.50" in text
    assert "plain sender, a message for each frame: 1.25" in text
    assert "0.20 with encoding, 0.15 with encoding and synthesis" in text
    assert "goal: p99 of lateness <= 10.00 ms: met" in text
    assert "goal: rate >= 0.6 of the bare sender's: MISSED" in text
    row = next(line for line in text.splitlines() if "p99 of each round" in line)
    assert row.split()[-4:] == ["8.00", "9.00", "1.00", "2.00"]


def test_columns_are_aligned() -> None:
    lines = pacing_text(PACING, MACHINE).splitlines()[1:18]

    assert len({len(line) for line in lines}) == 1


def test_a_busy_machine_is_pointed_out() -> None:
    busy = replace(PACING, bare=replace(PACING.bare, foreign_cpu_share=0.4))

    assert "NOT AN IDLE MACHINE: other programs used 40%" in pacing_text(busy, MACHINE)
    assert "NOT AN IDLE MACHINE" not in pacing_text(PACING, MACHINE)
    assert "NOT AN IDLE MACHINE" in overhead_text(
        replace(OVERHEAD, foreign_cpu_share=0.06), MACHINE
    )


def test_json_has_every_figure_in_seconds() -> None:
    read = json.loads(to_json(PACING, MACHINE))

    assert read["machine"] == MACHINE
    assert read["gateway"]["lateness_s"]["p99"] == 0.008
    assert read["loop_ratio"] == 0.5
    assert read["load"]["sessions"] == 200
    assert read["goals_met"] == {"lateness_p99": True, "loop_ratio": False}


def test_a_figure_beyond_what_is_known_is_null_in_json() -> None:
    assert (
        json.loads(to_json(replace(PACING, server_lateness_p99_s=inf), MACHINE))[
            "server_lateness_p99_s"
        ]
        is None
    )


def test_wires_that_are_too_late_are_named() -> None:
    fast = Wire("voice.v1", _spread(0.003, 0.009), 0.0)
    slow = Wire("Other", _spread(0.006, 0.02), 0.003)
    text = wires_text(Wires(100, (fast, slow), 0.01), MACHINE)
    assert "goal: at most 2.00 ms later: MISSED Other" in text
    goals = json.loads(to_json(Wires(100, (fast, slow), 0.01), MACHINE))["goals_met"]
    assert goals == {"voice.v1": True, "Other": False}
