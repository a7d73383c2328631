"""Graphs in lower precision: made from the tiny stand-in, measured, listed, verified.

Those who only read variants need no ``onnx``; the quantiser does.
"""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.cli import models_build
from gateway.cli.models import describe
from gateway.engine.kokoro.manifest import Variant, read_manifest, write_manifest
from gateway.engine.kokoro.store import open_model
from gateway.errors import InvalidValue, SetupError

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def list_variant(folder: Path, **changes) -> None:
    """Enter the model's own generator as a variant."""
    data = (folder / "generator.onnx").read_bytes()
    (folder / "generator.int8.onnx").write_bytes(data)
    facts = {
        "file": "generator.int8.onnx",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "precision": "int8",
        "distance_db": 0.2,
    }
    variant = Variant.model_validate(facts | changes)
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"variants": {"generator": (variant,)}}))


# ── reading ────────────────────────────────────────────────────────────────────────────────────


def test_a_model_without_variants_has_none():
    assert read_manifest(TINY).variants == {}


def test_variants_are_read_as_they_were_written(copy):
    list_variant(copy)
    (variant,) = open_model(copy).manifest.variants["generator"]
    assert (variant.file, variant.precision, variant.distance_db) == (
        "generator.int8.onnx",
        "int8",
        0.2,
    )
    assert describe(copy)["variants"] == [
        {
            "role": "generator",
            "file": "generator.int8.onnx",
            "precision": "int8",
            "distance_db": 0.2,
        }
    ]


def test_a_damaged_variant_is_found(copy):
    list_variant(copy, sha256="0" * 64)
    with pytest.raises(SetupError, match=r"generator\.int8\.onnx is damaged"):
        open_model(copy)


@pytest.mark.parametrize(
    "wrong", [{"distance_db": -1}, {"distance_db": float("nan")}, {"precision": "int4"}]
)
def test_a_variant_that_cannot_be_is_refused(copy, wrong):
    with pytest.raises(ValidationError):
        list_variant(copy, **wrong)


# ── the command ────────────────────────────────────────────────────────────────────────────────


def test_there_is_no_file_in_bf16():
    with pytest.raises(InvalidValue, match=r"no bf16 convolution.*use int8"):
        models_build.quantize(TINY, "bf16")


def test_an_unknown_precision_is_refused():
    with pytest.raises(InvalidValue, match="'int4' is none of int8, fp16"):
        models_build.quantize(TINY, "int4")


def test_without_onnx_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(models_build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"onnx is not installed: .*voice-gateway\[export\]"):
        models_build.quantize(TINY)


# ── writing ────────────────────────────────────────────────────────────────────────────────────


def quantize(folder: Path, precision: str):
    pytest.importorskip("onnx")
    from gateway.engine.kokoro.export import quantize as module

    return module.quantize(folder, precision, lambda what: None, voices_max=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model with all its variants, and what was said of each by (role, precision)."""
    folder = Path(shutil.copytree(TINY, tmp_path_factory.mktemp("quantised") / "model"))
    all_made = [*quantize(folder, "fp16"), *quantize(folder, "int8")]
    return folder, {(each.role, each.variant.precision): each for each in all_made}


def test_variants_are_listed_beside_the_graphs_which_stay(made):
    folder, found = made
    manifest = open_model(folder).manifest
    assert [each.precision for each in manifest.variants["generator"]] == ["fp16", "int8"]
    assert manifest.variants["generator"][1] == found["generator", "int8"].variant
    assert [each.precision for each in manifest.variants["front"]] == ["fp16"]
    assert manifest.graphs == read_manifest(TINY).graphs
    assert not list(folder.glob("*.part*"))


def test_a_variant_is_near_but_not_the_same(made):
    _, found = made
    distances = {name: each.variant.distance_db for name, each in found.items()}
    assert 0.01 < distances["generator", "int8"] < 0.5
    assert 0 < distances["generator", "fp16"] < 0.1
    assert 0 < distances["front", "fp16"] < 0.5
    assert found["generator", "int8"].distance.snr_db > 20


def test_int8_touches_the_residual_blocks_alone_and_in_seven_bits(made):
    import onnx

    graph = onnx.load(made[0] / "generator.int8.onnx").graph
    dequantised = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    reduced = {
        node.name
        for node in graph.node
        if node.op_type == "Conv" and all(name in dequantised for name in node.input[:2])
    }
    assert len(reduced) == 48
    assert all("blocks." in name for name in reduced)
    weights = [
        onnx.numpy_helper.to_array(each)
        for each in graph.initializer
        if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 3
    ]
    assert len(weights) == 48
    # Two products with 255 of an unsigned activation fit into 16 bits: 2 · 64 · 255 < 32,768.
    assert max(int(np.abs(each.astype(int)).max()) for each in weights) <= 64


def test_fp16_keeps_inputs_and_outputs_and_the_statistics_in_fp32(made):
    import onnx

    halves = onnx.load(made[0] / "generator.fp16.onnx").graph
    assert {each.type.tensor_type.elem_type for each in (*halves.input, *halves.output)} == {
        onnx.TensorProto.FLOAT
    }
    types = {each.name: each.data_type for each in halves.initializer}
    assert types["blocks.0.convs.0.weight"] == onnx.TensorProto.FLOAT16
    assert types["gamma_weight"] == onnx.TensorProto.FLOAT
    casts = {node.output[0]: node for node in halves.node if node.op_type == "Cast"}
    half = {name for name, node in casts.items() if node.attribute[0].i == onnx.TensorProto.FLOAT16}
    averages = [node for node in halves.node if node.op_type == "MatMul"]
    assert len(averages) == 88
    assert half.isdisjoint(name for node in averages for name in node.input)
    whole = set(casts) - half
    assert half.isdisjoint(casts[name].input[0] for name in whole)


def test_a_variant_takes_the_place_of_the_one_before(made):
    from gateway.engine.kokoro.export.quantize import with_variant

    folder, found = made
    again = found["generator", "fp16"].variant.model_copy(update={"distance_db": 0.5})
    listed = with_variant(read_manifest(folder), "generator", again).variants["generator"]
    assert [(each.precision, each.distance_db == 0.5) for each in listed] == [
        ("int8", False),
        ("fp16", True),
    ]


def test_a_generator_by_other_names_is_refused(copy):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(copy / "generator.onnx")
    for node in model.graph.node:
        node.name = node.name.replace("blocks", "parts")
    onnx.save(model, copy / "generator.onnx")
    resign(copy)
    with pytest.raises(SetupError, match=r"no residual blocks .*models export"):
        quantize(copy, "int8")
    assert read_manifest(copy).variants == {}


def test_what_gives_no_sound_is_not_listed(copy):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(copy / "generator.onnx")
    bias = next(each for each in model.graph.initializer if each.name == "last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(bias.dims, np.nan, np.float32), bias.name))
    onnx.save(model, copy / "generator.onnx")
    resign(copy)
    with pytest.raises(SetupError, match="generator in fp16 gives something that is no sound"):
        quantize(copy, "fp16")
    assert not list(copy.glob("*fp16*"))


def resign(folder: Path) -> None:
    """Make the manifest's size and checksum of the generator right again."""
    manifest = read_manifest(folder)
    data = (folder / "generator.onnx").read_bytes()
    right = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    graphs = tuple(
        each.model_copy(update=right) if each.role == "generator" else each
        for each in manifest.graphs
    )
    write_manifest(folder, manifest.model_copy(update={"graphs": graphs}))
