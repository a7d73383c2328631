"""Opening ONNX graphs, and which published contract one follows."""

import pytest

from gateway.engine.kokoro.contracts import WholeContract, whole_contract
from gateway.engine.kokoro.runtime import TensorInfo, inspect, open_session
from gateway.errors import SetupError
from tests.engine.kokoro.onnx_bytes import FLOAT, INT32, graph


def write(tmp_path, **changes):
    file = tmp_path / "model.onnx"
    file.write_bytes(graph(**changes))
    return file


def test_inputs_outputs_and_metadata_are_told(tmp_path):
    info = inspect(write(tmp_path, metadata=(("kokoro_config", "{}"),)))
    assert info.inputs == (
        TensorInfo("input_ids", "int64", (1, None)),
        TensorInfo("style", "float32", (1, 256)),
        TensorInfo("speed", "float32", (1,)),
    )
    assert info.outputs == (TensorInfo("waveform", "float32", (1, None)),)
    assert info.metadata == {"kokoro_config": "{}"}


@pytest.mark.parametrize(
    ("changes", "contract"),
    [
        # onnx-community
        ({}, ("input_ids", "waveform", None, "float32")),
        ({"durations": "durations"}, ("input_ids", "waveform", "durations", "float32")),
        # kokoro-onnx 1.0, 1.1, 1.1-zh
        ({"tokens": "tokens", "speech": "audio"}, ("tokens", "audio", None, "float32")),
        ({"durations": "duration"}, ("input_ids", "waveform", "duration", "float32")),
        ({"speed_type": INT32}, ("input_ids", "waveform", None, "int32")),
    ],
)
def test_each_published_contract_is_recognised(tmp_path, changes, contract):
    tokens, speech, durations, speed_type = contract
    assert whole_contract(inspect(write(tmp_path, **changes)), "it") == WholeContract(
        tokens=tokens,
        style="style",
        speed="speed",
        speech=speech,
        durations=durations,
        tokens_type="int64",
        style_type="float32",
        speed_type=speed_type,
    )


@pytest.mark.parametrize(
    "changes",
    [{"tokens": "text"}, {"speech": "mel"}, {"speed": "length_scale"}],
)
def test_another_contract_is_refused_with_what_it_is(tmp_path, changes):
    (other,) = changes.values()
    with pytest.raises(SetupError, match=f"piper.onnx is not a whole Kokoro graph: .*{other}"):
        whole_contract(inspect(write(tmp_path, **changes)), "piper.onnx")


def test_another_size_of_styles_is_another_model(tmp_path):
    file = write(tmp_path, style=("style", FLOAT, (1, 128)))
    with pytest.raises(SetupError, match=r"style of shape \[1, 128\] instead of \[1, 256\]"):
        whole_contract(inspect(file), "it")


def test_a_graph_computes(tmp_path):
    session = open_session(write(tmp_path))
    inputs = {"input_ids": [[0, 5, 0]], "style": [[0.0] * 256], "speed": [2.0]}
    import numpy as np

    arrays = {
        name: np.array(value, np.int64 if name == "input_ids" else np.float32)
        for name, value in inputs.items()
    }
    (speech,) = session.run(["waveform"], arrays)
    assert speech.tolist() == [[0, 10, 0]]


def test_a_truncated_graph_is_refused_with_onnxruntimes_reason(tmp_path):
    file = write(tmp_path)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(SetupError, match=r"onnxruntime can't open .*model.onnx .*cut short"):
        inspect(file)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 10, bytes(1000)])
def test_what_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(SetupError, match="onnxruntime can't open"):
        inspect(tmp_path / "model.onnx")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"there is no model file .*none.onnx"):
        inspect(tmp_path / "none.onnx")
