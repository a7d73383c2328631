"""``models export|standin`` as far as they go without PyTorch, and ``bench`` on the tiny model."""

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import bench, models_build
from gateway.cli.bench_kokoro import measure_first_audio, measure_precision
from gateway.cli.bench_sides import Package, Sentence, SymbolReader, symbols_of
from gateway.engine.kokoro.manifest import Graph, Variant, read_manifest, write_manifest
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.symbols import TOKENS
from gateway.errors import InvalidValue, SetupError
from tests.engine.kokoro.onnx_bytes import graph

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
    assert figure["goal"] == "≤ 1.15"
    assert figure["met"] is (figure["ratio"] <= 1.15)
    assert found["of"] == "40 tokens"
    assert 0 < figure["value"] < 10


def test_throughput_is_measured_beside_the_best_batch():
    found = json.loads(run_bench("throughput", "--sessions", "2", "--json"))
    (figure,) = found["figures"]
    assert "batch" in figure["of"]
    assert figure["met"] is (figure["ratio"] >= 0.9)
    assert figure["value"] > 1


def test_figures_of_a_stand_in_say_so():
    text = run_bench("first-audio", "--tokens", "12")
    assert "STAND-IN with random weights" in text
    assert "ratio" in text


def test_a_precision_is_measured_beside_fp32(tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    (graph,) = (each for each in read_manifest(folder).graphs if each.role == "generator")
    variant = Variant(
        file=graph.file,
        bytes=graph.bytes,
        sha256=graph.sha256,
        precision="int8",
        distance_db=0.0,
    )
    manifest = read_manifest(folder).model_copy(update={"variants": {"generator": (variant,)}})
    write_manifest(folder, manifest)
    run = measure_precision(folder, "int8", rounds=1)
    names = [figure.name for figure in run.figures]
    assert names[:3] == [f"generator, {frames} frames, 1 thread" for frames in (20, 28, 48)]
    assert all(figure.ratio == figure.value / figure.reference for figure in run.figures)


def test_a_precision_that_the_model_lacks_says_how_to_make_it():
    with pytest.raises(InvalidValue, match=r"no generator in 'fp16'; .*models quantize"):
        measure_precision(TINY, "fp16", rounds=1)


def test_the_whole_sentence_is_compared_where_the_model_has_it(tmp_path, monkeypatch):
    hide(monkeypatch, "kokoro_onnx")
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    session = graph(tokens="tokens", speech="audio")
    (folder / "whole.onnx").write_bytes(session)
    manifest = read_manifest(folder)
    stored = {
        "file": "whole.onnx",
        "bytes": len(session),
        "sha256": hashlib.sha256(session).hexdigest(),
    }
    whole = Graph(role="whole", precision="fp32", **stored)
    write_manifest(folder, manifest.model_copy(update={"graphs": (*manifest.graphs, whole)}))
    package = Package(open_model(folder), Sentence("a.", "a."))
    package.speak()
    assert package.name == "one session with onnxruntime's defaults"
    figures = measure_first_audio(folder, tokens=12, rounds=1).figures
    assert [figure.goal for figure in figures] == ["≤ 1.15", "≤ 0.2"]


def test_without_espeak_the_sentence_is_given_in_symbols(monkeypatch):
    hide(monkeypatch, "espeakng_loader")
    sentence = Sentence.of(40)
    assert sentence.text == sentence.symbols
    assert sentence.ids.shape == (1, 40)
    reader = sentence.reader()
    reader.start()
    assert reader.read(sentence.text, "").symbols == sentence.symbols
    reader.close()


def test_a_sentence_in_english_has_the_tokens_that_were_asked_for():
    pytest.importorskip("espeakng_loader")
    sentence = Sentence.of(60)
    assert sentence.ids.shape == (1, 60)
    assert sentence.text.endswith(".")
    assert sentence.text != sentence.symbols


@pytest.mark.parametrize("tokens", [3, 40, 150, 510])
def test_sentences_of_any_length_can_be_had(tokens):
    symbols = symbols_of(tokens)
    assert set(symbols) <= set(TOKENS)
    assert SymbolReader().read(symbols, "").input_ids().shape == (1, tokens)
