"""Ways to run one graph, behind one call: names and feed in, tensors out.

    HostStage      arrays in, arrays out; providers whose tensors are in the host's memory
    BoundStage     inputs and outputs bound, so that tensors stay on the provider's device
    CapturedStage  as that, replaying a recorded CUDA graph for each shape
    StaticStage    a session for each window size and batch, all dimensions fixed; else another way

Stages may be called from several threads at once.  A captured graph has fixed addresses, so its
calls take turns.  On CUDA and TensorRT these have never run; on the CPU, bound and captured stages
are tested against plain ones.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gateway.engine.kokoro.device import DEVICES, Device, OnDevice, Pieces, Tensor, on_host
from gateway.engine.kokoro.optimised import open_optimised
from gateway.engine.kokoro.runtime import (
    GraphInfo,
    captured_run,
    describe,
    fix_dimensions,
    open_session,
    profile_into,
    run_bound,
    running_options,
)
from gateway.engine.placement import CPU, Way
from gateway.errors import SetupError

Feed = Mapping[str, Tensor | Pieces]

CAPTURED_MAX = 64
"""Shapes with a recorded graph; other shapes run without."""

CUDA = "CUDAExecutionProvider"
_CAPTURE = ("enable_cuda_graph", "1")


class Stage(Protocol):
    """A graph that can be run."""

    device: Device | None
    """Where it can leave its outputs; None for the host."""
    info: GraphInfo

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """The outputs ``names``; those in ``keep`` stay on the device, others are arrays."""
        ...


class HostStage:
    """A session called with arrays."""

    device: Device | None = None

    def __init__(self, session: Any) -> None:
        self._session = session
        self.info = describe(session)

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """As ``Stage``; ``keep`` has no meaning on the host."""
        arrays = {name: on_host(tensor) for name, tensor in feed.items()}
        outputs: list[Tensor] = self._session.run(names, arrays)
        return outputs


class BoundStage:
    """A session with its inputs and outputs bound to ``device``."""

    def __init__(self, session: Any, device: Device) -> None:
        self._session = session
        self.device: Device | None = device
        self._where = device
        self.info = describe(session)

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """As ``Stage``."""
        binding = self._session.io_binding()
        held = []  # what is bound must live until the run is over
        for name, tensor in feed.items():
            if isinstance(tensor, Pieces):
                tensor = tensor.on_device(self._where)
            if isinstance(tensor, OnDevice):
                binding.bind_ortvalue_input(name, tensor.value)
            else:
                tensor = np.ascontiguousarray(tensor)
                binding.bind_cpu_input(name, tensor)
            held.append(tensor)
        for name in names:
            binding.bind_output(name, self._where.name if name in keep else "cpu")
        run_bound(self._session, binding)
        return [
            OnDevice(value, self._where) if name in keep else value.numpy()
            for name, value in zip(names, binding.get_outputs(), strict=True)
        ]


class CapturedStage:
    """A session whose launches are recorded for each shape, with buffers that stay where they are.

    onnxruntime records at the first run of a shape and replays later.  Inputs must be float32.
    """

    def __init__(self, session: Any, device: Device) -> None:
        self._session = session
        self.device: Device | None = device
        self._where = device
        self.info = describe(session)
        self._turn = threading.Lock()
        self._kept: dict[tuple[tuple[int, ...], ...], _Fixed] = {}

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """As ``Stage``.  Outputs are always arrays: their buffers serve the next call too."""
        key = tuple(tuple(tensor.shape) for tensor in feed.values())
        with self._turn:
            fixed = self._kept.get(key)
            if fixed is None:
                fixed = _Fixed(self._where, feed, number=len(self._kept) + 1)
                fixed.fill(feed)
                outputs = self._plain(names, fixed)
                if len(self._kept) < CAPTURED_MAX:
                    fixed.bind(self._session.io_binding(), names, outputs)
                    self._kept[key] = fixed
                return [np.array(value.numpy()) for value in outputs]
            fixed.fill(feed)
            captured_run(self._session, fixed.binding, fixed.number)
            # Copies: on the CPU numpy() is a view of the buffer, which the next call overwrites.
            return [np.array(fixed.outputs[name].numpy()) for name in names]

    def _plain(self, names: Sequence[str], fixed: _Fixed) -> list[Any]:
        """A run that records nothing, to find the outputs' shapes and to warm up."""
        binding = self._session.io_binding()
        for name, buffer in fixed.inputs.items():
            binding.bind_ortvalue_input(name, buffer.value)
        for name in names:
            binding.bind_output(name, self._where.name)
        captured_run(self._session, binding, number=-1)
        values: list[Any] = binding.get_outputs()
        return values


class _Fixed:
    """Buffers of one shape."""

    def __init__(self, device: Device, feed: Feed, number: int) -> None:
        self.inputs = {name: device.empty(tensor.shape) for name, tensor in feed.items()}
        self.outputs: dict[str, OnDevice] = {}
        self.number = number
        self.binding: Any = None
        self._device = device

    def fill(self, feed: Feed) -> None:
        """Write the inputs into their buffers."""
        for name, tensor in feed.items():
            if isinstance(tensor, Pieces) and any(
                isinstance(piece.tensor, OnDevice) for piece in tensor.rows
            ):
                tensor.on_device(self._device, into=self.inputs[name])
            else:
                self.inputs[name].value.update_inplace(on_host(tensor))

    def bind(self, binding: Any, names: Sequence[str], outputs: Sequence[Any]) -> None:
        """Bind all buffers; those of the outputs are the ones that a plain run gave."""
        self.binding = binding
        for name, buffer in self.inputs.items():
            binding.bind_ortvalue_input(name, buffer.value)
        for name, value in zip(names, outputs, strict=True):
            self.outputs[name] = OnDevice(value, self._device)
            binding.bind_ortvalue_output(name, value)


class StaticStage:
    """Stages of fixed dimensions by (batch, frames); ``otherwise`` runs what has another shape."""

    def __init__(self, stages: Mapping[tuple[int, int], Stage], otherwise: Stage) -> None:
        self._stages = stages
        self._otherwise = otherwise
        self.info = otherwise.info
        self.device = otherwise.device

    def run(self, names: Sequence[str], feed: Feed, keep: Sequence[str] = ()) -> list[Tensor]:
        """As ``Stage``; the shape is that of ``features`` [batch, D, 2 · frames]."""
        batch, _, half_frames = feed["features"].shape
        stage = self._stages.get((batch, half_frames // 2), self._otherwise)
        return stage.run(names, feed, keep)


def open_stage(
    file: Path, way: Way, frames: Sequence[int] = (), sha256: str | None = None
) -> Stage:
    """The graph in ``file``, to be run as ``way`` says; raises SetupError.

    ``frames`` are the window sizes that a static way opens sessions for, each at all its batches.
    With ``sha256``, the file's, what is optimised on the CPU is kept beside it for the next start.
    """
    if not way.static:
        return _open(file, way, way.provider, {}, sha256)
    stages = {
        (batch, size): _open(file, way, way.provider, window_dimensions(batch, size))
        for batch in way.batches
        for size in frames
    }
    # TensorRT has CUDA beside it; what neither takes, and all windows of other sizes, the CPU runs.
    other = CUDA if way.provider.startswith("Tensorrt") else CPU
    return StaticStage(stages, _open(file, Way(way.stage, way.file), other, {}))


def window_dimensions(batch: int, frames: int) -> dict[str, int]:
    """The generator's named dimensions for ``batch`` windows of ``frames`` frames."""
    return {
        "batch": batch,
        "half_frames": 2 * frames,
        "hops": 120 * frames + 1,
        "coarse": 20 * frames,
    }


def open_session_for(
    file: Path,
    way: Way,
    provider: str,
    dimensions: Mapping[str, int],
    profile: Path | None = None,
    sha256: str | None = None,
) -> Any:
    """A session with the way's threads and, on its own provider, its options.

    What the provider does not take falls to CUDA beside TensorRT, else to the CPU.
    """

    def wanted() -> Any:
        options = running_options(way.threads)
        for key, value in way.config:
            options.add_session_config_entry(key, value)
        return options

    if sha256 is not None and provider == CPU and not dimensions and profile is None:
        return open_optimised(file, sha256, wanted, file.parent)[0]
    options = wanted()
    fix_dimensions(options, dimensions)
    if profile is not None:
        profile_into(options, profile)
    own = dict(way.options) if provider == way.provider else {}
    providers: list[tuple[str, dict[str, str]]] = [(provider, own)]
    if provider.startswith("Tensorrt"):
        providers.append((CUDA, {}))
    if provider != CPU:
        providers.append((CPU, {}))
    return open_session(file, options, providers)


def _open(
    file: Path,
    way: Way,
    provider: str,
    dimensions: Mapping[str, int],
    sha256: str | None = None,
) -> Stage:
    session = open_session_for(file, way, provider, dimensions, sha256=sha256)
    if provider != CPU and provider not in session.get_providers():
        raise SetupError(f"{provider} does not start here: onnxruntime fell back to the CPU")
    if provider not in DEVICES:
        return HostStage(session)
    device = Device(DEVICES[provider], CUDA)
    return (CapturedStage if _CAPTURE in way.options else BoundStage)(session, device)
