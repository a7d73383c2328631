import numpy as np
import orjson
import pytest

from loadtest.bootstrap import intervals, percentile_intervals
from loadtest.document import to_html, to_markdown, verdict_lines
from loadtest.histogram import buckets
from loadtest.load_figures import figures_of, generator_problems, lead_over_time
from loadtest.outcome import Fate, Interruption, Silence, SpokenChunk
from loadtest.verdict import Limit, judge, standard_limits, to_json

from .calls import answer, run


def test_first_audio_counts_from_the_clause_to_the_audible_sample() -> None:
    figures = figures_of([run([[answer()]])])

    assert figures["first_audible_from_clause"].samples == pytest.approx([0.1])
    assert figures["first_audible_from_first_token"].samples == pytest.approx([0.6])
    assert figures["first_audio_from_clause"].samples == pytest.approx([0.08])


def test_what_was_not_inside_the_measured_time_does_not_count() -> None:
    early, late = answer(clause_s=4.9), answer(clause_s=35.0)

    assert figures_of([run([[early, late]])])["answers"].value == 0


def test_a_listener_that_waits_in_vain_is_a_latency_too() -> None:
    silent = answer(first_sound_s=None, first_arrival_s=None, audio=(), over_s=13.0, fate=Fate.LEFT)
    brief = answer(first_sound_s=None, first_arrival_s=None, audio=(), over_s=10.5, fate=Fate.CUT)
    figures = figures_of([run([[silent, brief]])])

    assert figures["first_audible_from_clause"].samples == pytest.approx([3.0])


def test_sessions_are_judged_by_their_worst_underrun() -> None:
    lives = [
        [answer()],
        [answer(silences=(Silence(12.0, 0.04, 0, 0.04),))],
        [answer(silences=(Silence(12.0, 0.06, 0, 0.06),))],
        [answer(silences=(Silence(12.0, 3.0, 0, 0.08),))],
        [answer(silences=(Silence(12.0, 3.0, 0, 1.5),))],
    ]
    figures = figures_of([run(lives)])

    assert figures["sessions_without_tear"].value == pytest.approx(3 / 5)
    assert figures["worst_underrun_of_server"].value == pytest.approx(1.5)
    assert figures["underrun"].samples == pytest.approx([0.04, 0.06, 3.0, 3.0])
    assert figures["first_audio_after_stall"].samples == pytest.approx([0.08, 1.5])


def test_interruptions_and_what_was_heard_are_figures() -> None:
    told = Interruption(15.0, 0, 48_000, True, 15.02, 15.1, 0, 0)
    guessed = Interruption(15.0, 0, 48_000, False, None, 15.1, 2, 900)
    figures = figures_of([run([[answer(interruption=told)], [answer(interruption=guessed)]])])

    assert figures["interruption_to_last_frame"].samples == pytest.approx([0.02, 0.0])
    assert figures["interruption_to_last_audible"].samples == pytest.approx([0.1, 0.1])
    assert figures["heard_word_error_told"].samples == pytest.approx([0.0])
    assert figures["heard_word_error_modelled"].samples == pytest.approx([2.0])


def test_audio_per_second_is_over_the_whole_run() -> None:
    figures = figures_of([run([[answer(received_samples=48_000 * 7)]])])

    assert figures["audio_s_per_s"].value == pytest.approx(0.2)


def test_gaps_come_from_answers_that_were_kept_whole() -> None:
    tone = np.full(480, 8000, "<i2").tobytes()
    silence = bytes(960)
    chunks = (SpokenChunk(0, 5, 0), SpokenChunk(5, 9, 960))
    kept = answer(whole=True, audio=(tone, silence, tone), chunks=chunks)
    figures = figures_of([run([[kept]])])

    assert figures["gap_between_sentences"].samples == pytest.approx([0.02])


def test_a_late_generator_makes_a_run_invalid() -> None:
    assert generator_problems([run([[answer()]], lateness_s=[0.019] * 100)]) == []
    (problem,) = generator_problems([run([[answer()]], lateness_s=[0.001] * 98 + [0.5] * 2)])
    assert "late by 500.0 ms" in problem


def test_the_lead_over_time_is_the_listeners_median_and_least() -> None:
    lead = ((12.1, 48_000), (12.3, 24_000), (12.9, 96_000), (13.0, 4800))

    assert lead_over_time([run([[answer(lead=lead)]])]) == [(12.0, 1.0, 0.5), (13.0, 0.1, 0.1)]


def test_an_interval_is_as_wide_as_the_runs_differ() -> None:
    alike = [np.asarray([1.0, 2.0, 3.0])] * 5
    different = [np.asarray([float(n)] * 3) for n in range(1, 6)]

    same, wide = (percentile_intervals(of, [50.0])[50.0] for of in (alike, different))
    assert (same.value, same.low, same.high) == (2.0, 2.0, 2.0)
    assert (wide.value, wide.low) == (3.0, 1.0)
    assert 4.0 <= wide.high <= 5.0


def test_the_interval_of_a_mean_covers_it_in_most_of_many_trials() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(60):
        clusters = list(random.normal(10, 1, (20, 5)))
        (found,) = intervals(clusters, [lambda v: float(v.mean())], trial)
        covered += found.low <= 10 <= found.high
    assert covered >= 50


def test_histogram_buckets_are_within_five_percent() -> None:
    values = np.asarray([0.00001, 0.0100, 0.0101, 2.0, 9999.0])
    found = buckets(values)

    assert sum(count for _, count in found) == 5
    assert found[0] == (pytest.approx(1e-4), 1)
    assert [bound for bound, _ in found] == sorted(bound for bound, _ in found)
    above = [bound for bound, _ in found if 2.0 <= bound <= 2.0 * 1.05]
    assert len(above) == 1
    assert buckets(np.zeros(0)) == []


def test_limits_hold_or_are_missed() -> None:
    good = judge("here", [run([[answer()]] * 3)], standard_limits())
    bad = judge("here", [run([[answer(fate=Fate.FAILED, error="no audio")]])], standard_limits())
    silent = judge("here", [run([[]])], [Limit("x", "first_audible_from_clause", 95, 1.0)])

    assert good.held
    assert good.valid
    assert [one.held for one in bad.checked] == [True, True, False]
    assert not silent.held
    assert "error    no audio: 1" in verdict_lines(bad)


def test_the_file_has_what_programs_compare() -> None:
    result = judge("here", [run([[answer()], [answer()]])] * 3, standard_limits())
    written = orjson.loads(to_json(result))

    assert written["machine"] == "here"
    assert written["clusters"] == "runs"
    assert [run["figures"]["error_rate"]["value"] for run in written["runs"]] == [0.0] * 3
    assert written["runs"][0]["figures"]["first_audible_from_clause_p95"] == {
        "unit": "s",
        "better": "lower",
        "value": pytest.approx(0.1),
    }
    assert {figure["better"] for figure in written["figures"].values()} == {"lower", "higher"}
    assert written["circumstances"]["sessions"]["value"] == 6
    assert written["figures"]["error_rate"] == {"unit": "", "better": "lower", "value": 0.0}
    first = written["figures"]["first_audible_from_clause"]
    assert (first["unit"], first["better"], len(first["samples"])) == ("s", "lower", 6)
    assert first["p95"] == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})
    assert [limit["held"] for limit in written["limits"]] == [True, True, True]


def test_the_report_has_tables_and_plots() -> None:
    torn = answer(silences=(Silence(12.0, 0.3, 96_000, 0.3),), lead=((11.0, 480), (12.0, 960)))
    result = judge("<here>", [run([[torn], [answer()]])], standard_limits())
    page, text = to_html(result), to_markdown(result)

    assert page.count("<svg") == 3
    assert "&lt;here&gt;" in page
    assert "<title>underrun</title>" in page
    assert "| first audible from clause, ms | 2 | 100.0 (100.0–100.0)" in text
    assert "MISSED  sessions without an underrun over 50 ms: 0.5, limit >= 0.999" in text


def test_a_run_in_which_nobody_was_heard_has_a_report_too() -> None:
    waiting = answer(first_sound_s=None, first_arrival_s=None, audio=(), fate=Fate.LEFT)

    assert "<svg" in to_html(judge("", [run([[waiting]])], standard_limits()))
    assert "<svg" not in to_html(judge("", [run([[]])], standard_limits()))
