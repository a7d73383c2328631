"""What the exporter made (the tiny stand-in), and what becomes of models that are not in order.

The exporter itself needs PyTorch; ``python -m gateway.engine.kokoro.export.verify`` tests it.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.kokoro.engine import KokoroEngine
from gateway.engine.kokoro.export.fidelity import SIZES, Distance, measure
from gateway.engine.kokoro.graphs import SplitGraphs
from gateway.engine.kokoro.phrases import CALIBRATION, HELD_OUT, tokens_of
from gateway.engine.kokoro.spectrum import log_mel
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.symbols import TOKENS
from gateway.errors import SetupError
from tests.engine.kokoro.spelling import SpellingReader

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"
MEBIBYTE = 2**20


def edit(folder: Path, change) -> None:
    """Change the manifest, and make sizes and checksums right again."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    for stored in (*manifest["graphs"], *manifest["voices"]):
        data = (folder / stored["file"]).read_bytes()
        stored |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    file.write_text(json.dumps(manifest))


def graph_of(manifest: dict, role: str) -> dict:
    return next(graph for graph in manifest["graphs"] if graph["role"] == role)


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def start(folder: Path) -> None:
    KokoroEngine(folder, SpellingReader()).start()


def test_the_tiny_stand_in_is_small_and_says_what_it_is():
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 5 * MEBIBYTE
    model = open_model(TINY)
    assert model.manifest.stand_in
    assert {graph.role for graph in model.manifest.graphs} == {
        "plan",
        "front",
        "source",
        "generator",
    }
    assert model.voices.names == ("af_alpha", "af_beta", "am_delta", "am_gamma")


def test_phrases_have_tokens_and_the_groups_share_none():
    assert all(symbol in TOKENS for phrase in (*CALIBRATION, *HELD_OUT) for symbol in phrase)
    assert not set(CALIBRATION) & set(HELD_OUT)
    assert tokens_of("a.").tolist() == [[0, 43, 4, 0]]


def test_without_pytorch_the_command_says_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from gateway.cli.models_build import standin\n"
        f"standin(out=__import__('pathlib').Path({str(tmp_path)!r}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    assert "pip install 'voice-gateway[export]'" in run.stderr


def test_a_truncated_graph_is_refused(copy):
    file = copy / "generator.onnx"
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(SetupError, match=r"generator\.onnx has 100000 bytes instead of"):
        start(copy)


def test_a_graph_that_is_truncated_and_signed_so_is_refused(copy):
    file = copy / "generator.onnx"
    file.write_bytes(file.read_bytes()[:100_000])
    edit(copy, lambda manifest: None)
    with pytest.raises(SetupError, match=r"onnxruntime can't open .*generator\.onnx"):
        start(copy)


def test_a_changed_byte_is_found(copy):
    file = copy / "plan.onnx"
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)
    with pytest.raises(SetupError, match=r"plan\.onnx is damaged or another file"):
        start(copy)


def test_a_graph_in_the_place_of_another_is_refused_by_its_inputs(copy):
    shutil.copy(copy / "source.onnx", copy / "front.onnx")
    edit(copy, lambda manifest: None)
    with pytest.raises(SetupError, match=r"not the graph 'front'.*f0, noise, phase0"):
        start(copy)


def test_a_model_without_a_role_is_refused(copy):
    edit(copy, lambda manifest: manifest["graphs"].remove(graph_of(manifest, "front")))
    with pytest.raises(SetupError, match="has no graph for 'front'"):
        start(copy)


def test_damaged_statistics_are_refused(copy):
    (copy / "statistics.npz").write_bytes(b"nothing")
    with pytest.raises(SetupError, match=r"statistics\.npz is damaged"):
        start(copy)


def test_missing_statistics_are_refused(copy):
    (copy / "statistics.npz").unlink()
    with pytest.raises(SetupError, match=r"statistics in .* can't be read"):
        start(copy)


def test_statistics_of_another_size_are_refused(copy):
    file = copy / "statistics.npz"
    np.savez(file, af_alpha=np.zeros((2, 5), np.float32))

    def sign(manifest: dict) -> None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        size = file.stat().st_size
        details = {"statistics": {"file": file.name, "bytes": size, "sha256": digest}}
        graph_of(manifest, "generator")["details"] = details

    edit(copy, sign)
    with pytest.raises(SetupError, match=r"shape \[2, 5\] instead of \[2, 288\]"):
        start(copy)


def test_a_model_without_statistics_carries_them_instead(copy):
    edit(copy, lambda manifest: graph_of(manifest, "generator").pop("details"))
    start(copy)
    graphs = SplitGraphs.open(open_model(copy), plan_threads=1, render_threads=1)
    assert graphs.prior("af_alpha", 40.0) is None


def test_the_prior_of_a_mix_is_the_mix_of_the_priors():
    graphs = SplitGraphs.open(open_model(TINY), plan_threads=1, render_threads=1)
    alpha, gamma = (graphs.prior(name, 40.0) for name in ("af_alpha", "am_gamma"))
    mixed = graphs.prior("af_alpha*0.25+am_gamma*0.75", 40.0)
    assert np.allclose(mixed.mean, 0.25 * alpha.mean + 0.75 * gamma.mean, atol=1e-5)
    assert mixed.frames == 40.0


def test_fidelity_ranks_the_methods_as_it_should():
    model = open_model(TINY)
    graphs = SplitGraphs.open(model, plan_threads=1, render_threads=1)
    found = {each.method: each for each in measure(model, graphs, SIZES[1:], voices_max=1)}

    def at(method: str) -> Distance:
        return found[f"{method}, 12 then 40 + 2 × 4"]

    assert at("oracle").gap <= 1e-4
    assert at("blended (prior 160)").lsd_db < at("carried").lsd_db < at("local").lsd_db
    assert at("local").lsd_db < found["reseeded, whole"].lsd_db


def test_a_tone_lies_in_its_mel_band():
    time = np.arange(24_000) / 24_000
    mels = log_mel(np.sin(2 * np.pi * 1000 * time).astype(np.float32))
    assert mels.shape == (90, 80)
    assert mels.mean(0).argmax() == 24
