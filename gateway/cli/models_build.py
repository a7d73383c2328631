"""``voice-gateway models export|standin|quantize``: build graphs; all need the extra 'export'."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.errors import InvalidValue, SetupError

if TYPE_CHECKING:
    from gateway.engine.kokoro.manifest import Manifest

Out = Annotated[Path, typer.Option("--out", help="Directory to write the model to.", metavar="DIR")]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole", help="Also write the whole model as one graph, to compare benchmarks with."
    ),
]


def export(
    checkpoint: Annotated[
        Path, typer.Option(help="The published weights, kokoro-v1_0.pth.", metavar="FILE")
    ],
    config: Annotated[Path, typer.Option(help="The published config.json.", metavar="FILE")],
    out: Out,
    voices: Annotated[
        list[Path] | None,
        typer.Option(
            help="Voices (.pt, .bin, .npz, .npy); without, those in voices/ beside the checkpoint.",
            metavar="FILE",
        ),
    ] = None,
    whole: Whole = False,
) -> None:
    """Build a model from a checkpoint: split, so that speech begins before a sentence is done.

    [bold]Example[/bold]

        voice-gateway models export --checkpoint kokoro-v1_0.pth --config config.json --out DIR
    """
    _need_extra()
    from gateway.engine.kokoro.export.checkpoint import read_config, read_voices
    from gateway.engine.kokoro.export.package import Label, write_package
    from gateway.engine.kokoro.export.reference import load, without_weight_norm

    found = read_config(config)
    tables = read_voices(voices or [], checkpoint.parent)
    network = without_weight_norm(load(found, checkpoint))
    label = Label(
        name=f"{checkpoint.stem}-split",
        stand_in=False,
        licence="Apache-2.0",
        source=str(checkpoint),
    )
    _report(write_package(network, found, tables, out, label, whole=whole, say=_say), out)


def standin(
    out: Out,
    tiny: Annotated[bool, typer.Option("--tiny", help="Under 5 MB, for tests.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
    whole: Whole = False,
) -> None:
    """Build a stand-in: the architecture with random weights.  It speaks noise.

    [bold]Example[/bold]

        voice-gateway models standin --out /tmp/standin
    """
    _need_extra()
    from gateway.engine.kokoro.export.package import Label, write_package
    from gateway.engine.kokoro.export.reference import FULL_SIZE, TINY
    from gateway.engine.kokoro.export.standin import build, voices_of

    config = TINY if tiny else FULL_SIZE
    voices = voices_of(seed)
    _say("weights")
    network = build(config, seed, voices)
    name = f"kokoro-standin-{'tiny' if tiny else 'full'}-{seed}"
    label = Label(name, stand_in=True, licence="Apache-2.0", source=f"random weights, seed {seed}")
    _report(write_package(network, config, voices, out, label, whole=whole, say=_say), out)


def quantize(
    folder: Annotated[
        Path, typer.Argument(help="Directory of a split model.", metavar="DIR", show_default=False)
    ],
    precision: Annotated[str, typer.Option(help="int8 for CPUs, fp16 for GPUs.")] = "int8",
) -> None:
    """Write graphs in lower precision beside a model's own, and measure how far they are.

    [bold]Example[/bold]

        voice-gateway models quantize DIR --precision int8
    """
    if precision == "bf16":
        raise InvalidValue(
            "--precision: there are no bf16 graphs, onnxruntime has no bf16 convolution on CPUs; "
            "use int8"
        )
    if precision not in ("int8", "fp16"):
        raise InvalidValue(f"--precision: {precision!r} is none of int8, fp16")
    _need("onnx", purpose="graphs are rewritten with onnx")
    from gateway.engine.kokoro.export.quantize import quantize as write

    for made in write(folder, "int8" if precision == "int8" else "fp16", _say):
        variant, distance = made.variant, made.distance
        typer.echo(
            f"{made.role} {variant.precision}: {variant.bytes / 1e6:.1f} MB in {variant.file}, "
            f"{variant.distance_db:.2f} dB from fp32 (signal to difference "
            f"{distance.snr_db:.1f} dB, greatest difference {distance.gap:.3f})"
        )


def _need_extra() -> None:
    _need(
        "torch",
        "kokoro",
        "onnx",
        purpose="models are built with PyTorch and the reference code",
    )


def _need(*names: str, purpose: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"{purpose}; {' and '.join(missing)} "
            "is not installed: pip install 'voice-gateway[export]'"
        )


def _say(what: str) -> None:
    typer.echo(what, err=True)


def _report(manifest: Manifest, out: Path) -> None:
    kind = "stand-in with random weights" if manifest.stand_in else "model"
    size = sum(file.bytes for file in manifest.files) / 1e6
    typer.echo(f"{kind} {manifest.name}: {size:.1f} MB in {out}")
