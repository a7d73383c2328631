"""onnxruntime, in one place: opening graphs, and saying why one does not open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from gateway.errors import SetupError

_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: ``type`` is NumPy's name ("float32"), an open dimension is None."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """What a graph takes and gives, and the text that its maker put into it."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]


_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def open_session(
    file: Path,
    options: onnxruntime.SessionOptions | None = None,
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] = ("CPUExecutionProvider",),
) -> onnxruntime.InferenceSession:
    """A session on the graph in ``file``.  Raises SetupError with onnxruntime's reason.

    Without ``options`` nothing is optimised: that opens fastest, and is enough to look at a graph.
    """
    if not file.is_file():
        raise SetupError(f"there is no model file {file}")
    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=options or _looking(), providers=list(providers)
        )
    except Exception as error:  # onnxruntime's errors have no common base but this
        raise SetupError(
            f"onnxruntime can't open {file} ({file.stat().st_size} bytes): {_reason(error)}; "
            "it is damaged or cut short, or needs a newer onnxruntime"
        ) from error


def describe(session: onnxruntime.InferenceSession) -> GraphInfo:
    """Inputs, outputs and metadata of an open graph."""
    return GraphInfo(
        tuple(_tensor(each) for each in session.get_inputs()),
        tuple(_tensor(each) for each in session.get_outputs()),
        dict(session.get_modelmeta().custom_metadata_map),
    )


def inspect(file: Path) -> GraphInfo:
    """What the graph in ``file`` takes and gives; the weights are read, but nothing is computed."""
    return describe(open_session(file))


def _looking() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _tensor(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorInfo(node.name, _TYPES.get(node.type, node.type), shape)


def _reason(error: Exception) -> str:
    """onnxruntime's own words, on one line and without the path that we name ourselves."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"


def running_options(threads: int) -> onnxruntime.SessionOptions:
    """Options to compute with, on ``threads`` threads for each call.

    Threads that spin while they wait for work would fight with those of other sessions: with
    onnxruntime's default two sessions on two cores take almost twice as long.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_plain_session(file: Path) -> onnxruntime.InferenceSession:
    """A session with onnxruntime's own defaults, as others run it: for benchmarks to compare with.

    Raises SetupError with onnxruntime's reason.
    """
    return open_session(file, onnxruntime.SessionOptions())


def version() -> str:
    """onnxruntime's version."""
    return str(onnxruntime.__version__)


def saving(options: onnxruntime.SessionOptions, graph: Path, weights: str) -> None:
    """Have the session write its optimised graph to ``graph``, the weights to a file beside it.

    A session that is opened from such a file maps the weights instead of reading them.
    """
    options.optimized_model_filepath = str(graph)
    prefix = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{prefix}_file_name", weights)
    options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")


def as_it_is(options: onnxruntime.SessionOptions) -> onnxruntime.SessionOptions:
    """The options, for a graph that is optimised already."""
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


# ── tensors on devices: the parts of onnxruntime's interface that device.py and stages.py need ────


def installed() -> tuple[str, tuple[str, ...]]:
    """onnxruntime's version, and the providers that it was built with."""
    return str(onnxruntime.__version__), tuple(onnxruntime.get_available_providers())


def open_bytes(
    graph: bytes, provider: str, options: Mapping[str, str]
) -> onnxruntime.InferenceSession:
    """A session on a small graph of our own."""
    return onnxruntime.InferenceSession(
        graph, sess_options=running_options(1), providers=[(provider, dict(options))]
    )


def fix_dimensions(options: onnxruntime.SessionOptions, sizes: Mapping[str, int]) -> None:
    """Give open dimensions a size, by name; the optimiser then folds what depends on them."""
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)


def profile_into(options: onnxruntime.SessionOptions, prefix: Path) -> None:
    """Have the session write what each node took; ``session.end_profiling()`` names the file."""
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)


def device_tensor(shape: Sequence[int], device: str) -> Any:
    """Memory for float32 of ``shape`` on ``device``, onnxruntime's name for it ("cpu", "cuda")."""
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, device, 0)


def to_device(array: Any, device: str) -> Any:
    """A copy of a contiguous array on ``device``."""
    value = device_tensor(array.shape, device)
    value.update_inplace(array)
    return value


def bind(
    binding: Any, name: str, device: str, shape: Sequence[int], address: int, output: bool = False
) -> None:
    """Bind float32 of ``shape`` at ``address``, which the caller keeps alive."""
    bound = binding.bind_output if output else binding.bind_input
    bound(name, device, 0, np.float32, list(shape), address)


def run_bound(session: onnxruntime.InferenceSession, binding: Any) -> None:
    """Run with what is bound; returns when the outputs are there."""
    session.run_with_iobinding(binding)


def captured_run(session: onnxruntime.InferenceSession, binding: Any, number: int) -> None:
    """As ``run_bound``, recording or replaying CUDA graph ``number``; neither for -1."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(number))
    session.run_with_iobinding(binding, options)
