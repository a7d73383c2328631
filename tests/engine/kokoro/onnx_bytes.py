"""Tiny ONNX files, written by hand: the package ``onnx`` is not needed to run any.

Protocol buffers (proto3 wire format) of onnx.proto: a field is its number and wire type, then a
varint or a length and bytes.
"""

from __future__ import annotations

FLOAT, INT32, INT64, FLOAT16 = 1, 6, 7, 10

Tensor = tuple[str, int, tuple[int | str, ...]]
"""Name, element type, and shape with names for open dimensions."""


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _value_info(tensor: Tensor) -> bytes:
    name, kind, shape = tensor
    sizes = (_number(1, size) if isinstance(size, int) else _bytes(2, size) for size in shape)
    dimensions = b"".join(_bytes(1, size) for size in sizes)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dimensions)))


def _node(kind: str, inputs: tuple[str, ...], output: str, **attributes: int) -> bytes:
    node = b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)
    for name, value in attributes.items():
        node += _bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2))
    return node


def graph(
    tokens: str = "input_ids",
    speech: str = "waveform",
    durations: str | None = None,
    style: Tensor = ("style", FLOAT, (1, 256)),
    speed: str = "speed",
    speed_type: int = FLOAT,
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A graph with the inputs and outputs of a published one: speech = tokens × speed."""
    nodes = [
        _node("Cast", (tokens,), "numbers", to=FLOAT),
        _node("Cast", (speed,), "factor", to=FLOAT),
        _node("Mul", ("numbers", "factor"), speech),
    ]
    outputs: list[Tensor] = [(speech, FLOAT, (1, "n"))]
    if durations:
        nodes.append(_node("Identity", (tokens,), durations))
        outputs.append((durations, INT64, (1, "n")))
    inputs: list[Tensor] = [(tokens, INT64, (1, "n")), style, (speed, speed_type, (1,))]
    return _model(nodes, inputs, outputs, metadata)


def speaking_graph(
    tokens: str = "input_ids",
    speech: str = "waveform",
    durations: str | None = "duration",
    style_type: int = FLOAT,
    speed_type: int = FLOAT,
    speech_type: int = FLOAT,
    wave: str = "Sin",
    given: str = "frames",
) -> bytes:
    """A published graph that sounds: at speed 1 each token lasts 2 (1 + token % 4) frames.

    Sample i is sin(i).

    ``given`` is what it says the durations are: "frames", or "steps", which are not durations.
    """
    nodes = [
        _node("Constant", (), "zero", value_int=0),
        _node("Constant", (), "one", value_int=1),
        _node("Constant", (), "four", value_int=4),
        _node("Constant", (), "samples_of_frame", value_int=600),
        _node("Mod", (tokens, "four"), "rest"),
        _node("Add", ("rest", "one"), "half"),
        _node("Add", ("half", "half"), "slow"),
        _node("Cast", ("slow",), "slow_float", to=FLOAT),
        _node("Cast", ("speed",), "speed_float", to=FLOAT),
        _node("Div", ("slow_float", "speed_float"), "frames_float"),
        _node("Cast", ("frames_float",), "frames", to=INT64),
        _node("ReduceSum", ("frames",), "all_frames", keepdims=0),
        _node("Mul", ("all_frames", "samples_of_frame"), "length"),
        _node("Range", ("zero", "length", "one"), "steps"),
        _node("Cast", ("steps",), "phase", to=FLOAT),
        _node(wave, ("phase",), "wave"),
        _node("Cast", ("wave",), speech, to=speech_type),
    ]
    outputs: list[Tensor] = [(speech, speech_type, ("n",))]
    if durations:
        nodes.append(_node("Identity", (given,), durations))
        outputs.append((durations, INT64, (1, "n") if given == "frames" else ("m",)))
    inputs: list[Tensor] = [
        (tokens, INT64, (1, "n")),
        ("style", style_type, (1, 256)),
        ("speed", speed_type, (1,)),
    ]
    return _model(nodes, inputs, outputs)


def _model(
    nodes: list[bytes],
    inputs: list[Tensor],
    outputs: list[Tensor],
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    body = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, "tiny")
    body += b"".join(_bytes(11, _value_info(each)) for each in inputs)
    body += b"".join(_bytes(12, _value_info(each)) for each in outputs)
    properties = b"".join(_bytes(14, _bytes(1, key) + _bytes(2, value)) for key, value in metadata)
    return _number(1, 8) + _bytes(7, body) + _bytes(8, _number(2, 17)) + properties
