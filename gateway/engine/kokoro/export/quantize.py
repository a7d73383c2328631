# mypy: allow-untyped-calls, disable-error-code="import-not-found"
"""Graphs in lower precision, beside the fp32 ones: ``voice-gateway models quantize``.

    int8   generator          static QDQ: activations uint8 per tensor, weights int8 per channel,
                              of the 48 convolutions in residual blocks alone; for CPUs
    fp16   generator, front   weights and activations, but not the statistics of the norms; for GPUs

int8.  Four fifths of the generator's time are those convolutions, and they bear it: what comes
before (the source's convolutions) and after (the last one, the inverse STFT) does not, since it
carries phase or a logarithm.  The ranges of the activations are the least and greatest values
over windows of the calibration phrases, cut and with statistics as they are served.  Weights use 7
of their 8 bits: the x86 instruction before VNNI adds two products in 16 bits, and a file must
sound the same on every machine that may run it.

fp16.  A norm's variance is E[x²] - E[x]², where 11 bits cancel to nothing, and x² passes 65,504
once x passes 256.  So averages over time, what is squared for them, and all that has no time axis
stay in fp32; so does what follows the last convolution, an exponential and the inverse STFT.
``plan`` stays fp32 as well: it rounds durations, so another precision would speak other rhythms,
and it is a twentieth of the work.

bf16 is no file: onnxruntime's CPU provider has no bf16 convolution; where a CPU computes fp32
graphs in bf16 that is an option of the session.

Each variant is measured before it is listed: its windows against those of the fp32 graph, on
phrases that it was not calibrated with (``fidelity.py``).  For fp16 that is done on the CPU, which
may keep more bits between two operators than a GPU does: take the figure as the least that can be.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.clause import Clause
from gateway.engine.kokoro.export.fidelity import (
    SERVED_PRIOR,
    VOICES_MAX,
    Distance,
    Sentence,
    measure_variant,
    speak_as_served,
)
from gateway.engine.kokoro.graphs import SplitGraphs, generator_inputs
from gateway.engine.kokoro.manifest import (
    Graph,
    Manifest,
    StoredFile,
    Variant,
    write_manifest,
)
from gateway.engine.kokoro.phrases import CALIBRATION, tokens_of
from gateway.engine.kokoro.store import Model, open_model
from gateway.engine.kokoro.windows import Floats, Method, WindowSizes, divide
from gateway.errors import SetupError

GENERATOR = "generator"
VOICES_CALIBRATED = 2
"""Voices that ranges are taken from; they hardly depend on the voice."""

THREADS = 1
"""As the graphs are served, so that figures repeat."""

Reduced = Literal["int8", "fp16"]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A variant that was written, and all that was measured of it."""

    role: str
    variant: Variant
    distance: Distance


def quantize(
    folder: Path, precision: Reduced, say: Say, voices_max: int = VOICES_MAX
) -> list[Made]:
    """Write the variants of ``precision`` into ``folder`` and list them in its manifest.

    They are measured in the model's first ``voices_max`` voices.  Those of the same role and
    precision are replaced.  Raises SetupError for a model that is damaged or not split, or if a
    variant gives something that is no sound.
    """
    model = open_model(folder)
    graphs = SplitGraphs.open(model, plan_threads=THREADS, render_threads=THREADS)
    say("reference: the held-out phrases in fp32")
    sentences = speak_as_served(model, graphs, voices_max)
    made = []
    for role in _WRITERS[precision]:
        say(f"{role}: {precision}")
        made.append(_make(model, graphs, role, precision, sentences))
    manifest = model.manifest
    for each in made:
        manifest = with_variant(manifest, each.role, each.variant)
    write_manifest(folder, manifest)
    return made


def with_variant(manifest: Manifest, role: str, variant: Variant) -> Manifest:
    """``manifest`` with ``variant`` in the place of what it had in that precision."""
    others = [
        each for each in manifest.variants.get(role, ()) if each.precision != variant.precision
    ]
    variants = {**manifest.variants, role: (*others, variant)}
    return manifest.model_copy(update={"variants": variants})


def _make(
    model: Model,
    graphs: SplitGraphs,
    role: str,
    precision: Reduced,
    sentences: Sequence[Sentence],
) -> Made:
    """Write one file: under another name until it was measured."""
    file = model.folder / f"{role}.{precision}.onnx"
    part = file.with_name(f"{file.stem}.part.onnx")
    try:
        _WRITERS[precision][role](model, graphs, part)
        distance = _measured(model, graphs, role, part, sentences)
        if not math.isfinite(distance.lsd_db):
            raise SetupError(f"{role} in {precision} gives something that is no sound")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    stored = _stored(file)
    variant = Variant(
        **stored.model_dump(), precision=precision, distance_db=round(distance.lsd_db, 4)
    )
    return Made(role, variant, distance)


def _measured(
    model: Model, graphs: SplitGraphs, role: str, file: Path, sentences: Sequence[Sentence]
) -> Distance:
    """How far the sound is with ``file`` in the place of the role's graph."""
    (original, *_) = model.graphs(role)
    put_in = Graph.model_validate(original.model_dump() | {"file": file.name, "precision": "fp32"})
    manifest = model.manifest.model_copy(
        update={
            "graphs": tuple(put_in if each is original else each for each in model.manifest.graphs)
        }
    )
    variant = SplitGraphs.open(
        replace(model, manifest=manifest), plan_threads=THREADS, render_threads=THREADS
    )
    return measure_variant(sentences, variant)


def _stored(file: Path) -> StoredFile:
    return StoredFile(file=file.name, bytes=file.stat().st_size, sha256=sha256_of(file))


# ── int8 ───────────────────────────────────────────────────────────────────────────────────────


def _write_int8(model: Model, graphs: SplitGraphs, file: Path) -> None:
    original = model.path(model.graphs(GENERATOR)[0])
    with tempfile.TemporaryDirectory() as scratch:
        inferred = Path(scratch) / original.name
        quant_pre_process(str(original), str(inferred), skip_symbolic_shape=True)
        quantize_static(
            str(inferred),
            str(file),
            _Windows(calibration_windows(model, graphs)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=_block_convolutions(inferred),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def _block_convolutions(file: Path) -> list[str]:
    """Names of the convolutions in residual blocks; export/vocoder.py names the modules."""
    names = [
        node.name
        for node in onnx.load(file).graph.node
        if node.op_type == "Conv" and node.name.startswith(("/blocks.", "/noise_blocks."))
    ]
    if not names:
        raise SetupError(
            f"{file.name} has no residual blocks by the names that this gateway gives them; "
            "build the model again with: voice-gateway models export"
        )
    return names


def calibration_windows(model: Model, graphs: SplitGraphs) -> Iterator[dict[str, Floats]]:
    """The generator's inputs for each window of the calibration phrases, as they are served."""
    for voice in model.voices.names[:VOICES_CALIBRATED]:
        for phrase in CALIBRATION:
            style = model.voices.style(voice, len(phrase))
            (planned,) = graphs.plan([tokens_of(phrase)], style, [1.0])
            spans = divide(planned.frames, WindowSizes())
            prior = graphs.prior(voice, SERVED_PRIOR)
            clause = Clause(planned, style, prior, spans, Method.BLENDED, seed=0)
            for place, span in enumerate(spans):
                given = clause.given(place, graphs.statistics)
                window = (clause.acoustics(graphs), span, style, given)
                yield generator_inputs([window])
                ((audio, moments),) = graphs.generate([window])
                clause.receive(place, audio, moments)


class _Windows(CalibrationDataReader):  # type: ignore[misc]
    """Gives the calibrator one window after the other."""

    def __init__(self, windows: Iterable[dict[str, Floats]]) -> None:
        self._windows = iter(windows)

    def get_next(self) -> dict[str, Floats] | None:
        """The next window's inputs; None after the last."""
        return next(self._windows, None)


# ── fp16 ───────────────────────────────────────────────────────────────────────────────────────

AVERAGES = ("MatMul", "ReduceSum")
"""Operators that average over time in our graphs, and do nothing else in these roles."""


def _write_fp16_generator(model: Model, graphs: SplitGraphs, file: Path) -> None:
    _write_fp16(model, GENERATOR, file, ("features", "harmonics"), "/last/Conv")


def _write_fp16_front(model: Model, graphs: SplitGraphs, file: Path) -> None:
    _write_fp16(model, "front", file, ("asr", "f0", "n"), "")


def _write_fp16(model: Model, role: str, file: Path, timed: Sequence[str], last: str) -> None:
    loaded = onnx.load(model.path(model.graphs(role)[0]))
    own = {node.name for node in loaded.graph.node}
    half = convert_float_to_float16(
        loaded,
        keep_io_types=True,
        op_block_list=DEFAULT_OP_BLOCK_LIST,
        node_block_list=sorted(kept_in_fp32(loaded.graph, timed, last)),
    )
    drop_round_trips(half.graph, own)
    onnx.save(half, file)


def kept_in_fp32(graph: Any, timed: Sequence[str], last: str) -> set[str]:
    """Names of the nodes that stay: averages, what is squared for them, what has no time axis.

    ``timed`` are the inputs with a time axis; what follows the node ``last`` stays too.
    """
    in_time, after_last = set(timed), set[str]()
    maker = {output: node for node in graph.node for output in node.output}
    kept = set()
    for node in graph.node:
        is_timed = any(name in in_time for name in node.input)
        if any(name in after_last for name in node.input):
            after_last.update(node.output)
            kept.add(node.name)
        elif is_timed and node.op_type in AVERAGES:
            squares = (maker[name] for name in node.input if name in in_time and name in maker)
            kept |= {node.name, *(each.name for each in squares if each.op_type == "Mul")}
        elif is_timed:
            in_time.update(node.output)
            if node.name == last:
                after_last.update(node.output)
        else:
            kept.add(node.name)
    return kept


def drop_round_trips(graph: Any, own: set[str]) -> None:
    """Connect nodes in fp32 that the converter joined by way of fp16.

    It casts what every kept node gives, even where the next one is kept too; an average of squares
    would lose there what it was kept for.  ``own`` are names of nodes that it did not add.
    """
    casts = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "Cast" and node.name not in own
    }
    to = {name: node.attribute[0].i for name, node in casts.items()}
    direct = {
        name: casts[node.input[0]].input[0]
        for name, node in casts.items()
        if to[name] == onnx.TensorProto.FLOAT and to.get(node.input[0]) == onnx.TensorProto.FLOAT16
    }
    for name, source in direct.items():
        casts[name].input[0] = source  # what the graph gives keeps its name, and its cast
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = direct.get(name, name)
    wanted = {name for node in graph.node for name in node.input}
    wanted |= {output.name for output in graph.output}
    kept = [
        node for node in graph.node if node.op_type != "Cast" or not wanted.isdisjoint(node.output)
    ]
    del graph.node[:]
    graph.node.extend(kept)


_Write = Callable[[Model, SplitGraphs, Path], None]
_WRITERS: dict[Reduced, dict[str, _Write]] = {
    "int8": {GENERATOR: _write_int8},
    "fp16": {GENERATOR: _write_fp16_generator, "front": _write_fp16_front},
}
