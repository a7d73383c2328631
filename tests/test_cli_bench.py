"""``voice-gateway bench`` on the tiny stand-in: each figure comes with its reference and ratio."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli import bench_startup, main
from gateway.cli.bench_startup import Start, Step
from gateway.engine.kokoro.checksums import CACHE_FILE
from gateway.engine.kokoro.optimised import CACHE_FOLDER

TINY = Path(__file__).parent / "data" / "kokoro-tiny"


@pytest.mark.parametrize(
    "arguments",
    [("first-audio", "--tokens", "20"), ("throughput", "--sessions", "2")],
    ids=lambda arguments: arguments[0],
)
def test_a_figure_comes_with_its_reference_and_says_that_it_is_of_a_stand_in(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments, "--model", str(TINY), "--rounds", "1", "--json"])
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["stand_in"] is True
    for figure in printed["figures"]:
        assert figure["value"] > 0
        assert figure["ratio"] == pytest.approx(figure["value"] / figure["reference"])


def test_a_start_is_measured_step_by_step_and_a_missed_limit_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "tiny"
    shutil.copytree(TINY, model, ignore=shutil.ignore_patterns(CACHE_FILE, CACHE_FOLDER))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_startup, "LIMITS_S", {"cold": 600.0, "restart": 0.001})
    with pytest.raises(SystemExit) as ended:
        main(["bench", "startup", "--model", str(model), "--rounds", "1", "--json"])
    assert ended.value.code == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["stand_in"] is True
    cold, restart = printed["figures"]
    assert (cold["name"], cold["reference"]) == ("cold", 600.0)
    assert 0 < cold["ratio"] < 1 < restart["ratio"]
    for start in printed["starts"]:
        names = [step["name"] for step in start["steps"]]
        assert names[0] == "imports"
        assert names[-1] == "first audio"
        assert {"listening", "verify", "open plan", "open generator", "ready tiny"} <= set(names)
        at = [step["at_s"] for step in start["steps"]]
        assert at == sorted(at)
        took = sum(step["took_s"] for step in start["steps"])
        assert took == pytest.approx(at[-1])
    assert (model / CACHE_FOLDER).is_dir()


def test_a_start_within_its_limit_is_no_failure() -> None:
    steps = (Step("imports", 0.5, 0.5), Step("first audio", 1.5, 1.0))
    assert Start("restart", steps).met
    assert Start("restart", steps).figure.ratio == 0.75
    assert Start("restart", steps).table.splitlines() == [
        "restart:",
        "     0.500 s  imports",
        "     1.000 s  first audio",
    ]
    assert not Start("restart", (Step("first audio", 2.5, 2.5),)).met


def test_a_gateway_that_does_not_speak_gives_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voice-gateway.toml").write_text("[limits]\nsessions_max = 0\n")
    with pytest.raises(SystemExit) as ended:
        main(["bench", "startup", "--model", str(TINY), "--rounds", "1"])
    assert ended.value.code == 1
    assert "did not speak: error: setting limits.sessions_max = 0" in capsys.readouterr().err
