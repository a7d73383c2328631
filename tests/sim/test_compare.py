"""The comparison of policies: its figures, its light listeners, and what it shows in small."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.engine.kokoro.windows import WindowSizes
from gateway.settings import LimitSettings, Settings
from tests.sim.compare import BASELINE, Finding, Trial, attempt, main, plot, search, table
from tests.sim.crowd import Crowd, crowd
from tests.sim.hardware import FRAMES_PER_TOKEN, HARDWARE, IMAGINED_BATCHING
from tests.sim.inference import Approach, InferenceEngines
from tests.sim.listeners import answers
from tests.sim.run import simulate
from tests.sim.scenario import CALM, CallerHabits
from tests.sim.world import World

INT8 = HARDWARE["cpu-int8"][0]
FIFO_WHOLE = Approach("fifo")
FIFO_WHOLE_PATIENT = Approach("fifo", prebuffer_s=2.0)
EDF_WINDOWS = Approach("edf", WindowSizes())


def test_the_curves_are_those_that_were_measured() -> None:
    one_thread, two_threads = HARDWARE["cpu-fp32"]
    assert (one_thread.lanes, two_threads.lanes) == (2, 1)
    assert one_thread.render_s(50) == 0.361
    assert two_threads.render_s(50) == 0.2071
    assert one_thread.plan_s(40) == 0.1116
    assert one_thread.render_s((50 + 122) / 2) == pytest.approx((0.361 + 0.8949) / 2)
    assert one_thread.render_s(2 * 453) == pytest.approx(2 * 3.6834)
    assert one_thread.render_s(3) == 0.1288
    assert 0.9 < min(one_thread.spread) < 1 < max(one_thread.spread) < 1.2


def test_int8_scales_what_was_measured_in_fp32() -> None:
    fp32, int8 = HARDWARE["cpu-fp32"][0], HARDWARE["cpu-int8"][0]
    assert int8.render_s(28) == pytest.approx(fp32.render_s(28) * 88 / 223)
    # 40 of 61.6 ms are the text part, which takes 29/62 of its time; the rest stays
    assert int8.plan_s(40) == pytest.approx(fp32.plan_s(40) * (21.6 + 40 * 29 / 62) / 61.6)


def test_answers_are_of_many_lengths() -> None:
    lengths = [len(answer) for answer in answers()]
    assert len(lengths) == 64
    assert min(lengths) < 40
    assert max(lengths) > 500
    # about 3 to 35 seconds
    assert 10 < sum(lengths) / len(lengths) * FRAMES_PER_TOKEN * 0.025 < 25


def test_the_same_seeds_give_the_same_trial() -> None:
    trial = attempt(INT8, EDF_WINDOWS, 7, 1, 40)
    assert trial == attempt(INT8, EDF_WINDOWS, 7, 1, 40)
    assert trial.sessions == 40
    assert 0.3 < trial.utilisation < 0.6


def test_windows_by_deadline_hold_twice_the_sessions_of_whole_chunks() -> None:
    ours = attempt(INT8, EDF_WINDOWS, 12, 1, 300)
    assert (ours.held, ours.with_gap) == (True, 0)
    assert ours.first_audio_p95_s < 0.3
    # half as many, and though their listeners wait for two seconds
    whole = attempt(INT8, FIFO_WHOLE_PATIENT, 8, 1, 300, gaps_max=300)
    assert not whole.held
    assert whole.first_audio_p50_s > 2.0


def test_whole_chunks_without_prebuffer_leave_gaps_though_nobody_else_is_there() -> None:
    alone = attempt(INT8, FIFO_WHOLE, 1, 1, 200, gaps_max=200)
    assert not alone.held
    assert alone.utilisation < 0.15


def test_windows_that_double_speak_on_a_core_that_takes_8_ms_for_a_frame() -> None:
    slow = HARDWARE["cpu-fp32"][0]
    assert attempt(slow, EDF_WINDOWS, 1, 1, 100).held
    jumping = replace(slow, equal_windows=True)  # 12 frames, then 40 at once
    assert not attempt(jumping, EDF_WINDOWS, 1, 1, 100).held


def test_one_call_in_five_hundred_may_take_twice_as_long() -> None:
    hiccups = replace(INT8, spread=(*([1.0] * 499), 2.0))
    assert attempt(hiccups, EDF_WINDOWS, 10, 1, 300).held


def test_the_search_finds_the_edge() -> None:
    trial = search(INT8, EDF_WINDOWS, seeds=1, sessions=100)
    assert trial is not None
    assert 13 <= trial.seats <= 17
    assert search(HARDWARE["cpu-fp32"][0], FIFO_WHOLE, seeds=1, sessions=100) is None


def test_where_batching_pays_it_is_what_holds_the_sessions() -> None:
    ours = attempt(IMAGINED_BATCHING, EDF_WINDOWS, 32, 1, 300)
    assert ours.held
    assert ours.first_audio_p95_s < 0.4
    one_by_one = replace(IMAGINED_BATCHING, batch_max=1)
    assert not attempt(one_by_one, EDF_WINDOWS, 24, 1, 300).held
    assert not attempt(IMAGINED_BATCHING, FIFO_WHOLE_PATIENT, 32, 1, 300).held


def overload(**options: float) -> Crowd:
    """Twice as many clients as the machine can hold, unless the options say otherwise."""
    settings = {"interval_s": 2.0, "duration_s": 400.0, "utilisation_max": 0.9, **options}
    return crowd(INT8, EDF_WINDOWS, **settings)  # type: ignore[arg-type]


def test_admission_keeps_those_inside_free_of_gaps() -> None:
    guarded = overload()
    assert guarded.with_gap == 0
    assert guarded.sessions > 40
    assert guarded.refused > guarded.came / 3
    assert guarded.sessions_at_once > 7
    assert 1 <= guarded.retry_after_s <= 10
    open_house = crowd(INT8, EDF_WINDOWS, interval_s=2.0, duration_s=400.0, utilisation_max=None)
    assert open_house.refused == 0
    assert open_house.with_gap > open_house.sessions / 2


def test_who_is_refused_and_comes_back_when_told_is_let_in_after_some_tries() -> None:
    back = overload(interval_s=4.0, tries=10)
    assert back.with_gap == 0
    assert back.asked < 4
    assert back.sessions_at_once > 7


@pytest.mark.parametrize("seed", range(4))
def test_sixty_who_come_at_once_find_an_idle_machine_and_it_keeps_its_promise(seed: int) -> None:
    rush = overload(interval_s=30.0, duration_s=300.0, rush=60, seed=seed)
    assert rush.with_gap == 0
    assert rush.refused > 45


def test_a_machine_with_room_refuses_nobody() -> None:
    calm = overload(interval_s=20.0)
    assert (calm.refused, calm.with_gap) == (0, 0)


PINNED = Settings(limits=LimitSettings(queued_audio_s_max=3.0))
"""The light listeners ask 3 s ahead; the real ones would learn to ask earlier."""


def test_real_sessions_fare_as_the_light_ones_do() -> None:
    """The real Session, Pacer, Playout and jitter buffer, over a network, at the same engines."""
    scenario = replace(CALM, sessions=8, habits=CallerHabits(turns=3), duration_s=240.0)

    def worst_gap_s(approach: Approach, seed: int) -> float:
        def engines(world: World) -> InferenceEngines:
            return InferenceEngines(world, INT8, approach)

        result = simulate(seed, scenario, PINNED, make_engines=engines)
        assert result.turns_done == 24
        return result.worst_underrun_s

    assert max(worst_gap_s(EDF_WINDOWS, seed) for seed in range(3)) <= 0.05
    assert max(worst_gap_s(FIFO_WHOLE, seed) for seed in range(3)) > 0.05


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
    ours = Finding("m", "edf, windows (ours)", "2 lanes", (12, 24, 40), 13, trial)
    fifo = Finding("m", BASELINE, "2 lanes", (), 5, trial)
    rows = list(table([fifo, ours]))
    assert rows[-1] == (
        "| edf, windows (ours) | 13 | 2.60 × | 1 of 2000 | 88% | 139 / 229 | 2 lanes | 12-24-40 |"
    )
    rows = list(table([replace(fifo, seats=0, trial=alone), ours]))
    assert rows[-2].startswith(f"| {BASELINE} | 0 (of one alone:) | – | 380 of 500 |")
    assert "| 13 | – |" in rows[-1]


def test_the_plot_has_a_mark_for_each_session_or_for_each_few() -> None:
    trial = Trial(15, 1000, 0, True, 0.15, 0.23, 0.9)
    ours = Finding("m", "ours", "2 lanes", (12, 24, 40), 6, trial)
    rows = [ours, replace(ours, approach="theirs", seats=0)]
    assert list(plot(rows)) == ["\nm", "  ours    ██████ 6", "  theirs   0"]
    assert list(plot([replace(ours, seats=120)]))[1].count("█") == 60


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--hardware", "cpu-fp32", "--seeds", "1", "--sessions", "5", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["underrun_s"], printed["share_max"]) == (0.05, 0.001)
    assert printed["held"][0]["approach"] == "fifo, whole chunks"
