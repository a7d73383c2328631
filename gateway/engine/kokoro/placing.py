"""Measuring a model on this machine, remembering it, and placing the model's stages accordingly.

    models place DIR ──► measure: a child makes the cases, then one child for each way tries it
                              └─► trials, remembered beside the model
    a start          ──► resolve: trials of this very machine ─► decide ─► a way for each stage
                              └─► none: the hardware profile, at once

What is remembered are the trials, not the decision: settings such as the margin or the permitted
spectral distance count when the model is opened.
"""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from gateway.engine.hardware import Hardware, detect, load_average
from gateway.engine.kokoro.graphs import ROLES
from gateway.engine.kokoro.placement_store import Measured, PlacementStore, placement_key
from gateway.engine.kokoro.runtime import installed
from gateway.engine.kokoro.store import Model, open_model
from gateway.engine.kokoro.trial_process import NOT_DONE, isolate
from gateway.engine.kokoro.trial_work import Job, read_report
from gateway.engine.placement import Limits, Placement, Share, Trial, Way, decide
from gateway.engine.profiles import StageFile, find_profile, starting_point, ways_to_try
from gateway.errors import SetupError
from gateway.settings import EngineSettings

logger = logging.getLogger(__name__)

Report = Callable[[int, int, str], None]
"""Called with how many children are done, how many there are, and what the next one tries."""


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, and the onnxruntime on it; ``providers`` are those that may be used."""

    hardware: Hardware
    onnxruntime: str
    providers: tuple[str, ...]


def this_machine(allowed: Sequence[str] = ()) -> Machine:
    """Look at it; raises SetupError if ``allowed`` names a provider that onnxruntime lacks."""
    version, providers = installed()
    for name in allowed:
        if name not in providers:
            raise SetupError(
                f"engine.placement.providers: onnxruntime {version} here has no {name}, but "
                f"{', '.join(providers)}",
                field="engine.placement.providers",
            )
    return Machine(
        detect(providers),
        version,
        tuple(each for each in providers if each in (allowed or providers)),
    )


def placer_of(folder: Path, settings: EngineSettings) -> Placer:
    """For the model in ``folder`` on this machine; raises SetupError if it is not a split model."""
    model = open_model(folder)
    return Placer(model, settings, this_machine(settings.placement.providers))


class Placer:
    """Placement of one model on one machine."""

    def __init__(self, model: Model, settings: EngineSettings, machine: Machine) -> None:
        self._model = model
        self._settings = settings.placement
        self._kokoro = settings.kokoro
        self._machine = machine
        self._originals = {role: model.graphs(role)[0].file for role in ROLES}
        key = placement_key(
            machine.hardware,
            machine.onnxruntime,
            installed()[1],
            [each.sha256 for each in model.manifest.files],
        )
        self._store = PlacementStore(model.folder, key)

    @property
    def title(self) -> str:
        """Model and machine, for people."""
        manifest = self._model.manifest
        kind = " (STAND-IN with random weights)" if manifest.stand_in else ""
        return f"{manifest.name}{kind} on {self._machine.hardware.summary}"

    @property
    def start(self) -> Placement:
        """What the hardware's profile says."""
        return starting_point(self._originals, self._machine.hardware)

    def resolve(self) -> Placement:
        """The placement to serve with; measures before only where the settings' mode wants that."""
        mode = self._settings.mode
        if mode == "profile":
            return self.start
        found = self.remembered()
        if found is not None:
            return found
        if mode == "measure" or find_profile(self._machine.hardware).measure_first:
            logger.info(
                "measuring %s, at most %g s", self._model.folder, self._settings.time_limit_s
            )
            return self.measure(lambda done, count, label: None)
        logger.info(
            "%s was not measured on this machine and runs by its profile; "
            "measure it with: voice-gateway models place %s",
            self._model.folder,
            self._model.folder,
        )
        return self.start

    def remembered(self) -> Placement | None:
        """The decision over what was measured on this machine before; None if nothing was."""
        measured = self._store.read()
        if measured is None:
            return None
        providers = self._machine.providers
        trials = [each for each in measured.trials if each.way.provider in providers]
        return self._decided(trials, measured)

    def measure(self, report: Report) -> Placement:
        """Try all ways within the time limit and remember what came of them.

        Raises SetupError if not even fp32 on the CPU runs.
        """
        ends = time.monotonic() + self._settings.time_limit_s
        load = load_average()
        ways = self.ways()
        with tempfile.TemporaryDirectory(prefix="voice-gateway-place-") as name:
            folder = Path(name)
            report(0, len(ways), "inputs")
            self._make_cases(folder)
            found: dict[Way, Trial] = {}
            for done, way in enumerate(in_turns(ways)):
                report(done, len(ways), f"{way.stage}: {way.label}")
                left_s = ends - time.monotonic()
                found[way] = self._try(way, folder, left_s)
            report(len(ways), len(ways), "done")
        trials = tuple(found[way] for way in ways)
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        machine = self._machine
        measured = Measured(when, load, machine.hardware, machine.onnxruntime, trials)
        if self._store.write(measured) is None:
            logger.warning(
                "what was measured of %s is not remembered: neither %s can be written",
                self._model.folder,
                " nor ".join(map(str, self._store.files)),
            )
        return self._decided(trials, measured)

    def _decided(self, trials: Sequence[Trial], measured: Measured) -> Placement:
        placement = decide(trials, self._limits(), self.start)
        source = f"{placement.source}, {measured.when}"
        if measured.load > self._machine.hardware.cores / 2:
            source += (
                f", on a busy machine (load {measured.load:.1f}): measure again when it is idle"
            )
        return replace(placement, source=source)

    def ways(self) -> list[Way]:
        """All ways that are to be tried."""
        files = []
        for role, file in self._originals.items():
            files.append(StageFile(role, file, self._model.graphs(role)[0].precision))
            files += [
                StageFile(role, variant.file, variant.precision, variant.distance_db)
                for variant in self._model.manifest.variants.get(role, ())
            ]
        return ways_to_try(files, self._machine.hardware, self._machine.providers)

    def _limits(self) -> Limits:
        return Limits(margin=self._settings.margin, distance_max_db=self._kokoro.distance_max_db)

    def _job(self, kind: str, folder: Path, timeout_s: float, way: Way | None = None) -> Job:
        sizes = self._kokoro
        return Job.model_validate(
            {
                "kind": kind,
                "model": self._model.folder.resolve(),
                "folder": folder,
                "report": folder / "report",
                "timeout_s": timeout_s,
                "way": way,
                "threads": self._machine.hardware.cores,
                "sizes": (sizes.first_window_frames, sizes.window_frames, sizes.context_frames),
            }
        )

    def _make_cases(self, folder: Path) -> None:
        timeout_s = self._settings.trial_timeout_s
        trial = self._run(self._job("cases", folder, timeout_s))
        fault = trial.fault
        if fault:
            raise SetupError(
                f"the model in {self._model.folder} can't be measured: {fault}; "
                "look at it with: voice-gateway bench first-audio --model DIR"
            )

    def _try(self, way: Way, folder: Path, left_s: float) -> Trial:
        over = f"the time limit of {self._settings.time_limit_s:g} s was over"
        if left_s <= 0:
            return Trial(way, fault=f"not tried: {over}")
        timeout_s = min(left_s, self._settings.trial_timeout_s)
        trial = self._run(self._job("trial", folder, timeout_s, way))
        if trial.fault.startswith(NOT_DONE) and timeout_s == left_s:
            return replace(trial, fault=f"not tried to its end: {over}")
        return trial

    def _run(self, job: Job) -> Trial:
        file = job.folder / "job.json"
        file.write_text(job.model_dump_json())
        job.report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "gateway.engine.kokoro.trial_work", str(file)]
        fault = isolate(command, job.timeout_s, self._settings.memory_bytes_max)
        return trial_of(job.way or Way("", ""), fault, job.report)


def trial_of(way: Way, fault: str, report: Path) -> Trial:
    """What a child's end and its report say together."""
    found = read_report(report)
    error = found["error"]
    fault = fault or found["fault"]
    if not fault and not found["end"]:
        fault = "ended without a report"
    if not fault and error is not None and not math.isfinite(error):
        fault = "computed another length than fp32 on the CPU, or values that are no numbers"
    return Trial(
        way,
        tuple(found["timings"]),
        error if error is not None and math.isfinite(error) else None,
        found.get("memory_bytes", 0),
        fault,
        tuple(Share(*share) for share in found["shares"]),
    )


def in_turns(ways: Sequence[Way]) -> list[Way]:
    """Each stage's first way, each one's second, and so on; the generator, which is dear, first.

    So the time limit cuts off what is elaborate, never all that is known of a stage.
    """
    stages = list(dict.fromkeys(way.stage for way in ways))[::-1]
    rows = zip_longest(*([way for way in ways if way.stage == stage] for stage in stages))
    return [way for row in rows for way in row if way is not None]
