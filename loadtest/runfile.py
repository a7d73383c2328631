"""Run files: what a benchmark measured, so that it can be compared later.  Pure but for a reader.

One run, as benchmarks write it, or several, as ``compare --keep`` writes them:

    {"machine": …, "figures": {NAME: FIGURE, …}}
    {"machine": …, "runs": [{"figures": {NAME: FIGURE, …}}, …]}

    FIGURE   {"value": number, "unit": "s", "better": "lower" | "higher"}
             {"samples": [number, …], …}

``machine`` is text, or an object with ``kind``.  A run says one number for each figure: its value,
or the median of its samples; the samples of one run are not independent of each other, so they
never count as runs (docs/benchmarks.md, "Comparing").  Figures with the unit ``ratio`` were
measured against a reference in the same run: only they mean something on another day.

Other fields are ignored.  Limits: 64 MiB a file, 1,000 runs, 1,000 figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

import orjson

Better: TypeAlias = Literal["lower", "higher"]
Run: TypeAlias = "Mapping[str, Figure]"
"""Figures by name."""

RATIO = "ratio"
FILE_BYTES_MAX = 64 << 20
RUNS_MAX = 1000
FIGURES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run says: ``value`` in ``unit`` (seconds are ``s``, pure numbers ``ratio``)."""

    value: float
    unit: str
    better: Better


@dataclass(frozen=True, slots=True)
class Runs:
    """One or more runs on one machine; ``machine`` is its kind, "" if the file does not say."""

    machine: str
    runs: tuple[Run, ...]

    def names(self) -> list[str]:
        """Figures that every run has, in the order of the first."""
        first, *others = self.runs
        return [name for name in first if all(name in other for other in others)]

    def values(self, name: str) -> list[float]:
        """The figure ``name`` of each run."""
        return [run[name].value for run in self.runs]


def parse_runs(data: bytes, source: str) -> Runs:
    """Read a file's content; raises ValueError that names ``source`` and the field."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{source} is not JSON: {error}") from None
    if not isinstance(document, dict) or not ("figures" in document or "runs" in document):
        raise ValueError(f"{source} is no run file: it has neither 'figures' nor 'runs'")
    runs = document.get("runs", [document])
    if not isinstance(runs, list) or not 1 <= len(runs) <= RUNS_MAX:
        raise ValueError(f"{source}: 'runs' must be a list of 1 to {RUNS_MAX} runs")
    return Runs(machine_kind(document.get("machine")), tuple(_run(each, source) for each in runs))


def read_runs(path: Path) -> Runs:
    """Read a run file; raises ValueError for one that is none, OSError if it can't be read."""
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise ValueError(f"{path} has {size} bytes; a run file has at most {FILE_BYTES_MAX}")
    return parse_runs(path.read_bytes(), str(path))


def joined(parts: Iterable[Runs]) -> Runs:
    """All runs in one; raises ValueError if they are of different machines."""
    each = list(parts)
    kinds = {part.machine for part in each}
    if len(kinds) != 1:
        raise ValueError(f"runs of different machines can't be joined: {', '.join(sorted(kinds))}")
    return Runs(kinds.pop(), tuple(run for part in each for run in part.runs))


def as_document(runs: Runs) -> dict[str, object]:
    """The object that a file of ``runs`` holds; a writer may add fields of its own."""
    return {
        "machine": {"kind": runs.machine},
        "runs": [{"figures": {name: _plain(run[name]) for name in run}} for run in runs.runs],
    }


def to_json(runs: Runs) -> bytes:
    """The file of ``runs``."""
    return orjson.dumps(as_document(runs), option=orjson.OPT_INDENT_2)


def machine_kind(machine: object) -> str:
    """What machines must have in common, so that their seconds can be compared."""
    if isinstance(machine, Mapping):
        machine = machine.get("kind", "")
    # The commands' description ends with the load of the moment.
    return machine.partition(", load average")[0] if isinstance(machine, str) else ""


def _run(document: object, source: str) -> Run:
    figures = document.get("figures") if isinstance(document, dict) else None
    if not isinstance(figures, dict) or not 1 <= len(figures) <= FIGURES_MAX:
        raise ValueError(f"{source}: 'figures' must be an object of 1 to {FIGURES_MAX} figures")
    return {name: _figure(figure, f"{source}: figure {name!r}") for name, figure in figures.items()}


def _figure(document: Any, source: str) -> Figure:
    if not isinstance(document, dict):
        raise ValueError(f"{source} must be an object, not {document!r}")
    better = document.get("better")
    if better not in ("lower", "higher"):
        raise ValueError(f"{source}: 'better' is {better!r}; say 'lower' or 'higher'")
    unit = document.get("unit", "")
    if not isinstance(unit, str):
        raise ValueError(f"{source}: 'unit' is {unit!r}; say it in text")
    return Figure(_value(document, source), unit, better)


def _value(document: Mapping[str, Any], source: str) -> float:
    samples: Sequence[Any] = (
        [document["value"]] if "value" in document else document.get("samples", ())
    )
    if not isinstance(samples, list) or not samples:
        raise ValueError(f"{source} needs 'value', or 'samples' with at least one number")
    for sample in samples:
        if isinstance(sample, bool) or not isinstance(sample, int | float):
            raise ValueError(f"{source}: {sample!r} is not a number")
    value = float(median(samples))
    assert math.isfinite(value), "JSON has no infinite numbers"
    return value


def _plain(figure: Figure) -> dict[str, object]:
    return {"value": figure.value, "unit": figure.unit, "better": figure.better}
