# mypy: allow-untyped-calls, disable-error-code="import-not-found"
"""The exported graphs against the reference forward pass.

    python -m gateway.engine.kokoro.export.verify [--tiny] [--seed 0]

Prints a line for each claim and exits with 1 if one fails.  The reference is the published
``KModel.forward_with_tokens``; its random numbers are replaced by ours (our one noise spread over
its nine harmonics so that they mix to the same), nothing else is touched.

The source is compared apart, against the reference's source in float64: its spectrum's angles are
ill-conditioned (where a bin is silent, 1e-7 of pitch turns an angle by 2π, and the waveform with
it), so two correct float32 runs differ there.  The chain is therefore compared with the reference's
own source spectrum put in.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from gateway.engine.kokoro.export.graphs import PHASES, Graphs, export, whole_window
from gateway.engine.kokoro.export.reference import FULL_SIZE, TINY, Kokoro
from gateway.engine.kokoro.export.standin import build, voices_of
from gateway.engine.kokoro.phrases import HELD_OUT, tokens_of
from gateway.engine.kokoro.runtime import open_session

LIMIT = 1e-4
CONTEXT = 4
Claim = tuple[str, float, float]


def main() -> int:
    """Build a stand-in, export it, and check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    choices = parser.parse_args()
    voices = voices_of(choices.seed)
    network = build(TINY if choices.tiny else FULL_SIZE, choices.seed, voices)
    failed = False
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for what, found, limit in claims(network, list(voices.values()), Path(folder)):
            failed |= not found <= limit
            print(f"{'ok ' if found <= limit else 'BAD'} {found:9.2e} ≤ {limit:.0e}  {what}")
    print("of a stand-in: seeded weights, no trained model was involved")
    return int(failed)


def claims(network: Kokoro, tables: list[Any], folder: Path) -> Iterator[Claim]:
    """What is claimed, the greatest difference found, and the limit."""
    graphs = Graphs.of(network)
    sessions = {role: open_session(file) for role, file in export(graphs, folder).items()}

    def run(role: str, *inputs: Tensor) -> list[Tensor]:
        names = getattr(graphs, role).INPUTS
        feed: Mapping[str, Any] = {
            name: value.numpy() for name, value in zip(names, inputs, strict=True)
        }
        return [torch.from_numpy(value) for value in sessions[role].run(None, feed)]

    phrase = HELD_OUT[0]
    ids, style = torch.from_numpy(tokens_of(phrase)), torch.from_numpy(tables[0][len(phrase) - 1])
    frames, noise = _frames_and_noise(graphs, ids, style)
    heard, durations, inner = _reference(network, ids, style, noise)
    planned = run("plan", ids, torch.tensor([ids.shape[1]]), style, torch.ones(1))
    yield "durations equal the reference's", _gap(planned[0][0], durations), 0.0
    (features,) = run("front", *planned[1:], frames, style)
    yield "features of plan and front", _gap(features, inner["features"]), LIMIT
    source = _source_in_float64(network, planned[2], noise)
    ours = run("source", planned[2], torch.zeros(1, PHASES), noise)[0]
    gap = _gap(ours[:, :11], source[:, :11])
    yield "magnitudes of the source, against float64", gap, LIMIT
    turned = (ours[:, 11:] - source[:, 11:]).abs() % (2 * np.pi)
    turned = torch.minimum(turned, 2 * np.pi - turned) * source[:, :11]
    yield (
        "angles of the source where it sounds, in rad × magnitude",
        float(turned.max()),
        LIMIT,
    )
    window = whole_window(graphs, features, inner["harmonics"], style)
    audio, mean, square = run("generator", *window)
    yield "the chain's waveform, whole clause", _gap(audio[0], heard), LIMIT
    begin, end = 600 * 12, 600 * 32
    piece = _piece(window, mean, square, 12 - CONTEXT, 32 + CONTEXT)
    part = run("generator", *piece)[0][0, 600 * CONTEXT : -600 * CONTEXT]
    yield "a window with the clause's statistics", _gap(part, heard[begin:end]), LIMIT
    yield from _batch_claims(run, tables)


def _batch_claims(run: Any, tables: list[Any]) -> Iterator[Claim]:
    rows = [torch.from_numpy(tokens_of(phrase)) for phrase in HELD_OUT]
    lengths = torch.tensor([row.shape[1] for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : row.shape[1]] = row[0]
    styles = torch.cat([torch.from_numpy(table[50]) for table in tables[: len(rows)]])
    speeds = torch.tensor([1.0, 0.8, 1.3])
    batch = run("plan", ids, lengths, styles, speeds)
    totals = batch[0].sum(-1)
    (features,) = run("front", *batch[1:], totals, styles)
    worst = dict.fromkeys(("durations", "asr", "pitch in Hz / 100", "energy", "features"), 0.0)
    for i in range(len(rows)):
        one = slice(i, i + 1)
        alone = run("plan", rows[i], lengths[one], styles[one], speeds[one])
        (alone_features,) = run("front", *alone[1:], totals[one], styles[one])
        scales = (1, 1, 100, 1, 1)
        for name, left, right, scale in zip(
            worst, (*batch, features), (*alone, alone_features), scales, strict=True
        ):
            gap = _gap(left[i, ..., : right.shape[-1]], right[0]) / scale
            worst[name] = max(worst[name], gap)
    for name, gap in worst.items():
        yield (
            f"a row in a batch equals it alone: {name}",
            gap,
            0.0 if name == "durations" else LIMIT,
        )


def _frames_and_noise(graphs: Graphs, ids: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    durations = graphs.plan(ids, torch.tensor([ids.shape[1]]), style, torch.ones(1))[0]
    frames = durations.sum(-1)
    noise = torch.randn(1, 600 * int(frames), generator=torch.Generator().manual_seed(1))
    return frames, noise


def _reference(
    network: Kokoro, ids: Tensor, style: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """PCM and durations of the published forward pass, and what went into its generator."""
    inner: dict[str, Tensor] = {}
    generator = network.decoder.generator
    hooks = [
        generator.register_forward_pre_hook(lambda _, given: inner.update(features=given[0])),
        generator.noise_convs[0].register_forward_pre_hook(
            lambda _, given: inner.update(harmonics=given[0])
        ),
    ]
    with mock.patch("torch.randn_like", _our_noise(network, noise)):
        audio, durations = network.reference_forward(ids, style, 1.0)
    for hook in hooks:
        hook.remove()
    return audio, durations, inner


def _our_noise(network: Kokoro, noise: Tensor) -> Any:
    weight = network.decoder.generator.m_source.l_linear.weight.detach()[0]
    nine = noise[:, :, None] * (weight / torch.linalg.vector_norm(weight))

    def randn_like(x: Tensor) -> Tensor:
        return nine.to(x.dtype) if x.shape[-1] == len(weight) else torch.zeros_like(x)

    return randn_like


def _source_in_float64(network: Kokoro, f0: Tensor, noise: Tensor) -> Tensor:
    generator = network.decoder.generator
    upsampled = generator.f0_upsamp(f0[:, None]).transpose(1, 2).double()
    generator.m_source.double()
    with mock.patch("torch.randn_like", _our_noise(network, noise)):
        pcm = generator.m_source(upsampled)[0]
    generator.m_source.float()
    return torch.cat(generator.stft.transform(pcm.transpose(1, 2)[:, 0].float()), dim=1)


def _piece(
    window: tuple[Tensor, ...], mean: Tensor, square: Tensor, start: int, end: int
) -> tuple[Tensor, ...]:
    """Frames ``start`` to ``end`` of a whole window, with given statistics."""
    features, harmonics, style, _, _, _, coarse, fine = window
    return (
        features[:, :, 2 * start : 2 * end].contiguous(),
        harmonics[:, :, 120 * start : 120 * end + 1].contiguous(),
        style,
        mean,
        square,
        torch.zeros(1),
        coarse[:, 20 * start : 20 * end],
        fine[:, 120 * start : 120 * end + 1],
    )


def _gap(left: Tensor, right: Tensor) -> float:
    assert left.shape == right.shape, (left.shape, right.shape)
    return float((left.double() - right.double()).abs().max())


if __name__ == "__main__":
    sys.exit(main())
