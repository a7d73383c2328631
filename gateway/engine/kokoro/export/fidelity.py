"""How far windowed rendering is from decoding the whole clause at once, for each method.

    python -m gateway.engine.kokoro.export.fidelity --model DIR [--json]

Voices of the model (``--voices``, at most four unless told) speak sentences that its statistics
were not measured on.  The reference is the same model's generator run on the whole clause.
Reported, over all sentences:

    snr      10 log10(reference power / power of the difference), of the waveform
    lsd      root mean square difference of log mel spectra, in dB; see spectrum.py
    gap      greatest difference of two samples

*oracle* gives each window the clause's true statistics: what is left is the windowing itself.
*reseeded* is the whole clause with other noise: a difference that nobody would call one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from gateway.engine.kokoro.clause import Clause
from gateway.engine.kokoro.graphs import Planned, SplitGraphs
from gateway.engine.kokoro.phrases import HELD_OUT, tokens_of
from gateway.engine.kokoro.spectrum import spectral_distance_db
from gateway.engine.kokoro.store import Model, open_model
from gateway.engine.kokoro.windows import (
    Floats,
    Method,
    Moments,
    Statistics,
    WindowSizes,
    divide,
    whole,
)

VOICES_MAX = 4
SERVED_PRIOR = 160.0
PRIOR_WEIGHTS = (20.0, 40.0, 80.0, 160.0, 320.0)
SIZES = (WindowSizes(8, 20, 4), WindowSizes(12, 40, 4))


@dataclass(frozen=True, slots=True)
class Sentence:
    """One voice speaking one phrase, the PCM to compare with, and the clause's true statistics."""

    voice: str
    planned: Planned
    style: Floats
    reference: Floats
    statistics: Moments


@dataclass(frozen=True, slots=True)
class Distance:
    """Means over sentences, and the greatest gap."""

    method: str
    snr_db: float
    lsd_db: float
    gap: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--voices", type=int, default=VOICES_MAX)
    parser.add_argument("--json", action="store_true")
    choices = parser.parse_args()
    model = open_model(choices.model)
    graphs = SplitGraphs.open(model, plan_threads=1, render_threads=1)
    found = measure(model, graphs, voices_max=choices.voices)
    if choices.json:
        rows = [
            {"method": each.method, "snr_db": each.snr_db, "lsd_db": each.lsd_db, "gap": each.gap}
            for each in found
        ]
        facts = {"model": model.manifest.name, "stand_in": model.manifest.stand_in}
        print(json.dumps(facts | {"distances": rows}, indent=2))
        return
    kind = "STAND-IN, random weights" if model.manifest.stand_in else "trained weights"
    print(f"{model.manifest.name} ({kind}), {len(HELD_OUT)} sentences a voice")
    print(f"{'method':42} {'snr dB':>8} {'lsd dB':>8} {'gap':>9}")
    for each in found:
        row = f"{each.method:42} {each.snr_db:8.1f} {each.lsd_db:8.2f} {each.gap:9.1e}"
        print(row, flush=True)


def measure(
    model: Model,
    graphs: SplitGraphs,
    all_sizes: Sequence[WindowSizes] = SIZES,
    voices_max: int = VOICES_MAX,
) -> Iterator[Distance]:
    """All methods, each at all window sizes."""
    sentences = [
        _sentence(model, graphs, voice, phrase)
        for voice in model.voices.names[:voices_max]
        for phrase in HELD_OUT
    ]
    yield _distance("reseeded, whole", sentences, lambda each: _whole(graphs, each, seed=1)[0])
    for sizes in all_sizes:
        name = f"{sizes.first} then {sizes.core} + 2 × {sizes.context}"
        yield _distance(f"oracle, {name}", sentences, partial(_oracle, graphs, sizes))
        for method in (Method.LOCAL, Method.CARRIED, Method.PRIOR):
            yield _distance(
                f"{method}, {name}",
                sentences,
                partial(_windowed, graphs, sizes, method, 1.0),
            )
        for weight in PRIOR_WEIGHTS:
            yield _distance(
                f"{Method.BLENDED} (prior {weight:.0f}), {name}",
                sentences,
                partial(_windowed, graphs, sizes, Method.BLENDED, weight),
            )


def speak_as_served(model: Model, graphs: SplitGraphs, voices_max: int) -> list[Sentence]:
    """The held-out phrases in the model's first voices, in windows: what variants differ from."""
    sentences = [
        _planned(model, graphs, voice, phrase)
        for voice in model.voices.names[:voices_max]
        for phrase in HELD_OUT
    ]
    return [replace(each, reference=_served(graphs, each)) for each in sentences]


def measure_variant(sentences: Sequence[Sentence], variant: SplitGraphs) -> Distance:
    """``variant`` in the same windows as ``speak_as_served``: the precision alone differs."""
    return _distance("variant", sentences, partial(_served, variant))


def _served(graphs: SplitGraphs, sentence: Sentence) -> Floats:
    return _windowed(graphs, WindowSizes(), Method.BLENDED, SERVED_PRIOR, sentence)


def _distance(
    method: str, sentences: Sequence[Sentence], speak: Callable[[Sentence], Floats]
) -> Distance:
    snrs, distances, gap = [], [], 0.0
    for each in sentences:
        pcm = speak(each)
        difference = pcm - each.reference
        power = max(float(np.mean(difference**2)), 1e-20)
        snrs.append(10 * np.log10(float(np.mean(each.reference**2)) / power))
        distances.append(spectral_distance_db(pcm, each.reference))
        gap = max(gap, float(np.abs(difference).max()))
    return Distance(method, float(np.mean(snrs)), float(np.mean(distances)), gap)


def _sentence(model: Model, graphs: SplitGraphs, voice: str, phrase: str) -> Sentence:
    sentence = _planned(model, graphs, voice, phrase)
    reference, moments = _whole(graphs, sentence, seed=0)
    return replace(sentence, reference=reference, statistics=moments)


def _planned(model: Model, graphs: SplitGraphs, voice: str, phrase: str) -> Sentence:
    """A sentence that nobody has spoken yet."""
    style = model.voices.style(voice, len(phrase))
    (planned,) = graphs.plan([tokens_of(phrase)], style, [1.0])
    empty = np.zeros(0, np.float32)
    return Sentence(voice, planned, style, empty, Moments(empty, empty, 0))


def _whole(graphs: SplitGraphs, sentence: Sentence, seed: int) -> tuple[Floats, Moments]:
    span = whole(sentence.planned.frames)
    clause = Clause(sentence.planned, sentence.style, None, (span,), Method.EXACT, seed)
    given = clause.given(0, graphs.statistics)
    ((audio, moments),) = graphs.generate([(clause.acoustics(graphs), span, clause.style, given)])
    return clause.receive(0, audio, moments), moments


def _windowed(
    graphs: SplitGraphs, sizes: WindowSizes, method: Method, weight: float, sentence: Sentence
) -> Floats:
    spans = divide(sentence.planned.frames, sizes)
    prior = graphs.prior(sentence.voice, weight)
    clause = Clause(sentence.planned, sentence.style, prior, spans, method, seed=0)
    parts = []
    for place, span in enumerate(spans):
        given = clause.given(place, graphs.statistics)
        ((audio, moments),) = graphs.generate(
            [(clause.acoustics(graphs), span, clause.style, given)]
        )
        parts.append(clause.receive(place, audio, moments))
    return np.concatenate(parts)


def _oracle(graphs: SplitGraphs, sizes: WindowSizes, sentence: Sentence) -> Floats:
    spans = divide(sentence.planned.frames, sizes)
    clause = Clause(sentence.planned, sentence.style, None, spans, Method.PRIOR, seed=0)
    true = Statistics(sentence.statistics.mean, sentence.statistics.square, 0.0)
    parts = []
    for place, span in enumerate(spans):
        ((audio, moments),) = graphs.generate(
            [(clause.acoustics(graphs), span, clause.style, true)]
        )
        parts.append(clause.receive(place, audio, moments))
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
