"""``models export|standin`` as far as they go without PyTorch, and ``bench`` on the tiny model."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import bench, models_build
from gateway.cli.bench_kokoro import SymbolReader, symbols_of
from gateway.engine.kokoro.symbols import TOKENS
from gateway.errors import SetupError

TINY = Path(__file__).parent / "data" / "kokoro-tiny"


def run_bench(*arguments: str) -> str:
    result = CliRunner().invoke(bench.app, [*arguments, "--model", str(TINY), "--rounds", "1"])
    assert result.exit_code == 0, result.output
    return result.stdout


def hide(monkeypatch, *names: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name)
    )


def test_a_stand_in_needs_the_extra(monkeypatch, tmp_path):
    hide(monkeypatch, "torch", "kokoro", "onnx")
    with pytest.raises(SetupError, match=r"torch and kokoro and onnx .*voice-gateway\[export\]"):
        models_build.standin(out=tmp_path)


def test_an_export_needs_the_extra(monkeypatch, tmp_path):
    hide(monkeypatch, "kokoro", "onnx", "torch")
    with pytest.raises(SetupError, match=r"reference code; torch and kokoro"):
        models_build.export(tmp_path / "k.pth", tmp_path / "config.json", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_first_audio_is_measured_beside_bare_onnxruntime():
    found = json.loads(run_bench("first-audio", "--tokens", "40", "--json"))
    assert found["stand_in"] is True
    (figure,) = found["figures"]
    assert figure["ratio"] == figure["value"] / figure["reference"]
    assert 0 < figure["value"] < 10


def test_throughput_is_measured_beside_the_best_batch():
    found = json.loads(run_bench("throughput", "--sessions", "2", "--json"))
    (figure,) = found["figures"]
    assert "batch" in figure["of"]
    assert figure["value"] > 1


def test_figures_of_a_stand_in_say_so():
    text = run_bench("first-audio", "--tokens", "12")
    assert "STAND-IN with random weights" in text
    assert "ratio" in text


@pytest.mark.parametrize("tokens", [3, 40, 150, 510])
def test_sentences_of_any_length_can_be_had(tokens):
    symbols = symbols_of(tokens)
    assert set(symbols) <= set(TOKENS)
    assert SymbolReader().read(symbols, "").input_ids().shape == (1, tokens)
