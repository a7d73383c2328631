"""The comparison of policies: its figures, its light listeners, and what it shows in small."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.sim.compare import Finding, Trial, attempt, main, search, table
from tests.sim.crowd import Crowd, crowd
from tests.sim.hardware import FRAMES_PER_TOKEN, HARDWARE, Hardware
from tests.sim.inference import Approach, InferenceEngines, cut
from tests.sim.listeners import answers
from tests.sim.run import simulate
from tests.sim.scenario import CALM, CallerHabits
from tests.sim.world import World

INT8 = HARDWARE["cpu-int8"][0]
FIFO_WHOLE = Approach("fifo")
EDF_WINDOWS = Approach("edf", (16, 28, 48), (28, 48))


@pytest.mark.parametrize(
    ("tokens", "frames", "ms"), [(12, 26, 246), (40, 108, 978), (150, 400, 3657)]
)
def test_one_thread_takes_for_whole_chunks_what_was_measured(
    tokens: int, frames: int, ms: float
) -> None:
    one_thread = HARDWARE["cpu-fp32"][0]
    whole_s = one_thread.plan_s(tokens) + one_thread.render_s(frames)
    assert 1000 * whole_s == pytest.approx(ms, rel=0.01)


def test_a_window_of_int8_takes_what_was_measured() -> None:
    assert 1000 * INT8.render_s(28) == pytest.approx(88, rel=0.03)
    assert INT8.render_s(28, 8) / INT8.render_s(28) == pytest.approx(8 * 11.6 / 11.1)


def test_the_parts_with_two_threads_are_the_measured_ones() -> None:
    two_threads = HARDWARE["cpu-fp32"][1]
    assert 1000 * two_threads.text.at(40) == pytest.approx(40)
    assert 1000 * two_threads.render_s(108) == pytest.approx(400)


def test_chunks_are_cut_into_windows_with_context() -> None:
    shapes = (16, 28, 48)
    assert cut(10, shapes, static=False) == [(10, 10)]
    assert cut(16, shapes, static=False) == [(16, 16)]
    assert cut(100, shapes, static=False) == [(12, 16), (20, 28), (40, 48), (28, 32)]
    assert cut(100, shapes, static=True) == [(12, 16), (20, 28), (40, 48), (28, 48)]
    assert cut(20, shapes, static=True) == [(12, 16), (8, 16)]
    for frames in range(1, 300):
        assert sum(core for core, _ in cut(frames, shapes, static=True)) == frames


def test_answers_are_of_many_lengths() -> None:
    lengths = [len(answer) for answer in answers()]
    assert len(lengths) == 64
    assert min(lengths) < 40
    assert max(lengths) > 500
    # about 3 to 35 seconds
    assert 10 < sum(lengths) / len(lengths) * FRAMES_PER_TOKEN * 0.025 < 25


def test_the_same_seeds_give_the_same_trial() -> None:
    trial = attempt(INT8, EDF_WINDOWS, 6, 1, 40)
    assert trial == attempt(INT8, EDF_WINDOWS, 6, 1, 40)
    assert trial.sessions == 40
    assert 0.3 < trial.utilisation < 0.6


def test_windows_by_deadline_hold_what_whole_chunks_do_not() -> None:
    ours = attempt(INT8, EDF_WINDOWS, 8, 1, 200)
    assert (ours.held, ours.with_gap) == (True, 0)
    assert ours.first_audio_p95_s < 0.3
    whole = attempt(INT8, FIFO_WHOLE, 8, 1, 200, gaps_max=200)
    assert not whole.held
    assert whole.with_gap > 20


def test_the_search_finds_the_edge() -> None:
    trial = search(INT8, EDF_WINDOWS, seeds=1, sessions=100)
    assert trial is not None
    assert 11 <= trial.seats <= 15
    assert search(HARDWARE["cpu-fp32"][0], FIFO_WHOLE, seeds=1, sessions=100) is None


def small_gpu() -> Hardware:
    """The assumed GPU, ten times as slow, so that it is soon full."""
    gpu = HARDWARE["assumed-gpu"][0]
    return replace(
        gpu,
        text=gpu.text.times(10),
        front=gpu.front.times(10),
        generator=gpu.generator.times(10),
    )


def test_where_batching_pays_our_policy_holds_more_than_twice_as_many() -> None:
    windows = Approach("edf", (28, 28, 48), (28, 48))
    assert attempt(small_gpu(), windows, 32, 1, 300).held
    assert not attempt(small_gpu(), FIFO_WHOLE, 14, 1, 300).held


def test_admission_keeps_those_inside_free_of_gaps() -> None:
    def rush(utilisation_max: float | None) -> Crowd:
        return crowd(
            INT8, EDF_WINDOWS, interval_s=2.0, duration_s=400.0, utilisation_max=utilisation_max
        )

    guarded, open_house = rush(0.9), rush(None)
    assert guarded.with_gap == 0
    assert guarded.sessions > 40
    assert guarded.refused > guarded.came / 3
    assert guarded.sessions_at_once > 7
    assert 1 <= guarded.retry_after_s <= 5
    assert open_house.refused == 0
    assert open_house.with_gap > open_house.sessions / 2


def test_a_machine_with_room_refuses_nobody() -> None:
    calm = crowd(INT8, EDF_WINDOWS, interval_s=20.0, duration_s=400.0, utilisation_max=0.9)
    assert (calm.refused, calm.with_gap) == (0, 0)


@pytest.mark.parametrize("seed", [2, 3, 5])  # in 0 and 1 the answers hardly meet
def test_real_sessions_fare_as_the_light_ones_do(seed: int) -> None:
    """The real Session, Pacer, Playout and jitter buffer, over a network, at the same engines."""
    scenario = replace(CALM, sessions=8, habits=CallerHabits(turns=3), duration_s=240.0)

    def worst_gap_s(approach: Approach) -> float:
        def engines(world: World) -> InferenceEngines:
            return InferenceEngines(world, INT8, approach)

        result = simulate(seed, scenario, make_engines=engines)
        assert result.turns_done == 24
        return result.worst_underrun_s

    assert worst_gap_s(EDF_WINDOWS) <= 0.05
    assert worst_gap_s(FIFO_WHOLE) > 0.05


def test_cancelled_and_cut_sessions_leave_nothing_behind() -> None:
    scenario = replace(
        CALM, habits=CallerHabits(cancel_rate=0.7, turns=4), down=replace(CALM.down, cut_after_s=20)
    )
    for seed in range(3):
        simulate(
            seed, scenario, make_engines=lambda world: InferenceEngines(world, INT8, EDF_WINDOWS)
        )


def test_the_table_has_ratios_where_there_is_something_to_compare_with() -> None:
    trial = Trial(13, 2000, 1, True, 0.1391, 0.2292, 0.875)
    alone = replace(trial, seats=1, with_gap=380, sessions=500, held=False)
    ours = Finding("m", "edf, windows (ours)", "2 lanes", (16, 28, 48), 13, trial)
    fifo = Finding("m", "fifo, whole chunks", "2 lanes", (), 5, trial)
    rows = list(table([fifo, ours]))
    assert rows[-1] == (
        "| edf, windows (ours) | 13 | 2.60 × | 1 of 2000 | 88% | 139 / 229 | 2 lanes | 16-28-48 |"
    )
    rows = list(table([replace(fifo, seats=0, trial=alone), ours]))
    assert rows[-2].startswith("| fifo, whole chunks | 0 (of one alone:) | – | 380 of 500 |")
    assert "| 13 | – |" in rows[-1]


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--hardware", "cpu-fp32", "--seeds", "1", "--sessions", "5", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["underrun_s"], printed["share_max"]) == (0.05, 0.001)
    assert printed["held"][0]["approach"] == "fifo, whole chunks"
    assert main(["--hardware", "cpu-fp32", "--seeds", "1", "--sessions", "5"]) == 0
    assert "**cpu-fp32**" in capsys.readouterr().out
