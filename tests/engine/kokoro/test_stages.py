"""Stages with bound tensors and recorded graphs against plain ones, all on the CPU.

On a GPU the same code runs with another name for the device; there it has never run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.kokoro.device import Device, OnDevice, Piece, Pieces, cut
from gateway.engine.kokoro.graphs import ROLES, SplitGraphs
from gateway.engine.kokoro.phrases import HELD_OUT, tokens_of
from gateway.engine.kokoro.runtime import open_session, running_options
from gateway.engine.kokoro.stages import (
    BoundStage,
    CapturedStage,
    HostStage,
    Stage,
    StaticStage,
    open_stage,
)
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.windows import Span, Statistics
from gateway.engine.placement import CPU, Way
from gateway.errors import SetupError

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"


def opened(role: str):
    return open_session(TINY / f"{role}.onnx", running_options(1))


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("cpu", CPU)


@pytest.fixture(scope="module")
def host() -> dict[str, Stage]:
    return {role: HostStage(opened(role)) for role in ROLES}


@pytest.fixture(scope="module")
def bound(device: Device) -> dict[str, Stage]:
    return {role: BoundStage(opened(role), device) for role in ROLES}


def graphs_of(stages: Mapping[str, Stage]) -> SplitGraphs:
    return SplitGraphs(stages, {})


def spoken(graphs: SplitGraphs, rounds: int = 3) -> list[np.ndarray]:
    """Two sentences planned in one batch, their windows rendered in batches of two and alone."""
    voices = open_model(TINY).voices
    style = voices.style(voices.default, 20)
    tokens = [tokens_of(phrase) for phrase in HELD_OUT[:2]]
    planned = graphs.plan(tokens, np.concatenate([style, style]), [1.0, 1.2])
    sources = [graphs.acoustics(each, style, seed=0) for each in planned]
    random = np.random.default_rng(0)
    made = []
    for i in range(rounds):
        mean = random.standard_normal(graphs.statistics).astype(np.float32)
        given = Statistics(mean, mean**2 + 1, 0.5)
        span = Span(4 * i, 4 * i + 4, 4 * i + 16, 4 * i + 20)
        for rows in (sources, sources[:1]):
            made += [pcm for pcm, _ in graphs.generate([(s, span, style, given) for s in rows])]
    return made


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return len(left) == len(right) and all(map(np.array_equal, left, right))


def test_bound_stages_compute_what_plain_ones_do(host, bound):
    assert same(spoken(graphs_of(bound)), spoken(graphs_of(host)))


def test_between_stages_on_a_device_nothing_comes_to_the_host(bound):
    graphs = graphs_of(bound)
    voices = open_model(TINY).voices
    style = voices.style(voices.default, 20)
    (planned,) = graphs.plan([tokens_of(HELD_OUT[2])], style, [1.0])
    acoustics = graphs.acoustics(planned, style, seed=0)
    kept = (planned.asr, planned.f0, planned.n, acoustics.features, acoustics.harmonics)
    assert all(isinstance(tensor, OnDevice) for tensor in kept)
    assert planned.frames == planned.durations.sum()


@pytest.mark.parametrize("on_device", [("plan", "front"), ("generator",), ("front", "generator")])
def test_stages_on_a_device_mix_with_stages_on_the_host(on_device, host, bound):
    mixed = {role: (bound if role in on_device else host)[role] for role in ROLES}
    assert same(spoken(graphs_of(mixed)), spoken(graphs_of(host)))


def test_what_a_host_stage_reads_is_brought_there_once(host, bound):
    graphs = graphs_of(dict(host) | {"plan": bound["plan"], "front": bound["front"]})
    voices = open_model(TINY).voices
    style = voices.style(voices.default, 20)
    (planned,) = graphs.plan([tokens_of(HELD_OUT[2])], style, [1.0])
    # The source on the host reads f0 as well as the front on the device, asr only the front.
    assert isinstance(planned.asr, OnDevice)
    assert isinstance(planned.f0, np.ndarray)
    assert isinstance(graphs.acoustics(planned, style, seed=0).features, np.ndarray)


@pytest.mark.parametrize("sources", ["host", "bound"])
def test_recorded_graphs_compute_what_plain_ones_do(sources, host, bound, device):
    stages = dict(host if sources == "host" else bound)
    stages["generator"] = CapturedStage(opened("generator"), device)
    assert same(spoken(graphs_of(stages)), spoken(graphs_of(host)))


def test_more_shapes_than_can_be_recorded_run_all_the_same(host, bound, device, monkeypatch):
    monkeypatch.setattr("gateway.engine.kokoro.stages.CAPTURED_MAX", 1)
    stages = dict(bound) | {"generator": CapturedStage(opened("generator"), device)}
    assert same(spoken(graphs_of(stages)), spoken(graphs_of(host)))


def test_a_recorded_graph_serves_one_call_at_a_time(bound, device):
    graphs = graphs_of(dict(bound) | {"generator": CapturedStage(opened("generator"), device)})
    alone = spoken(graphs)
    heard: list[bool] = []
    threads = [
        threading.Thread(target=lambda: heard.append(same(spoken(graphs), alone))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [True, True, True]


def test_static_sessions_serve_their_shapes_and_another_the_rest(host):
    way = Way("generator", "generator.onnx", static=True, batches=(1, 2))
    stage = open_stage(TINY / "generator.onnx", way, frames=[20])
    assert isinstance(stage, StaticStage)
    shapes = [each.shape for each in stage._stages[2, 20].info.inputs if each.name == "features"]
    assert shapes[0][0] == 2
    assert shapes[0][2] == 40
    # A window at a clause's end has another size.
    graphs, plain = graphs_of(dict(host) | {"generator": stage}), graphs_of(host)
    assert same(spoken(graphs), spoken(plain))
    voices = open_model(TINY).voices
    style = voices.style(voices.default, 20)
    (planned,) = plain.plan([tokens_of(HELD_OUT[2])], style, [1.0])
    zeros = np.zeros(plain.statistics, np.float32)
    window = (
        plain.acoustics(planned, style, 0),
        Span(0, 0, 9, 9),
        style,
        Statistics(zeros, zeros, 1),
    )
    ((ours, _),), ((theirs, _),) = graphs.generate([window]), plain.generate([window])
    assert np.array_equal(ours, theirs)


def test_pieces_of_host_and_device_tensors_become_one_batch(device):
    array = np.arange(60, dtype=np.float32).reshape(2, 3, 10)
    there = device.put(array)
    pieces = Pieces((Piece(there, 1, 2, 7), Piece(array, 0, 5, 10)))
    expected = np.stack([array[1, :, 2:7], array[0, :, 5:10]])
    assert pieces.shape == (2, 3, 5)
    assert np.array_equal(pieces.on_device(device).numpy(), expected)
    assert np.array_equal(pieces.on_host(), expected)


def test_cutting_a_whole_tensor_on_a_device_copies_nothing(device):
    there = device.put(np.ones((1, 4), np.float32))
    assert cut(there, 0, 0, 4) is there
    assert cut(there, 0, 1, 3).shape == (1, 2)


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "CoreMLExecutionProvider"])
def test_a_provider_that_does_not_start_is_no_silent_cpu(provider):
    way = Way("generator", "generator.onnx", provider=provider)
    with (
        pytest.warns(UserWarning, match=provider),
        pytest.raises(SetupError, match="does not start"),
    ):
        open_stage(TINY / "generator.onnx", way)
