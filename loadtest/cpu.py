"""CPU time of processes and their threads, from /proc (proc_pid_stat(5)).

The gateway's threads are told apart, because they say what the time went into: the main thread is
the event loop (protocol, pacing, sending), the others are the engine's lanes (PCM handling,
resampling, Opus encoding), and child processes are the espeak workers (synthesis).

The kernel counts in ticks, 10 ms as a rule: over a window of 20 s that is exact enough.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")
_STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class ProcessCpu:
    """CPU seconds of a process: its main thread, its other threads, the processes below it."""

    main_thread_s: float
    other_threads_s: float
    children_s: float

    @property
    def process_s(self) -> float:
        """All threads of the process itself."""
        return self.main_thread_s + self.other_threads_s

    @property
    def total_s(self) -> float:
        """The process and all below it."""
        return self.process_s + self.children_s

    def since(self, earlier: ProcessCpu) -> ProcessCpu:
        """What was used after the reading ``earlier``."""
        return ProcessCpu(
            self.main_thread_s - earlier.main_thread_s,
            self.other_threads_s - earlier.other_threads_s,
            self.children_s - earlier.children_s,
        )


@dataclass(frozen=True, slots=True)
class Stat:
    """What is needed of one stat line."""

    parent: int
    cpu_ticks: int


def parse_stat(line: str) -> Stat:
    """Read /proc/PID/stat; the program's name in it may contain spaces and parentheses."""
    fields = line[line.rindex(")") + 1 :].split()
    return Stat(parent=int(fields[1]), cpu_ticks=int(fields[11]) + int(fields[12]))


def parse_machine(text: str) -> int:
    """Ticks that all CPUs of the machine were busy, or stolen from it, from /proc/stat."""
    first = text.splitlines()[0].split()
    assert first[0] == "cpu", first
    ticks = dict(zip(_STAT_FIELDS, map(int, first[1:]), strict=False))
    return sum(ticks[name] for name in _BUSY_FIELDS)


def read_process(pid: int) -> ProcessCpu:
    """CPU time that process ``pid`` has used so far; raises OSError if it is gone."""
    folder = _PROC / str(pid)
    main = parse_stat((folder / "task" / str(pid) / "stat").read_text()).cpu_ticks
    whole = parse_stat((folder / "stat").read_text()).cpu_ticks
    below = sum(_children_ticks(pid))
    return ProcessCpu(main * _TICK_S, (whole - main) * _TICK_S, below * _TICK_S)


def read_machine() -> float:
    """CPU seconds that the whole machine was busy so far, all CPUs together."""
    return parse_machine((_PROC / "stat").read_text()) * _TICK_S


class ForeignCpu:
    """What other programs take of the machine from now on.

    Ours are this process and all below it, as long as none of them ends meanwhile.
    """

    def __init__(self) -> None:
        self._begin_s = monotonic()
        self._used_s = self._read()

    def share(self) -> float:
        """The part of all CPUs' time that others took since this was made, 0 to 1."""
        elapsed_s = (monotonic() - self._begin_s) * (os.cpu_count() or 1)
        return max(0.0, (self._read() - self._used_s) / elapsed_s)

    def _read(self) -> float:
        return read_machine() - read_process(os.getpid()).total_s


def machine_kind() -> str:
    """What another machine must have in common with this one to be called the same kind."""
    return (
        f"{os.cpu_count()} x {cpu_model()} {platform.machine()}, Python {platform.python_version()}"
    )


def cpu_model() -> str:
    """The name of this machine's CPU, as /proc/cpuinfo says it."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown CPU"


def family(pid: int) -> list[int]:
    """Processes that descend from ``pid``, without itself."""
    stats = _stats()
    return [child for child in stats if _descends(child, pid, stats)]


def _children_ticks(pid: int) -> list[int]:
    """Ticks of each process that descends from ``pid``."""
    stats = _stats()
    return [stat.cpu_ticks for child, stat in stats.items() if _descends(child, pid, stats)]


def _stats() -> dict[int, Stat]:
    stats: dict[int, Stat] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                stats[int(entry.name)] = parse_stat((entry / "stat").read_text())
            except OSError:
                continue  # it ended as we looked
    return stats


def _descends(child: int, ancestor: int, stats: Mapping[int, Stat]) -> bool:
    """Whether ``ancestor`` is the parent of ``child``, or its parent's parent, or…"""
    while child in stats:
        child = stats[child].parent
        if child == ancestor:
            return True
    return False
