"""Lead against underruns, and clocks that differ: what is promised, in small."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.sim import drift
from tests.sim.leads import OURS, Row, main, measure, panels, plot, quantile, table
from tests.sim.open_loop import listen
from tests.sim.plan import draw
from tests.sim.run import play
from tests.sim.scenario import CALM, CallerHabits

SEEDS = range(2)


def test_on_a_calm_network_nobody_hears_a_gap() -> None:
    ours = measure("calm", None, SEEDS)
    assert (ours.sessions, ours.torn, ours.worst_gap_ms) == (16, 0, 0.0)


def test_a_fixed_lead_that_is_shorter_than_the_stalls_tears() -> None:
    short, long = measure("wifi", 0.1, SEEDS), measure("wifi", 0.8, SEEDS)
    assert short.torn > 4
    assert long.torn == 0
    assert 80 < short.lead_p50_ms < 300
    assert long.lead_p50_ms == pytest.approx(785, abs=20)


def test_on_a_wifi_ours_tears_less_than_a_fixed_lead_that_costs_as_much() -> None:
    """64 sessions: a fixed 300 ms tears one in a hundred, a fixed 250 ms one in eight."""
    ours = measure("wifi", None, range(8))
    short, equal = measure("wifi", 0.25, range(8)), measure("wifi", 0.35, range(8))
    assert ours.torn == 0
    assert short.torn >= 4
    assert ours.lead_p50_ms < equal.lead_p50_ms + 20


def test_over_tcp_that_stalls_ours_is_better_than_a_fixed_lead_of_its_first_length() -> None:
    ours = measure("stalled-tcp", None, SEEDS)
    start = measure("stalled-tcp", Settings().pacing.lead_start_s, SEEDS)
    assert ours.torn < start.torn


def test_a_device_that_takes_much_at_a_time_costs_lead_by_its_callback_only() -> None:
    """A callback of 100 ms: the lead is longer by that, not by what its jitter would sum up to."""

    def median_s(player: str) -> float:
        plan = draw(3, replace(CALM, habits=CallerHabits(players=(player,), sentences_max=12)))
        _, callers, _ = play(plan)
        leads = sorted(lead for caller in callers for _, lead in caller.leads.samples)
        return leads[len(leads) // 2]

    assert 0.0 < median_s("bursty") - median_s("ideal") < 0.2


def test_the_open_loop_agrees_with_a_real_session_whose_listener_is_silent() -> None:
    """Same plan, calm network: neither tears, and the true lead is the same to one message."""
    plan = draw(2, replace(CALM, habits=CallerHabits(players=("silent",), sentences_max=12)))
    _, callers, _ = play(plan)
    real = sorted(lead for caller in callers for _, lead in caller.leads.samples)
    lead_s = real[len(real) // 2]
    outcomes = listen(plan, lead_s)
    light = sorted(lead for outcome in outcomes for _, lead in outcome.leads)
    assert light[len(light) // 2] == pytest.approx(lead_s, abs=0.06)
    assert max(outcome.worst_gap_s for outcome in outcomes) == 0.0


def test_quantiles_of_counts() -> None:
    counts = Counter({10: 5, 20: 4, 30: 1})
    assert [quantile(counts, share) for share in (0.0, 0.5, 0.51, 0.9, 1.0)] == [10, 10, 20, 20, 30]
    with pytest.raises(ValueError, match="nothing was counted"):
        quantile({}, 0.5)


ROWS = [
    Row("wifi", OURS, 1000, 1, 61.0, 240, 380),
    Row("wifi", "fixed 100 ms", 1000, 600, 226.0, 139, 305),
    Row("wifi", "fixed 400 ms", 1000, 0, 0.0, 414, 465),
]


def test_the_table_has_a_line_for_each_pacer() -> None:
    lines = list(table(ROWS))
    assert lines[2] == "| wifi | adaptive (ours) | 1000 | 1 (0.10%) | 61 | 240 / 380 |"
    assert len(lines) == 5


def test_the_figure_is_svg_with_a_place_for_zero() -> None:
    (panel,) = panels(ROWS)
    assert [point.y for point in panel.line] == [60.0, 0.0]
    assert [(point.x, point.y) for point in panel.marks] == [(240, 0.1)]
    drawing = ET.fromstring(plot(ROWS))
    name = "{http://www.w3.org/2000/svg}"
    assert drawing.tag == f"{name}svg"
    dots = [float(dot.attrib["cy"]) for dot in drawing.iter(f"{name}circle")][1:]
    assert dots[1] == max(dots), "0 is at the bottom"
    texts = [text.text for text in drawing.iter(f"{name}text")]
    assert "wifi (1000 sessions each)" in texts


def test_the_command_prints_a_table_or_json_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg = tmp_path / "img" / "leads.svg"
    assert main(["--network", "calm", "--sessions", "1", "--svg", str(svg)]) == 0
    assert "| calm | adaptive (ours) | 8 | 0 (0.00%)" in capsys.readouterr().out
    assert svg.read_text().startswith("<svg")
    assert main(["--network", "calm", "--sessions", "1", "--jobs", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["pacer"] == OURS


# ── clocks ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_clocks_that_differ_neither_tear_nor_delay_a_listener_that_reports(ppm: float) -> None:
    """Ten minutes at 500 ppm drift by 0.3 s, several times what the listener holds."""
    steady = drift.measure(600.0, ppm)
    assert steady.speech_s > 590
    assert steady.steady, steady


def test_a_listener_that_never_reports_shows_that_this_test_can_fail() -> None:
    """A slow clock piles up 0.5 s of audio between the first and the last minute."""
    slow = drift.measure(360.0, -2000.0, reports=False)
    assert slow.grown_ms > 200
    fast = drift.measure(360.0, 2000.0, reports=False)
    assert fast.underruns > 0


def test_a_gap_or_a_trend_is_not_steady() -> None:
    good = drift.Drift(200.0, True, 3600.0, 0, 0.0, 150.0, 160.0, 300.0)
    assert good.steady
    assert not replace(good, underruns=1).steady
    assert not replace(good, lead_last_ms=171.0).steady


def test_the_drift_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.main(["--minutes", "2"]) == 0
    assert "| -200 ppm | yes |" in capsys.readouterr().out
    assert drift.main(["--minutes", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
