# mypy: allow-subclassing-any, allow-untyped-calls, disable-error-code="import-not-found"
"""Graphs ``front``, ``source`` and ``generator``: aligned features → PCM.

    front      asr [B, C, T]  f0, n [B, 2T]  frames int64 [B]  style [B, 256]
               → features [B, D, 2T]
    source     f0 [B, 2T]  phase0 [B, H] turns  noise [B, 600T], standard normal
               → harmonics [B, 22, 120T + 1]  phase_end [B, H]
    generator  of W frames: features [B, D, 2W]  harmonics [B, 22, 120W + 1]  style [B, 256]
               mean, square [B, S]  own_share [B]  count_coarse [B, 20W]  count_fine [B, 120W + 1]
               → audio [B, 600W]  own_mean, own_square [B, S]

``front`` and ``source`` run once on a clause, since their norms and their phase span it;
``generator`` runs on windows.  Its 48 instance norms have S channels in all, ordered as they run.
Each norm uses

    statistic = (1 - own_share) · given + own_share · own      for E[x] and for E[x²]

where *own* is the average over the positions that ``count_*`` weights (the core of the window,
without its context).  A share of one over a whole clause is the reference; a share of zero with the
clause's true statistics gives the same samples from any window.

The reference adds nine noises a sample and mixes them linearly; one noise, scaled by the norm of
the mixing weights, has the same distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from gateway.engine.kokoro.export.layers import (
    NORM_EPSILON,
    InverseStft,
    MaskedResBlock,
    Stft,
    mask_of,
)
from gateway.engine.kokoro.export.reference import STYLE_WIDTH, Kokoro


class FrontGraph(nn.Module):
    """The decoder up to the generator, on a whole clause."""

    INPUTS = ("asr", "f0", "n", "frames", "style")
    OUTPUTS = ("features",)

    def __init__(self, network: Kokoro) -> None:
        super().__init__()
        decoder = network.decoder
        self.pitch, self.energy, self.aligned = decoder.F0_conv, decoder.N_conv, decoder.asr_res
        self.encode = MaskedResBlock(decoder.encode)
        self.decode = nn.ModuleList([MaskedResBlock(block) for block in decoder.decode])

    def forward(self, asr: Tensor, f0: Tensor, n: Tensor, frames: Tensor, style: Tensor) -> Tensor:
        """See the module's docstring."""
        size = asr.shape[-1]
        mask, twice = mask_of(frames, size), mask_of(2 * frames, 2 * size)
        style = style[:, :STYLE_WIDTH]
        pitch = self.pitch(f0[:, None] * twice) * mask
        energy = self.energy(n[:, None] * twice) * mask
        aligned = self.aligned(asr) * mask
        x = self.encode(torch.cat([asr * mask, pitch, energy], dim=1), style, mask, mask)
        for block in self.decode:
            x = torch.cat([x * mask, aligned, pitch, energy], dim=1)
            x = block(x, style, mask, twice if block.upsamples else mask)
        return x * twice


class SourceGraph(nn.Module):
    """The harmonic source of a clause, as the spectrum that the generator takes."""

    INPUTS = ("f0", "phase0", "noise")
    OUTPUTS = ("harmonics", "phase_end")

    def __init__(self, network: Kokoro) -> None:
        super().__init__()
        generator = network.decoder.generator
        source = generator.m_source
        sines = source.l_sin_gen
        self.step, self.rate = sines.upsample_scale, sines.sampling_rate
        self.amplitude, self.noise_std = sines.sine_amp, sines.noise_std
        self.voiced_above = sines.voiced_threshold
        self.mix = source.l_linear
        self.noise_gain = float(torch.linalg.vector_norm(self.mix.weight.detach()))
        self.register_buffer("multiples", torch.arange(1.0, sines.dim + 1)[None, :, None])
        offsets = torch.arange(float(self.step)) - (self.step - 1) / 2
        self.register_buffer("before", offsets.clamp(max=0)[None, None, None, :])
        self.register_buffer("after", offsets.clamp(min=0)[None, None, None, :])
        self.stft = Stft(generator.post_n_fft, generator.stft.hop_length)

    def forward(self, f0: Tensor, phase0: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        mixed, phase_end = self._harmonics(f0, phase0)
        voiced = (f0 > self.voiced_above).float()[:, :, None]
        level = voiced * self.noise_std + (1 - voiced) * (self.amplitude / 3)
        blocks = noise.unflatten(-1, (-1, self.step))
        source = mixed * voiced + self.mix.bias + level * (self.noise_gain * blocks)
        return self.stft(torch.tanh(source.flatten(1))), phase_end

    def _harmonics(self, f0: Tensor, phase0: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the sines [B, 2T, 300], and the phases at its end.

        The reference sums turns over the whole clause, multiplies by 300 and interpolates linearly
        between the middles of the blocks, in float32: after ten seconds that is 0.01 rad coarse.
        The same curve is drawn here from whole turns dropped at each block.
        """
        turns = (f0[:, None] * self.multiples / self.rate) % 1
        steps = f0[:, None] * self.multiples / (self.rate / self.step)  # by 80, which is exact
        middle = (torch.cumsum(steps - torch.round(steps), -1) + phase0[:, :, None]) % 1
        edge = torch.zeros_like(turns[:, :, :1])
        before, after = (
            torch.cat([edge, turns[:, :, 1:]], -1),
            torch.cat([turns[:, :, 1:], edge], -1),
        )
        phase = middle[..., None] + before[..., None] * self.before + after[..., None] * self.after
        sines = torch.sin(phase * (2 * math.pi))
        weights = self.mix.weight[0, None, :, None, None] * self.amplitude
        return (sines * weights).sum(1), middle[:, :, -1]


class GeneratorGraph(nn.Module):
    """The costly part, on a window; see the module's docstring."""

    INPUTS = (
        "features",
        "harmonics",
        "style",
        "mean",
        "square",
        "own_share",
        "count_coarse",
        "count_fine",
    )
    OUTPUTS = ("audio", "own_mean", "own_square")

    def __init__(self, network: Kokoro) -> None:
        super().__init__()
        generator = network.decoder.generator
        self.levels = generator.num_upsamples
        self.ups, self.noise_convs = generator.ups, generator.noise_convs
        self.noise_blocks = nn.ModuleList([_SnakeBlock(block) for block in generator.noise_res])
        self.blocks = nn.ModuleList([_SnakeBlock(block) for block in generator.resblocks])
        self.kernels = generator.num_kernels
        self.last, self.bins = generator.conv_post, generator.post_n_fft // 2 + 1
        self.inverse = InverseStft(generator.post_n_fft, generator.stft.hop_length)
        norms = [norm for block in self._in_order() for norm in block.adains]
        self.widths = [norm.fc.out_features // 2 for norm in norms]
        weights = [norm.fc.weight.detach() for norm in norms]
        biases = [norm.fc.bias.detach() for norm in norms]
        self.register_buffer("gamma_weight", torch.cat([w.chunk(2)[0] for w in weights]))
        self.register_buffer("gamma_bias", torch.cat([b.chunk(2)[0] for b in biases]))
        self.register_buffer("beta_weight", torch.cat([w.chunk(2)[1] for w in weights]))
        self.register_buffer("beta_bias", torch.cat([b.chunk(2)[1] for b in biases]))
        self.register_buffer("norm_weight", torch.cat([n.norm.weight.detach() for n in norms]))
        self.register_buffer("norm_bias", torch.cat([n.norm.bias.detach() for n in norms]))

    @property
    def statistics(self) -> int:
        """S: the channels of all norms."""
        return sum(self.widths)

    def _in_order(self) -> list[_SnakeBlock]:
        """The blocks in the order in which they run, which orders the statistics."""
        out: list[_SnakeBlock] = []
        for level in range(self.levels):
            out.append(self.noise_blocks[level])
            out += list(self.blocks[level * self.kernels : (level + 1) * self.kernels])
        return out

    def forward(
        self,
        features: Tensor,
        harmonics: Tensor,
        style: Tensor,
        mean: Tensor,
        square: Tensor,
        own_share: Tensor,
        count_coarse: Tensor,
        count_fine: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the module's docstring."""
        style = style[:, :STYLE_WIDTH]
        gain = 1 + functional.linear(style, self.gamma_weight, self.gamma_bias)
        shift = functional.linear(style, self.beta_weight, self.beta_bias) + gain * self.norm_bias
        given = (mean, square, gain * self.norm_weight, shift)
        pieces = [part[:, :, None].split(self.widths, dim=1) for part in given]
        norms = _Norms(list(zip(*pieces, strict=True)), own_share[:, None, None])
        x = features
        for level, count in enumerate((count_coarse, count_fine)):
            norms.count = (count / count.sum(-1, keepdim=True))[:, :, None]
            x = functional.leaky_relu(x, 0.1)
            excitation = self.noise_blocks[level](self.noise_convs[level](harmonics), norms)
            x = self.ups[level](x)
            if level == self.levels - 1:
                x = torch.cat([x[:, :, 1:2], x], dim=-1)  # ReflectionPad1d((1, 0))
            x = x + excitation
            blocks = self.blocks[level * self.kernels : (level + 1) * self.kernels]
            summed = blocks[0](x, norms)
            for block in blocks[1:]:
                summed = summed + block(x, norms)
            x = summed / self.kernels
        x = self.last(functional.leaky_relu(x, 0.01))
        audio = self.inverse(torch.exp(x[:, : self.bins]), torch.sin(x[:, self.bins :]))
        return audio, torch.cat(norms.means, 1)[:, :, 0], torch.cat(norms.squares, 1)[:, :, 0]


class _Norms:
    """The instance norms of one run, used up in order; gathers their own statistics."""

    def __init__(self, parameters: Sequence[tuple[Tensor, ...]], own_share: Tensor) -> None:
        self._parameters = iter(parameters)
        self._own_share = own_share
        self.count = own_share
        self.means: list[Tensor] = []
        self.squares: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, L] → normalised, scaled and shifted."""
        mean, square, gain, shift = next(self._parameters)
        own_mean, own_square = x @ self.count, (x * x) @ self.count
        self.means.append(own_mean)
        self.squares.append(own_square)
        mean = mean + self._own_share * (own_mean - mean)
        square = square + self._own_share * (own_square - square)
        variance = functional.relu(square - mean * mean)
        scale = gain * torch.rsqrt(variance + NORM_EPSILON)
        return x * scale + (shift - mean * scale)


class _SnakeBlock(nn.Module):
    """``AdaINResBlock1`` with its norms taken out."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_interleaved(block.convs1, block.convs2))
        self.adains: list[Any] = _interleaved(block.adain1, block.adain2)
        alphas = _interleaved(block.alpha1, block.alpha2)
        for i, alpha in enumerate(alphas):
            self.register_buffer(f"alpha{i}", alpha.detach().clone())
            self.register_buffer(f"inverse{i}", 1 / alpha.detach())

    def forward(self, x: Tensor, norms: _Norms) -> Tensor:
        """[B, C, L] → [B, C, L]."""
        y = x
        for i, convolution in enumerate(self.convs):
            y = norms(y)
            wave = torch.sin(getattr(self, f"alpha{i}") * y)
            y = convolution(y + getattr(self, f"inverse{i}") * (wave * wave))
            if i % 2 == 1:
                x = x + y
                y = x
        return x


def _interleaved(first: Any, second: Any) -> list[Any]:
    return [item for pair in zip(first, second, strict=True) for item in pair]
