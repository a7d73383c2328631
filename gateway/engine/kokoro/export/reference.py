# mypy: allow-subclassing-any, allow-untyped-calls, disable-error-code="import-not-found"
"""The published Kokoro modules, built from a config, at any width.

The modules come from the ``kokoro`` package (0.9.4, Apache-2.0).  Importing the package itself
would pull its text frontend, so its ``model`` module is imported through an empty parent package.
The published ``Decoder`` fixes three widths in its constructor; ``_Decoder`` takes them as
arguments (and inherits the forward pass), which is what makes a tiny model possible.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gateway.errors import SetupError

Config = Mapping[str, Any]
"""The keys of the published ``config.json``; ``decoder`` may add the widths of a small model."""

STYLE_WIDTH = 128
"""Half of a style vector; the reference forward pass has it as a literal."""

FULL_SIZE: Config = {
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        "resblock_kernel_sizes": [3, 7, 11],
        "upsample_initial_channel": 512,
    },
    "hidden_dim": 512,
    "n_layer": 3,
    "n_mels": 80,
    "n_token": 178,
    "style_dim": STYLE_WIDTH,
    "max_dur": 50,
    "dropout": 0.2,
    "text_encoder_kernel_size": 5,
    "plbert": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 2048,
        "max_position_embeddings": 512,
        "num_hidden_layers": 12,
        "dropout": 0.1,
    },
}
"""Kokoro-82M."""

TINY: Config = {
    **FULL_SIZE,
    "istftnet": {**FULL_SIZE["istftnet"], "upsample_initial_channel": 16},
    "hidden_dim": 32,
    "plbert": {
        **FULL_SIZE["plbert"],
        "hidden_size": 32,
        "embedding_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
    },
    "decoder": {"wide": 32, "aligned": 8},
}
"""The same graph in every respect but width, for tests."""

PARTS = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")


def published() -> Any:
    """The module ``kokoro.model``."""
    if "kokoro" not in sys.modules:
        spec = importlib.util.find_spec("kokoro")
        assert spec is not None, "the extra 'export' is checked before"
        assert spec.submodule_search_locations is not None
        parent = types.ModuleType("kokoro")
        parent.__path__ = list(spec.submodule_search_locations)
        sys.modules["kokoro"] = parent
    return importlib.import_module("kokoro.model")


class Kokoro(nn.Module):
    """The reference network with random weights, in inference mode.

    It has the attributes that ``KModel.forward_with_tokens`` uses, so the published forward pass
    runs on it: ``reference_forward``.
    """

    def __init__(self, config: Config, *, real_arithmetic: bool = False) -> None:
        """``real_arithmetic`` takes the package's STFT without complex numbers, which exports."""
        super().__init__()
        warnings.simplefilter("ignore", FutureWarning)  # the package's weight_norm is deprecated
        warnings.filterwarnings("ignore", message="dropout option adds dropout")
        model = published()
        hidden, style = config["hidden_dim"], config["style_dim"]
        if style != STYLE_WIDTH:
            raise SetupError(f"style_dim is {style}; the reference forward pass needs 128")
        self.bert = model.CustomAlbert(
            model.AlbertConfig(vocab_size=config["n_token"], **config["plbert"])
        )
        self.bert_encoder = nn.Linear(config["plbert"]["hidden_size"], hidden)
        self.predictor = model.ProsodyPredictor(
            style_dim=style,
            d_hid=hidden,
            nlayers=config["n_layer"],
            max_dur=config["max_dur"],
            dropout=config["dropout"],
        )
        self.text_encoder = model.TextEncoder(
            channels=hidden,
            kernel_size=config["text_encoder_kernel_size"],
            depth=config["n_layer"],
            n_symbols=config["n_token"],
        )
        self.decoder = _decoder(config, real_arithmetic)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.bert.device

    def reference_forward(
        self, input_ids: torch.Tensor, style: torch.Tensor, speed: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The published forward pass of one sentence: (PCM [n], durations [N])."""
        forward = published().KModel.forward_with_tokens
        audio, durations = forward(self, input_ids, style, speed)
        return audio, durations


def load(config: Config, checkpoint: Path) -> Kokoro:
    """The network with the weights of ``checkpoint`` (a ``.pth`` as published).

    Raises SetupError if the file is not such a checkpoint or does not fit the config.
    """
    network = Kokoro(config)
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise SetupError(f"{checkpoint} is not a PyTorch checkpoint: {reason}") from error
    missing = [part for part in PARTS if part not in state]
    if missing:
        raise SetupError(f"{checkpoint} has no weights for {', '.join(missing)}")
    for part in PARTS:
        weights = {key.removeprefix("module."): value for key, value in state[part].items()}
        try:
            found = getattr(network, part).load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise SetupError(f"{checkpoint} does not fit the config: {error}") from error
        # The affine weights of the instance norms are not in the published checkpoint: they exist
        # in the code for the sake of an old exporter, and keep their initial ones and zeros.
        affine = (".norm.weight", ".norm.bias")
        absent = [key for key in found.missing_keys if not key.endswith(affine)]
        if absent:
            raise SetupError(f"{checkpoint} has no weights for {part}: {', '.join(absent[:5])}")
    return network


def without_weight_norm(network: Kokoro) -> Kokoro:
    """The same network with each weight normalisation folded into its weight (in place)."""
    for module in network.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)
    return network


def _decoder(config: Config, real_arithmetic: bool) -> Any:
    istftnet = importlib.import_module("kokoro.istftnet")
    hidden, style, net = config["hidden_dim"], config["style_dim"], config["istftnet"]
    net = {**net, "disable_complex": real_arithmetic}
    if "decoder" not in config:
        return istftnet.Decoder(dim_in=hidden, style_dim=style, dim_out=config["n_mels"], **net)

    class _Decoder(istftnet.Decoder):  # type: ignore[name-defined]
        def __init__(self, wide: int, aligned: int) -> None:
            nn.Module.__init__(self)
            block, normed = istftnet.AdainResBlk1d, nn.utils.weight_norm
            narrow = net["upsample_initial_channel"]
            self.encode = block(hidden + 2, wide, style)
            between = wide + aligned + 2
            self.decode = nn.ModuleList([block(between, wide, style) for _ in range(3)])
            self.decode.append(block(between, narrow, style, upsample=True))
            self.F0_conv = normed(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
            self.N_conv = normed(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
            self.asr_res = nn.Sequential(normed(nn.Conv1d(hidden, aligned, kernel_size=1)))
            self.generator = istftnet.Generator(style, **net)

    return _Decoder(**config["decoder"])
