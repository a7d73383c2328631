# mypy: allow-untyped-calls, disable-error-code="import-not-found"
"""A stand-in: the architecture with seeded weights, for machines without the trained ones.

It speaks noise with the rhythm of speech.  Three things are adjusted so that it costs and behaves
as the trained model does:

* durations: 2.55 frames a token on average (a published table of the trained model has 2.4 to 2.7);
* pitch: about 130 Hz, crossing the threshold below which the source is unvoiced;
* content: in the generator the features outweigh the source's excitation two to one, or else
  every judgement on windows would be one about noise; and the level is that of speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gateway.engine.kokoro.export.graphs import PHASES, Graphs, whole_window
from gateway.engine.kokoro.export.layers import mask_of
from gateway.engine.kokoro.export.reference import Config, Kokoro, without_weight_norm
from gateway.engine.kokoro.phrases import CALIBRATION, tokens_of
from gateway.engine.kokoro.voices import STYLE_SIZE, TABLE_SHAPE, Table

FRAMES_PER_TOKEN = 2.55
FRAMES_DEVIATION = 0.8
PITCH_HZ, PITCH_DEVIATION_HZ = 130.0, 55.0
STYLE_DEVIATION = 0.3
STYLE_STEPS = 8
"""Steps in which a table changes along its rows: few, so that archives stay small."""
CONTENT_RATIO = 2.0
LOG_MAGNITUDE_DEVIATION = 0.7
LEVEL_RMS = 0.08
VOICES = ("af_alpha", "af_beta", "am_gamma", "am_delta")


def voices_of(seed: int) -> dict[str, Table]:
    """Style tables, each drifting from one style to another with the number of tokens."""
    random = np.random.Generator(np.random.PCG64(seed))
    drift = np.floor(np.linspace(0, 1, TABLE_SHAPE[0], endpoint=False) * STYLE_STEPS) / STYLE_STEPS
    voices = {}
    for name in VOICES:
        base, end = random.normal(0, STYLE_DEVIATION, (2, STYLE_SIZE))
        table = base + 0.2 * drift[:, None] * (end - base)
        voices[name] = table.astype(np.float32).reshape(TABLE_SHAPE)
    return voices


def build(config: Config, seed: int, voices: Mapping[str, Table]) -> Kokoro:
    """The network with weights of ``seed``, calibrated, without weight norms."""
    torch.manual_seed(seed)
    network = without_weight_norm(Kokoro(config))
    with torch.no_grad():
        inputs = [
            (torch.from_numpy(tokens_of(phrase)), torch.from_numpy(table[len(phrase) - 1]))
            for phrase in CALIBRATION
            for table in voices.values()
        ]
        _calibrate_durations(network, inputs)
        _calibrate_pitch(network, inputs)
        for _ in range(2):  # the second level's excitation stays, its content follows the first's
            _calibrate_content(network, inputs)
        _calibrate_level(network, inputs)
    return network


_Inputs = Sequence[tuple[Tensor, Tensor]]


def _calibrate_durations(network: Kokoro, inputs: _Inputs) -> None:
    head = network.predictor.duration_proj.linear_layer
    bins = head.out_features
    # One row for all bins makes a duration a single logistic curve, which can be adjusted exactly.
    head.weight.copy_(head.weight[:1].expand_as(head.weight).clone())
    head.bias.fill_(float(np.log(FRAMES_PER_TOKEN / (bins - FRAMES_PER_TOKEN))))
    graph = Graphs.of(network).plan
    logits = torch.cat([_frames_of(graph, *each) / bins for each in inputs]).logit()
    gain = FRAMES_DEVIATION / FRAMES_PER_TOKEN / logits.std()
    head.weight *= gain
    head.bias += (head.bias - logits.mean()) * gain
    for _ in range(3):
        frames = torch.cat([_frames_of(graph, *each) for each in inputs])
        head.bias += float(np.log(FRAMES_PER_TOKEN / frames.mean()))


def _frames_of(graph: Any, ids: Tensor, style: Tensor) -> Tensor:
    """Durations of one sentence before they are rounded."""
    lengths = torch.tensor([ids.shape[1]])
    mask = mask_of(lengths, ids.shape[1])
    frames: Tensor = graph.predict_durations(ids, lengths, style[:, STYLE_SIZE // 2 :], mask)[1]
    return frames[0]


def _calibrate_pitch(network: Kokoro, inputs: _Inputs) -> None:
    head = network.predictor.F0_proj
    curves = torch.cat([_planned(Graphs.of(network), *each)[2][0] for each in inputs])
    gain = PITCH_DEVIATION_HZ / curves.std()
    head.bias.copy_((head.bias - curves.mean()) * gain + PITCH_HZ)
    head.weight *= gain


def _calibrate_content(network: Kokoro, inputs: _Inputs) -> None:
    generator = network.decoder.generator
    outputs: dict[Any, list[Tensor]] = {}

    def keep(module: nn.Module, _: Any, output: Tensor) -> None:
        outputs.setdefault(module, []).append(output.flatten())

    graphs = Graphs.of(network)
    pairs = list(zip(graphs.generator.ups, graphs.generator.noise_blocks, strict=True))
    hooks = [module.register_forward_hook(keep) for pair in pairs for module in pair]
    for each in inputs[:4]:
        graphs.generator(*_window(graphs, *each))
    for hook in hooks:
        hook.remove()
    for up, (content, excitation) in zip(generator.ups, pairs, strict=True):
        ratio = CONTENT_RATIO * _rms(outputs[excitation]) / _rms(outputs[content])
        up.weight *= ratio
        up.bias *= ratio


def _calibrate_level(network: Kokoro, inputs: _Inputs) -> None:
    last, seen = network.decoder.generator.conv_post, []
    hook = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    graphs = Graphs.of(network)
    windows = [_window(graphs, *each) for each in inputs[:4]]
    for window in windows:
        graphs.generator(*window)
    hook.remove()
    outputs = torch.cat(seen, dim=-1)
    last.bias -= outputs.mean(-1)
    gain = LOG_MAGNITUDE_DEVIATION / outputs.std(-1)
    last.bias *= gain
    last.weight *= gain[:, None, None]
    level = _rms([graphs.generator(*window)[0].flatten() for window in windows])
    bins = network.decoder.generator.post_n_fft // 2 + 1
    last.bias[:bins] += float(np.log(LEVEL_RMS / level))


def _planned(graphs: Graphs, ids: Tensor, style: Tensor) -> tuple[Tensor, ...]:
    lengths = torch.tensor([ids.shape[1]])
    planned: tuple[Tensor, ...] = graphs.plan(ids, lengths, style, torch.ones(1))
    return planned


def _window(graphs: Graphs, ids: Tensor, style: Tensor) -> tuple[Tensor, ...]:
    durations, asr, f0, n = _planned(graphs, ids, style)
    features = graphs.front(asr, f0, n, durations.sum(-1), style)
    noise = torch.randn(1, 300 * f0.shape[1], generator=torch.Generator().manual_seed(0))
    harmonics = graphs.source(f0, torch.zeros(1, PHASES), noise)[0]
    return whole_window(graphs, features, harmonics, style)


def _rms(parts: Sequence[Tensor]) -> float:
    joined = torch.cat(list(parts))
    return float(joined.square().mean().sqrt())
