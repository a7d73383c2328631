# mypy: allow-subclassing-any, allow-untyped-calls, disable-error-code="import-not-found"
"""Building blocks that treat each row of a padded batch as if it were alone.

``mask`` is float32 [B, 1, N], one where a row has data.  Whatever looks along time needs it: norms
average over the mask, convolutions see zeros beyond a row's end, and LSTMs get the lengths (ONNX
has an input for them; ``pack_padded_sequence`` does not export with free dimensions).

The STFT pair is that of ``torch.stft``/``torch.istft`` in real arithmetic: reflected edges, and
the division by the window's envelope at the clip's ends.  The ``CustomSTFT`` of the ``kokoro``
package is not used: its inverse weights the inner bins by half, a tilt of 6 dB.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

NORM_EPSILON = 1e-5


def mask_of(lengths: Tensor, size: int | Tensor) -> Tensor:
    """Lengths [B] → [B, 1, size]."""
    positions = torch.arange(size, device=lengths.device)
    return (positions[None, None, :] < lengths[:, None, None]).float()


class _LstmOperator(torch.autograd.Function):
    """A bidirectional LSTM over rows of different lengths: [B, N, I] → [B, N, 2H].

    PyTorch runs it with its own weights; the exporter writes ONNX's operator with the same weights
    in ONNX's layout, and the lengths as the operator's input.
    """

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, x, lengths, weight, recurrence, bias, *own
    ):
        rnn = nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        zeros = x.new_zeros(2, x.shape[0], recurrence.shape[2])
        out, _, _ = torch.lstm(
            packed.data, packed.batch_sizes, (zeros, zeros), own, True, 1, 0.0, False, True
        )
        packed = rnn.PackedSequence(
            out, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        )
        return rnn.pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0]

    @staticmethod
    def symbolic(  # type: ignore[no-untyped-def]
        g, x, lengths, weight, recurrence, bias, *own
    ):
        width = recurrence.type().sizes()[2]
        time_first = g.op("Transpose", x, perm_i=[1, 0, 2])
        lengths = g.op("Cast", lengths, to_i=torch.onnx.TensorProtoDataType.INT32)
        out = g.op(
            "LSTM",
            time_first,
            weight,
            recurrence,
            bias,
            lengths,
            hidden_size_i=width,
            direction_s="bidirectional",
        )
        rows = g.op("Transpose", out, perm_i=[2, 0, 1, 3])
        shape = g.op("Constant", value_t=torch.tensor([0, 0, -1]))
        return g.op("Reshape", rows, shape)


class Lstm(nn.Module):
    """``nn.LSTM`` (one layer, bidirectional, batch first) with lengths."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.own = [
            getattr(lstm, f"{kind}_l0{side}").detach()
            for side in ("", "_reverse")
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        gates = [_onnx_gates(weight) for weight in self.own]
        self.register_buffer("weight", torch.stack(gates[::4]))
        self.register_buffer("recurrence", torch.stack(gates[1::4]))
        bias = [torch.cat(gates[2:4]), torch.cat(gates[6:8])]
        self.register_buffer("bias", torch.stack(bias))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, N, I], [B] → [B, N, 2H], zero beyond each length."""
        return _LstmOperator.apply(x, lengths, self.weight, self.recurrence, self.bias, *self.own)


def _onnx_gates(weight: Tensor) -> Tensor:
    """PyTorch orders the gates (input, forget, cell, output), ONNX (i, o, f, c)."""
    i, f, c, o = weight.chunk(4)
    return torch.cat([i, o, f, c])


class MaskedAdaIn(nn.Module):
    """``AdaIN1d`` whose statistics are those of the unmasked part of each row."""

    def __init__(self, adain: Any) -> None:
        super().__init__()
        self.norm, self.fc = adain.norm, adain.fc

    def forward(self, x: Tensor, style: Tensor, mask: Tensor) -> Tensor:
        """[B, C, N], [B, 128], [B, 1, N] → [B, C, N]."""
        count = mask.sum(-1, keepdim=True)
        centred = x - (x * mask).sum(-1, keepdim=True) / count
        kept = centred * mask
        variance = (kept * kept).sum(-1, keepdim=True) / count
        gamma, beta = self.fc(style)[:, :, None].chunk(2, dim=1)
        weight, bias = self.norm.weight[None, :, None], self.norm.bias[None, :, None]
        gain = (1 + gamma) * weight * torch.rsqrt(variance + NORM_EPSILON)
        return centred * gain + ((1 + gamma) * bias + beta)


class MaskedResBlock(nn.Module):
    """``AdainResBlk1d``; an upsampling one needs the mask of its output as well."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = MaskedAdaIn(block.norm1), MaskedAdaIn(block.norm2)
        self.conv1, self.conv2, self.pool = block.conv1, block.conv2, block.pool
        self.shortcut = block.conv1x1 if block.learned_sc else nn.Identity()
        self.upsamples = block.upsample_type != "none"

    def forward(self, x: Tensor, style: Tensor, mask: Tensor, mask_out: Tensor) -> Tensor:
        """[B, C, N] → [B, D, N or 2N]; ``mask_out`` is ``mask`` unless the block upsamples."""
        y = functional.leaky_relu(self.norm1(x, style, mask), 0.2) * mask
        y = self.conv1(self.pool(y) * mask_out)
        y = functional.leaky_relu(self.norm2(y, style, mask_out), 0.2) * mask_out
        y = self.conv2(y)
        if self.upsamples:
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return (y + self.shortcut(x)) * math.sqrt(0.5)


class Stft(nn.Module):
    """``torch.stft`` as (magnitude, angle): [B, L] → [B, n + 2, L / hop + 1]."""

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        self.half, self.hop, self.bins = size // 2, hop, size // 2 + 1
        window = torch.hann_window(size, periodic=True, dtype=torch.float64)
        basis = torch.cat(_dft(size)) * window
        self.register_buffer("basis", basis.float()[:, None, :])

    def forward(self, pcm: Tensor) -> Tensor:
        """Magnitudes, then angles in radians."""
        padded = functional.pad(pcm[:, None, :], (self.half, self.half), mode="reflect")
        both = functional.conv1d(padded, self.basis, stride=self.hop)
        real, imaginary = both[:, : self.bins], both[:, self.bins :]
        magnitude = torch.sqrt(real * real + imaginary * imaginary)
        return torch.cat([magnitude, _angle(imaginary, real)], dim=1)


class InverseStft(nn.Module):
    """``torch.istft``: magnitude and angle [B, bins, F] → [B, (F - 1) · hop]."""

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        self.half, self.hop = size // 2, hop
        window = torch.hann_window(size, periodic=True, dtype=torch.float64)
        sides = torch.full((size // 2 + 1, 1), 2.0 / size, dtype=torch.float64)
        sides[0] = sides[-1] = 1.0 / size
        basis = torch.cat([part * sides * window for part in _dft(size)])
        self.register_buffer("basis", basis.float()[:, None, :])
        self.register_buffer("squared", (window * window).float()[None, None, :])

    def forward(self, magnitude: Tensor, angle: Tensor) -> Tensor:
        """Overlap-add, divided by the sum of the squared windows that overlap."""
        parts = torch.cat([magnitude * torch.cos(angle), magnitude * torch.sin(angle)], dim=1)
        summed = functional.conv_transpose1d(parts, self.basis, stride=self.hop)
        ones = torch.ones_like(magnitude[:1, :1])
        envelope = functional.conv_transpose1d(ones, self.squared, stride=self.hop)
        inner = slice(self.half, -self.half)
        return (summed[:, 0, inner]) / envelope[:, 0, inner]


def _dft(size: int) -> tuple[Tensor, Tensor]:
    """Cosines and negated sines, [bins, size]; exactly zero where the sine is."""
    bins = torch.arange(size // 2 + 1, dtype=torch.float64)
    samples = torch.arange(size, dtype=torch.float64)
    angle = 2 * math.pi * (torch.outer(bins, samples) % size) / size
    sines = -torch.sin(angle)
    sines[0] = sines[-1] = 0.0
    return torch.cos(angle), sines


def _angle(imaginary: Tensor, real: Tensor) -> Tensor:
    """atan2 with +π for negative reals, and 0 (not NaN, as the ONNX form gives) at the origin."""
    zero = torch.zeros_like(real)
    safe = torch.where(real == 0, torch.full_like(real, 1e-30), real)
    half_turn = torch.where(imaginary < 0, zero - math.pi, zero + math.pi)
    return torch.atan(imaginary / safe) + torch.where(real < 0, half_turn, zero)
