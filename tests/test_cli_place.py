"""``models place`` and ``doctor --model``: measuring by hand, and saying what won and why."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.engine.kokoro.placement_store import Measured
from gateway.engine.kokoro.placing import placer_of, this_machine
from gateway.engine.placement import CPU, Share, Timing, Trial, Way
from gateway.settings import Settings

TINY = Path(__file__).parent / "data" / "kokoro-tiny"
QUICK = ("--set", "engine.placement.time_limit_s=0.001")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return str(shutil.copytree(TINY, tmp_path / "model"))


def remember(model: str, *trials: Trial) -> None:
    placer = placer_of(Path(model), Settings().engine)
    here = this_machine()
    placer._store.write(Measured("2026-11-23", 0.0, here.hardware, here.onnxruntime, trials))


def test_a_placement_is_shown_with_what_was_tried_and_why_it_lost(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = (Share("CoreMLExecutionProvider", 3, 0.97), Share(CPU, 40, 0.03))
    timings = (Timing(16, 1, 1, 0.1, 160.0), Timing(48, 1, 1, 0.364, 132.0))
    way = Way("generator", "generator.onnx")
    remember(
        model,
        Trial(way, (*timings, Timing(48, 2, 2, 0.4, 242.0)), 0.004, 435 * 2**20, "", shares),
        Trial(replace(way, threads=2), fault="crashed (SIGSEGV)"),
        Trial(Way("plan", "plan.onnx"), (Timing(300, 1, 1, 0.1, 3000.0),), 1e-6),
    )
    code, out, err = run(capsys, "models", "place", model)
    assert (code, err) == (0, "")
    assert "STAND-IN with random weights" in out
    assert "measured: 3 ways tried, 2026-11-23" in out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    shown = "364.0 ms / 48 frames 242 0.00 dB 435 MiB won fastest [CoreML 97% of the time in 3"
    assert any(f"generator fp32 CPU × 1 2 × 2 {shown}" in row for row in rows)
    assert "generator fp32 CPU × 2 out crashed (SIGSEGV)" in rows
    assert "generator: generator.onnx, fp32 CPU × 1, 2 lanes, batches of at most 2" in rows
    _, out, _ = run(capsys, "models", "place", model, "--json")
    facts = json.loads(out)
    assert facts["choices"]["generator"]["lanes"] == 2
    assert [each["won"] for each in facts["tried"]] == [True, True, False]
    assert facts["tried"][2]["cost"] is None


def test_measuring_again_is_reported_on_and_remembered(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(model, Trial(Way("plan", "plan.onnx"), fault="crashed (SIGSEGV)"))
    code, out, err = run(capsys, "models", "place", model, "--again", *QUICK)
    assert code == 0
    assert "SIGSEGV" not in out
    assert err.splitlines()[0].endswith(" inputs")
    assert "generator: fp32 CPU × 1" in err


def test_the_doctor_explains_a_placement(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--model", model, "--set", "server.port=0")
    assert code == 0
    assert f"measure it with: voice-gateway models place {model}" in " ".join(out.split())
    assert "generator: generator.onnx, fp32 CPU × 1" in out
    run(capsys, "models", "place", model, *QUICK)
    code, out, _ = run(capsys, "doctor", "--model", model, "--json", "--set", "server.port=0")
    assert code == 0
    facts = json.loads(out)
    assert facts["placements"][0]["tried"][0]["reason"].startswith("not tried")
    assert facts["checks"][-1]["name"] == "placement of model"


def test_the_doctor_fails_for_what_is_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "doctor", "--model", str(tmp_path / "none"))
    assert code == 1
    assert "there is no model directory" in " ".join(out.split())


def test_a_whole_model_can_not_be_placed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(model) / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["graphs"] = manifest["graphs"][:1]
    file.write_text(json.dumps(manifest))
    code, _, err = run(capsys, "models", "place", model)
    assert code != 0
    assert "has no graph for 'front'" in err
