"""Tensors that stay on the device that computed them.

Between the stages of a model on a GPU nothing goes through the host: what a stage gives stays in
device memory as an ``OnDevice``; windows are cut from it there, straight into the next stage's
batch.  onnxruntime's Python interface can't slice a tensor on a device, but it can run a graph, and
bind any address as its input or output: so a graph of one Slice node, built here as the few bytes
that it is, does the cutting.

    features [1, D, 2T] ──Slice 2·left:2·right──► row i of a batch [B, D, 2·size]

Everything here runs on the device "cpu" as well, which is how it is tested; on CUDA it has never
run.  Only float32 tensors are held: stages of other precisions convert inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.engine.kokoro.runtime import bind, device_tensor, open_bytes, run_bound, to_device

Array = npt.NDArray[Any]
ITEM_BYTES = 4

DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}
"""Where a provider keeps its tensors, if not in the host's memory."""


class Device:
    """Memory of one kind, ``name`` in onnxruntime's words, and a graph that cuts tensors in it."""

    def __init__(self, name: str, provider: str, options: dict[str, str] | None = None) -> None:
        self.name = name
        self._cutter = open_bytes(_SLICE, provider, options or {})

    def empty(self, shape: Sequence[int]) -> OnDevice:
        """Memory for float32 of ``shape``; what it holds is undefined."""
        return OnDevice(device_tensor(shape, self.name), self)

    def put(self, array: Array) -> OnDevice:
        """A copy of ``array`` here."""
        return OnDevice(to_device(np.ascontiguousarray(array, np.float32), self.name), self)

    def cut(self, piece: Piece, into: OnDevice, row: int) -> None:
        """Write the piece to ``into[row]``; both have the same axes but the first and the last."""
        source = piece.tensor
        assert isinstance(source, OnDevice)
        length = piece.end - piece.begin
        middle = source.shape[1:-1]
        assert into.shape[1:] == (*middle, length), (into.shape, source.shape, length)
        channels = int(np.prod(middle, dtype=np.int64))
        binding = self._cutter.io_binding()
        bind(binding, "data", self.name, (1, channels, source.shape[-1]), source.address(piece.row))
        binding.bind_cpu_input("begin", np.array([piece.begin], np.int64))
        binding.bind_cpu_input("end", np.array([piece.end], np.int64))
        bind(binding, "cut", self.name, (1, channels, length), into.address(row), output=True)
        run_bound(self._cutter, binding)


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """A float32 tensor, contiguous; ``value`` is onnxruntime's handle, which owns the memory."""

    value: Any
    device: Device

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes."""
        return tuple(self.value.shape())

    def address(self, row: int) -> int:
        """Of the row's first number, on the device."""
        row_bytes = ITEM_BYTES * int(np.prod(self.shape[1:], dtype=np.int64))
        return int(self.value.data_ptr()) + row * row_bytes

    def numpy(self) -> Array:
        """A copy on the host."""
        array: Array = self.value.numpy()
        return array


Tensor = Array | OnDevice


@dataclass(frozen=True, slots=True)
class Piece:
    """``tensor[row, …, begin:end]``."""

    tensor: Tensor
    row: int
    begin: int
    end: int

    @property
    def shape(self) -> tuple[int, ...]:
        """With a first axis of 1."""
        return (1, *self.tensor.shape[1:-1], self.end - self.begin)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of one shape, to become the rows of one tensor where a stage wants them."""

    rows: tuple[Piece, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor that they make."""
        return (len(self.rows), *self.rows[0].shape[1:])

    def on_host(self) -> Array:
        """As one contiguous array."""
        parts = [
            on_host(each.tensor)[each.row : each.row + 1, ..., each.begin : each.end]
            for each in self.rows
        ]
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def on_device(self, device: Device, into: OnDevice | None = None) -> OnDevice:
        """As one tensor on ``device``; in the memory of ``into``, if given."""
        made = into or device.empty(self.shape)
        for row, piece in enumerate(self.rows):
            if not isinstance(piece.tensor, OnDevice):
                there = device.put(Pieces((piece,)).on_host())
                piece = Piece(there, 0, 0, there.shape[-1])
            device.cut(piece, made, row)
        return made


def cut(tensor: Tensor, row: int, begin: int, end: int) -> Tensor:
    """``tensor[row:row + 1, …, begin:end]``: a view on the host, a copy on a device."""
    if not isinstance(tensor, OnDevice):
        view: Array = tensor[row : row + 1, ..., begin:end]
        return view
    if tensor.shape[0] == 1 and (begin, end) == (0, tensor.shape[-1]):
        return tensor
    return Pieces((Piece(tensor, row, begin, end),)).on_device(tensor.device)


def on_host(tensor: Tensor | Pieces) -> Array:
    """As an array; copied if it was on a device."""
    if isinstance(tensor, Pieces):
        return tensor.on_host()
    return tensor.numpy() if isinstance(tensor, OnDevice) else tensor


# ── one Slice node as ONNX bytes: protocol buffers, a field is its number and type, then content ──

_FLOAT, _INT64 = 1, 7
_OPSET, _IR_VERSION = 17, 8


def _field(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        assert 0 <= content < 128, "one byte is enough for all that is written here"
        return bytes([number << 3, content])
    data = content.encode() if isinstance(content, str) else content
    assert len(data) < 1 << 14
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def _value(name: str, kind: int, axes: Sequence[str | int]) -> bytes:
    dimensions = b"".join(
        _field(1, _field(1 if isinstance(each, int) else 2, each)) for each in axes
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, dimensions)))


def _slice_graph() -> bytes:
    axis = (
        _field(1, 1) + _field(2, _INT64) + _field(8, "axis") + _field(9, (2).to_bytes(8, "little"))
    )
    inputs = b"".join(_field(1, name) for name in ("data", "begin", "end", "axis"))
    graph = (
        _field(1, inputs + _field(2, "cut") + _field(4, "Slice"))
        + _field(2, "slice")
        + _field(5, axis)
        + _field(11, _value("data", _FLOAT, (1, "channels", "length")))
        + _field(11, _value("begin", _INT64, (1,)))
        + _field(11, _value("end", _INT64, (1,)))
        + _field(12, _value("cut", _FLOAT, (1, "channels", "size")))
    )
    return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))


_SLICE = _slice_graph()
