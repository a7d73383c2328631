"""Deciding over measurements: what wins, what is out, and why."""

from __future__ import annotations

import math

from gateway.engine.placement import (
    CPU,
    STAGES,
    Choice,
    Limits,
    Placement,
    Timing,
    Trial,
    Way,
    cost_of,
    decide,
)

CUDA = "CUDAExecutionProvider"
START = Placement(
    {stage: Choice(Way(stage, f"{stage}.onnx"), lanes=2) for stage in STAGES}, "profile test"
)


def rendering(rate: float, way: Way | None = None, **changes: object) -> Trial:
    """A generator's trial: 48 frames, alone."""
    timing = Timing(48, 1, 1, 48 / rate, rate)
    facts = {"timings": (timing,), "error": 0.1} | changes
    return Trial(way or Way("generator", "generator.onnx"), **facts)  # type: ignore[arg-type]


def planning(wait_s: float, threads: int = 1, **changes: object) -> Trial:
    timings = (Timing(40, 1, 1, wait_s / 4, 1.0), Timing(300, 1, 1, wait_s * 3 / 4, 1.0))
    facts = {"timings": timings, "error": 0.0} | changes
    return Trial(Way("plan", "plan.onnx", threads=threads), **facts)  # type: ignore[arg-type]


def reasons(placement: Placement) -> list[str]:
    return [verdict.reason for verdict in placement.verdicts]


def test_without_trials_the_profile_stands() -> None:
    placement = decide([], Limits(), START)
    assert placement.choices == START.choices
    assert placement.source == "profile test"


def test_first_audio_waits_for_a_plan_so_the_shortest_wait_wins() -> None:
    placement = decide([planning(0.100), planning(0.060, threads=2)], Limits(), START)
    assert placement.choices["plan"].way.threads == 2
    assert reasons(placement) == ["1.67 × the winner's time", "fastest"]
    assert placement.choices["generator"] == START.choices["generator"]
    assert placement.source == "measured: 2 ways tried"


def test_what_gains_less_than_the_margin_does_not_win() -> None:
    trials = [planning(0.100), planning(0.093, threads=2)]
    placement = decide(trials, Limits(margin=0.1), START)
    assert placement.choices["plan"].way.threads == 1
    assert reasons(placement) == [
        "simplest within 10% of the fastest",
        "8% faster, not more than 10%, and less simple",
    ]
    assert decide(trials, Limits(margin=0.05), START).choices["plan"].way.threads == 2


def test_the_generator_is_judged_by_its_rate_with_the_longest_window() -> None:
    short, long = Timing(16, 1, 1, 0.01, 9000.0), Timing(48, 1, 1, 0.2, 240.0)
    trial = rendering(1.0, timings=(short, long))
    assert cost_of(trial) == 1 / 240.0


def test_lanes_and_batch_are_those_of_the_best_rate() -> None:
    timings = tuple(
        Timing(48, batch, lanes, 0.1, rate)
        for batch, lanes, rate in [
            (1, 1, 200.0), (1, 2, 260.0), (4, 1, 500.0), (4, 2, 930.0), (8, 2, 1000.0),
        ]
    )  # fmt: skip
    placement = decide([rendering(1.0, timings=timings)], Limits(margin=0.1), START)
    chosen = placement.choices["generator"]
    # A batch of 8 gains 8 % only, and its first window waits for seven others.
    assert (chosen.lanes, chosen.batch_max) == (2, 4)


def test_lower_precision_wins_if_it_is_faster_and_near_enough() -> None:
    int8 = Way("generator", "generator.int8.onnx", precision="int8", distance_db=0.2)
    trials = [rendering(258.0), rendering(520.0, int8, error=0.23)]
    placement = decide(trials, Limits(distance_max_db=0.5), START)
    assert placement.choices["generator"].way.file == "generator.int8.onnx"


def test_lower_precision_that_is_too_far_by_its_makers_word_is_out() -> None:
    int8 = Way("generator", "generator.int8.onnx", precision="int8", distance_db=0.7)
    trials = [rendering(258.0), rendering(520.0, int8, error=0.1)]
    placement = decide(trials, Limits(distance_max_db=0.5), START)
    assert placement.choices["generator"].way.precision == "fp32"
    assert reasons(placement)[1] == "0.70 dB from fp32 by its manifest; 0.5 may be"
    assert placement.verdicts[1].cost == math.inf


def test_what_computes_something_else_here_is_out_however_fast() -> None:
    # Products of int8 saturate on processors without VNNI: the file is good, this machine is not.
    int8 = Way("generator", "generator.int8.onnx", precision="int8", distance_db=0.2)
    trials = [rendering(258.0), rendering(900.0, int8, error=6.1)]
    placement = decide(trials, Limits(), START)
    assert placement.choices["generator"].way.precision == "fp32"
    assert reasons(placement)[1] == "6.10 dB from fp32 on the CPU; 0.5 may be"


def test_an_error_that_is_no_number_is_out() -> None:
    placement = decide([rendering(258.0), rendering(900.0, error=math.nan)], Limits(), START)
    assert [verdict.won for verdict in placement.verdicts] == [True, False]


def test_a_plan_that_rounds_is_let_through_and_one_that_errs_is_not() -> None:
    trials = [planning(0.1), planning(0.01, error=0.005), planning(0.001, error=0.05)]
    placement = decide(trials, Limits(), START)
    assert [verdict.won for verdict in placement.verdicts] == [False, True, False]
    assert reasons(placement)[2] == "differs from fp32 on the CPU by 5.0%; 2% may be"


def test_lower_precision_in_a_plan_may_differ_more() -> None:
    way = Way("plan", "plan.int8.onnx", precision="int8", distance_db=0.1)
    trial = Trial(way, planning(0.05).timings, error=0.05)
    placement = decide([planning(0.1), trial], Limits(), START)
    assert placement.choices["plan"].way.file == "plan.int8.onnx"


def test_a_crash_loses_with_its_reason() -> None:
    gpu = Way("generator", "generator.onnx", provider=CUDA)
    trials = [rendering(258.0), rendering(9999.0, gpu, fault="crashed (SIGSEGV)")]
    placement = decide(trials, Limits(), START)
    assert placement.choices["generator"].way.provider == CPU
    assert reasons(placement) == ["fastest", "crashed (SIGSEGV)"]


def test_what_ended_without_figures_is_out() -> None:
    placement = decide([Trial(Way("plan", "plan.onnx"))], Limits(), START)
    assert reasons(placement) == ["measured nothing"]
    assert placement.choices["plan"] == START.choices["plan"]
    assert placement.source == "profile test"


def test_a_way_says_what_it_is() -> None:
    assert Way("plan", "plan.onnx", threads=4).label == "fp32 CPU × 4"
    gpu = Way("generator", "g", "fp16", CUDA, (("enable_cuda_graph", "1"),))
    assert gpu.label == "fp16 CUDA enable_cuda_graph=1"
