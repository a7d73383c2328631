"""What a server process and all below it hold, from /proc: memory, descriptors, threads, CPU.

Memory is the proportional set size (smaps_rollup, proc_pid_smaps(5)), because the resident sizes
of a process and its workers count shared pages once for each.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from loadtest.cpu import family, read_process

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Resources:
    """At ``at_s`` (monotonic clock), of the process and all below it; ``cpu_s`` since their birth.

    ``loop_cpu_s`` is of the process's main thread alone: the event loop.
    """

    at_s: float
    memory_bytes: int
    descriptors: int
    threads: int
    processes: int
    cpu_s: float
    loop_cpu_s: float


def read_resources(pid: int) -> Resources:
    """What ``pid`` and its descendants hold now; raises OSError if ``pid`` is gone."""
    cpu = read_process(pid)
    members = [pid, *family(pid)]
    memory = descriptors = threads = processes = 0
    for member in members:
        with suppress(OSError):  # it ended as we looked
            folder = _PROC / str(member)
            memory += _pss_bytes(folder)
            descriptors += sum(1 for _ in (folder / "fd").iterdir())
            threads += sum(1 for _ in (folder / "task").iterdir())
            processes += 1
    return Resources(
        monotonic(), memory, descriptors, threads, processes, cpu.total_s, cpu.main_thread_s
    )


def _pss_bytes(folder: Path) -> int:
    for line in (folder / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Watch:
    """Reads a process every ``interval_s`` in a thread, until the ``with`` block ends."""

    def __init__(self, pid: int | None, interval_s: float = 2.0) -> None:
        self.readings: list[Resources] = []
        self._pid = pid
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        if self._pid is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._pid is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._pid is not None
        with suppress(OSError):  # it ended; whoever uses it will notice
            while True:
                self.readings.append(read_resources(self._pid))
                if self._over.wait(self._interval_s):
                    self.readings.append(read_resources(self._pid))
                    return
