"""The published whole-graph files: one graph from tokens to speech.

    tokens  int64 [1, n + 2] ──┐                      ┌──► waveform  float32 [samples]
    style   float   [1, 256] ──┼──►  whole graph  ────┤
    speed   float or int [1] ──┘                      └──► duration  int64 [n + 2], if it has one

    file                                        tokens are called   the speech     durations
    onnx-community  model*.onnx                 input_ids           waveform       –
    onnx-community  … -timestamped              input_ids           waveform       durations
    kokoro-onnx     model-files-v1.0            tokens              audio          –
    kokoro-onnx     model-files-v1.1            input_ids           waveform       duration

Which of these a file is, its inputs and outputs tell, whatever it is called.  Where there are
durations words can be timed; else only the length of the speech is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.engine.kokoro.runtime import GraphInfo, TensorInfo
from gateway.errors import SetupError

_TOKENS = ("input_ids", "tokens")
_SPEECH = ("waveform", "audio")
_DURATIONS = ("duration", "durations")


@dataclass(frozen=True, slots=True)
class WholeContract:
    """What the inputs and outputs of a whole graph are called, and the types that they take.

    ``durations`` is None if the graph does not give them.  An integer ``speed_type`` means that the
    graph takes whole multiples of the speed only.
    """

    tokens: str
    style: str
    speed: str
    speech: str
    durations: str | None
    tokens_type: str
    style_type: str
    speed_type: str


def whole_contract(info: GraphInfo, what: str) -> WholeContract:
    """The contract of a graph; raises SetupError if it is not a whole Kokoro graph.

    ``what`` names the graph in the message.
    """
    tokens = _one(info.inputs, _TOKENS)
    style = _one(info.inputs, ("style",))
    speed = _one(info.inputs, ("speed",))
    speech = _one(info.outputs, _SPEECH)
    if tokens is None or style is None or speed is None or speech is None or len(info.inputs) != 3:
        raise SetupError(
            f"{what} is not a whole Kokoro graph: it takes {_listing(info.inputs)} and gives "
            f"{_listing(info.outputs)}, where input_ids or tokens, style and speed → waveform or "
            "audio are expected"
        )
    if style.shape[-1:] not in ((256,), (None,)):
        raise SetupError(
            f"{what} takes a style of shape {list(style.shape)} instead of [1, 256]: "
            "it is another model than Kokoro-82M"
        )
    durations = _one(info.outputs, _DURATIONS)
    return WholeContract(
        tokens=tokens.name,
        style=style.name,
        speed=speed.name,
        speech=speech.name,
        durations=durations.name if durations else None,
        tokens_type=tokens.type,
        style_type=style.type,
        speed_type=speed.type,
    )


def _one(tensors: Sequence[TensorInfo], names: Sequence[str]) -> TensorInfo | None:
    return next((tensor for tensor in tensors if tensor.name in names), None)


def _listing(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{tensor.name} ({tensor.type})" for tensor in tensors) or "nothing"
