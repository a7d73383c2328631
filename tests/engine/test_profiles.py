"""Where a machine begins that was not measured, and what is tried on it."""

from __future__ import annotations

import pytest

from gateway.engine.hardware import Hardware
from gateway.engine.placement import CPU, STAGES
from gateway.engine.profiles import (
    StageFile,
    find_profile,
    starting_point,
    thread_counts,
    ways_to_try,
)

COREML, CUDA = "CoreMLExecutionProvider", "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
PC = Hardware("Linux", "x86_64", "AMD EPYC", 8, 8)
GPU = Hardware("Linux", "x86_64", "AMD EPYC", 16, 16, ("NVIDIA H100, 570.1, 81559 MiB",))
MAC = Hardware("Darwin", "arm64", "Apple M4 Pro", 12, 8)
ARM = Hardware("Linux", "aarch64", "Neoverse V1 (Graviton3)", 4, 4)
FILES = {stage: f"{stage}.onnx" for stage in STAGES}
ORIGINALS = [StageFile(stage, file, "fp32") for stage, file in FILES.items()]


@pytest.mark.parametrize(
    ("hardware", "name", "measures_first"),
    [
        (PC, "generic", False),
        (GPU, "NVIDIA", True),
        (MAC, "Apple silicon", False),
        (ARM, "Graviton", False),
    ],
)
def test_each_kind_of_machine_has_its_profile(
    hardware: Hardware, name: str, measures_first: bool
) -> None:
    profile = find_profile(hardware)
    assert (profile.name, profile.measure_first) == (name, measures_first)


@pytest.mark.parametrize(("hardware", "lanes"), [(PC, 8), (GPU, 16), (MAC, 8), (ARM, 4)])
def test_a_machine_begins_on_its_cpu_with_a_lane_for_each_fast_core(
    hardware: Hardware, lanes: int
) -> None:
    start = starting_point(FILES, hardware)
    generator = start.choices["generator"]
    assert {choice.way.provider for choice in start.choices.values()} == {CPU}
    assert (generator.lanes, generator.way.threads, generator.batch_max) == (lanes, 1, 1)
    assert start.choices["plan"].way.threads == 4
    assert "nothing was measured" in start.source


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])],
)
def test_thread_counts_double_up_to_the_cores(cores: int, counts: list[int]) -> None:
    assert thread_counts(cores) == counts


def test_on_a_cpu_each_stage_is_tried_with_each_thread_count() -> None:
    ways = ways_to_try(ORIGINALS, PC, [CPU, "AzureExecutionProvider"])
    assert len(ways) == 4 * 4
    generator = [way for way in ways if way.stage == "generator"]
    assert [(way.threads, way.lanes) for way in generator] == [
        (1, (8,)), (2, (4,)), (4, (2,)), (8, (1,)),
    ]  # fmt: skip
    assert all(way.batches == (1,) for way in ways if way.stage != "generator")


def test_what_is_simpler_is_tried_before() -> None:
    files = [*ORIGINALS, StageFile("generator", "generator.int8.onnx", "int8", 0.2)]
    ways = [
        way for way in ways_to_try(files, GPU, [TENSORRT, CUDA, CPU]) if way.stage == "generator"
    ]
    kinds = list(dict.fromkeys((way.provider, way.precision) for way in ways))
    assert kinds == [(CPU, "fp32"), (CPU, "int8"), (CUDA, "fp32"), (TENSORRT, "fp32")]
    assert all(way.distance_db == 0.2 for way in ways if way.precision == "int8")


def test_half_precision_is_for_gpus() -> None:
    files = [StageFile("generator", "generator.fp16.onnx", "fp16", 0.01)]
    ways = ways_to_try(files, GPU, [CUDA, CPU])
    assert {way.provider for way in ways} == {CUDA}


def test_coreml_is_tried_on_each_of_its_units_with_static_shapes() -> None:
    ways = [way for way in ways_to_try(ORIGINALS, MAC, [COREML, CPU]) if way.provider == COREML]
    options = [dict(way.options) for way in ways]
    assert {each["MLComputeUnits"] for each in options} == {
        "ALL", "CPUAndNeuralEngine", "CPUAndGPU", "CPUOnly",
    }  # fmt: skip
    assert all(way.static and way.stage == "generator" for way in ways)
    assert {each["ModelFormat"] for each in options} == {"MLProgram"}
    assert {each["RequireStaticInputShapes"] for each in options} == {"1"}


def test_arm_tries_faster_products_too() -> None:
    ways = ways_to_try(ORIGINALS, ARM, [CPU])
    assert {bool(way.config) for way in ways} == {False, True}
    assert not any(way.config for way in ways_to_try(ORIGINALS, PC, [CPU]))
