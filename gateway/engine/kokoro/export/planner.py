# mypy: allow-subclassing-any, allow-untyped-calls, disable-error-code="import-not-found"
"""Graph ``plan``: tokens → durations, and what the decoder needs at frame rate.

    input_ids int64 [B, N]   lengths int64 [B]   style f32 [B, 256]   speed f32 [B]
    → durations int64 [B, N]   asr f32 [B, C, T]   f0 f32 [B, 2T]   n f32 [B, 2T]

One frame is 600 samples at 24 kHz.  T is the longest row's sum of durations; beyond a row's own sum
its outputs are zero.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from gateway.engine.kokoro.export.layers import Lstm, MaskedResBlock, mask_of
from gateway.engine.kokoro.export.reference import STYLE_WIDTH, Kokoro

MASKED_SCORE = -1e9
"""Added to the attention scores of padding; its softmax is exactly zero in float32."""


class PlanGraph(nn.Module):
    """See the module's docstring."""

    INPUTS = ("input_ids", "lengths", "style", "speed")
    OUTPUTS = ("durations", "asr", "f0", "n")

    def __init__(self, network: Kokoro) -> None:
        super().__init__()
        predictor = network.predictor
        self.bert = _Albert(network.bert)
        self.bert_encoder = network.bert_encoder
        self.durations = _DurationEncoder(predictor.text_encoder)
        self.duration_lstm = Lstm(predictor.lstm)
        self.duration_head = predictor.duration_proj.linear_layer
        self.shared = Lstm(predictor.shared)
        self.pitch = _Curve(predictor.F0, predictor.F0_proj)
        self.energy = _Curve(predictor.N, predictor.N_proj)
        self.text_encoder = _TextEncoder(network.text_encoder)

    def forward(
        self, input_ids: Tensor, lengths: Tensor, style: Tensor, speed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the module's docstring."""
        mask = mask_of(lengths, input_ids.shape[1])
        style = style[:, STYLE_WIDTH:]
        encoded, frames_real = self.predict_durations(input_ids, lengths, style, mask)
        scaled = torch.round(frames_real / speed[:, None]).clamp(min=1)
        durations = (scaled * mask[:, 0]).long()
        ends = durations.cumsum(-1)[:, :, None]
        times = torch.arange(durations.sum(-1).max(), device=durations.device)
        begun = (times[None, None, :] >= ends - durations[:, :, None]).float()
        alignment = begun - (times[None, None, :] >= ends).float()
        totals = durations.sum(-1)
        pitch, energy = self._curves(encoded.transpose(1, 2) @ alignment, totals, style)
        asr = self.text_encoder(input_ids, lengths, mask) @ alignment
        return durations, asr, pitch, energy

    def predict_durations(
        self, input_ids: Tensor, lengths: Tensor, style: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encoded tokens [B, N, C] and their lengths in frames, not yet rounded, at speed 1."""
        hidden = self.bert_encoder(self.bert(input_ids, mask))
        encoded = self.durations(hidden, style, lengths, mask)
        scores = self.duration_head(self.duration_lstm(encoded, lengths))
        return encoded, torch.sigmoid(scores).sum(-1)

    def _curves(self, aligned: Tensor, frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        size = aligned.shape[-1]
        mask, twice = mask_of(frames, size), mask_of(2 * frames, 2 * size)
        shared = self.shared(aligned.transpose(1, 2), frames).transpose(1, 2)
        return self.pitch(shared, style, mask, twice), self.energy(shared, style, mask, twice)


class _Albert(nn.Module):
    """PL-BERT, an ALBERT: one transformer layer, applied again and again."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        config = bert.config
        self.embeddings, self.project = bert.embeddings, bert.encoder.embedding_hidden_mapping_in
        self.layer = bert.encoder.albert_layer_groups[0].albert_layers[0]
        self.repeats, self.heads = config.num_hidden_layers, config.num_attention_heads
        self.scale = 1 / math.sqrt(config.hidden_size // config.num_attention_heads)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """[B, N], [B, 1, N] → [B, N, hidden]."""
        table = self.embeddings
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None, :]
        types = table.token_type_embeddings.weight[0]
        x = table.word_embeddings(input_ids) + types + table.position_embeddings(positions)
        x = self.project(table.LayerNorm(x))
        ignored = (1 - mask[:, None]) * MASKED_SCORE
        for _ in range(self.repeats):
            x = self._transform(x, ignored)
        return x

    def _transform(self, x: Tensor, ignored: Tensor) -> Tensor:
        layer, attention = self.layer, self.layer.attention
        query, key, value = (
            self._split(part(x)) for part in (attention.query, attention.key, attention.value)
        )
        scores = query @ key.transpose(-1, -2) * self.scale + ignored
        heads = torch.softmax(scores, dim=-1) @ value
        joined = heads.transpose(1, 2).flatten(2)
        x = attention.LayerNorm(x + attention.dense(joined))
        fed = layer.ffn_output(functional.gelu(layer.ffn(x), approximate="tanh"))
        return layer.full_layer_layer_norm(fed + x)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, x.shape[-1] // self.heads)).transpose(1, 2)


class _DurationEncoder(nn.Module):
    """Pairs of an LSTM and a norm that the style shifts."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        blocks = list(encoder.lstms)
        self.lstms = nn.ModuleList([Lstm(lstm) for lstm in blocks[::2]])
        self.norms = nn.ModuleList(blocks[1::2])

    def forward(self, x: Tensor, style: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """[B, N, C] → [B, N, C + 128], zero beyond each length."""
        column = mask.transpose(1, 2)
        styles = style[:, None, :] * column
        x = torch.cat([x * column, styles], dim=-1)
        for lstm, norm in zip(self.lstms, self.norms, strict=True):
            x = lstm(x, lengths)
            gamma, beta = norm.fc(style)[:, None, :].chunk(2, dim=-1)
            x = functional.layer_norm(x, (norm.channels,), eps=norm.eps)
            x = torch.cat([((1 + gamma) * x + beta) * column, styles], dim=-1)
        return x


class _TextEncoder(nn.Module):
    """Convolutions and an LSTM over the tokens themselves."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.embedding, self.cnn, self.lstm = encoder.embedding, encoder.cnn, Lstm(encoder.lstm)

    def forward(self, input_ids: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """[B, N] → [B, C, N], zero beyond each length."""
        x = self.embedding(input_ids).transpose(1, 2) * mask
        for convolution in self.cnn:
            x = convolution(x) * mask
        return self.lstm(x.transpose(1, 2), lengths).transpose(1, 2)


class _Curve(nn.Module):
    """Pitch or energy, twice a frame."""

    def __init__(self, blocks: Any, projection: Any) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([MaskedResBlock(block) for block in blocks])
        self.projection = projection

    def forward(self, x: Tensor, style: Tensor, mask: Tensor, twice: Tensor) -> Tensor:
        """[B, C, T] → [B, 2T], zero beyond each row's end."""
        for block in self.blocks:
            mask_out = twice if block.upsamples else mask
            x, mask = block(x, style, mask, mask_out), mask_out
        return (self.projection(x) * mask)[:, 0]
