"""Hardware profiles: how to begin on a machine that was not measured, and what to try there.

The data is in profiles.toml.  A profile only chooses among ways on the CPU, in fp32: an accelerator
or a lower precision serves after a child process has shown that it works on this very machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.engine.hardware import Hardware
from gateway.engine.placement import CPU, STAGES, THROUGHPUT, Choice, Placement, Way


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Profile(_Row):
    """One table ``[[profile]]``; see profiles.toml."""

    name: str
    system: str = ""
    machine: str = ""
    processor: str = ""
    accelerator: str = ""
    measure_first: bool = False
    plan_threads_max: int = Field(ge=1)
    render_threads: int = Field(ge=1)
    lanes: Literal["all", "fast"]

    def matches(self, hardware: Hardware) -> bool:
        """Whether this profile is for such a machine."""
        return (
            self.system in ("", hardware.system)
            and self.machine in ("", hardware.machine)
            and self.processor in hardware.processor
            and (not self.accelerator or any(self.accelerator in a for a in hardware.accelerators))
        )


class OptionSet(_Row):
    """One table ``[[ways]]``; see profiles.toml."""

    provider: str
    machine: str = ""
    stages: tuple[str, ...] = STAGES
    precisions: tuple[str, ...] = ()
    options: dict[str, str] = {}
    config: dict[str, str] = {}
    batches: tuple[int, ...] = (1,)
    lanes: tuple[int, ...] = (1,)
    static: bool = False


class _Table(_Row):
    profile: tuple[Profile, ...]
    ways: tuple[OptionSet, ...]


@dataclass(frozen=True, slots=True)
class StageFile:
    """A graph that a stage can be run with; ``distance_db`` is None for the original."""

    stage: str
    file: str
    precision: str
    distance_db: float | None = None


@lru_cache(maxsize=1)
def _table() -> _Table:
    file = Path(__file__).with_name("profiles.toml")
    return _Table.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def find_profile(hardware: Hardware) -> Profile:
    """The first profile that matches; the last matches every machine."""
    return next(profile for profile in _table().profile if profile.matches(hardware))


def starting_point(originals: Mapping[str, str], hardware: Hardware) -> Placement:
    """The profile's placement; ``originals`` maps each stage to its fp32 file."""
    profile = find_profile(hardware)
    plan_threads = min(profile.plan_threads_max, hardware.cores)
    choices = {}
    for stage, file in originals.items():
        if stage == THROUGHPUT:
            lanes = hardware.fast_cores if profile.lanes == "fast" else hardware.cores
            way = Way(stage, file, threads=profile.render_threads)
            choices[stage] = Choice(way, max(1, lanes // profile.render_threads))
        else:
            choices[stage] = Choice(Way(stage, file, threads=plan_threads))
    return Placement(choices, f"profile {profile.name}: nothing was measured here")


def ways_to_try(
    stage_files: Sequence[StageFile], hardware: Hardware, providers: Sequence[str]
) -> list[Way]:
    """All that is worth measuring, each stage's ways from simple to elaborate.

    ``stage_files`` have a stage's original before its variants.
    """
    return [
        way
        for options in _table().ways
        if options.provider in providers and options.machine in ("", hardware.machine)
        for stage_file in stage_files
        if stage_file.stage in options.stages
        and (not options.precisions or stage_file.precision in options.precisions)
        for way in _ways(stage_file, options, hardware)
    ]


def thread_counts(cores: int) -> list[int]:
    """1, 2, 4, 8 and so on below ``cores``, and ``cores``."""
    counts = [1]
    while counts[-1] * 2 < cores:
        counts.append(counts[-1] * 2)
    return counts if cores == 1 else [*counts, cores]


def _ways(stage_file: StageFile, options: OptionSet, hardware: Hardware) -> Iterator[Way]:
    on_cpu = options.provider == CPU
    batched = stage_file.stage == THROUGHPUT
    for threads in thread_counts(hardware.cores) if on_cpu else [1]:
        lanes = (max(1, hardware.cores // threads),) if on_cpu else options.lanes
        yield Way(
            stage=stage_file.stage,
            file=stage_file.file,
            precision=stage_file.precision,
            provider=options.provider,
            options=tuple(sorted(options.options.items())),
            config=tuple(sorted(options.config.items())),
            threads=threads,
            lanes=lanes if batched else (1,),
            batches=options.batches if batched else (1,),
            static=options.static,
            distance_db=stage_file.distance_db,
        )
