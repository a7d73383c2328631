"""What this machine is: processor, usable cores, accelerators with their drivers.

``Hardware`` is part of the key under which measurements are remembered: whatever changes timings or
results from one machine to another belongs into it.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ASK_TIMEOUT_S = 5.0
_NVIDIA = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_ARM_PARTS = {
    "0xd0c": "Neoverse N1 (Graviton2)",
    "0xd40": "Neoverse V1 (Graviton3)",
    "0xd4f": "Neoverse V2 (Graviton4)",
}
"""Arm's part numbers as /proc/cpuinfo prints them; it has no name of the processor there."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """``accelerators`` are texts as their drivers print them, the driver's version included."""

    system: str
    machine: str
    processor: str
    cores: int
    fast_cores: int
    """Without those that save power; equal to ``cores`` where all are alike."""
    accelerators: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [self.processor or self.machine, f"{self.cores} cores", *self.accelerators]
        return ", ".join(parts)


def detect(providers: Sequence[str]) -> Hardware:
    """Look at this machine; accelerators only if ``providers`` has one that could use them."""
    cores = usable_cores()
    accelerators: tuple[str, ...] = ()
    if any(name.startswith(("CUDA", "Tensorrt", "NvTensorRt")) for name in providers):
        accelerators = tuple(ask(_NVIDIA).splitlines())
    return Hardware(
        platform.system(),
        platform.machine(),
        processor_name(),
        cores,
        min(cores, _fast_cores() or cores),
        accelerators,
    )


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: containers narrow them by affinity or by a quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        share, period = (float(number) for number in quota.read_text().split())
        cores = min(cores, max(1, math.ceil(share / period)))
    return cores


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name and, of Arm's, which Graviton it is."""
    if sys.platform == "darwin":
        return ask(("sysctl", "-n", "machdep.cpu.brand_string"))
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
            if name.strip() == "CPU part":
                return _ARM_PARTS.get(value.strip(), f"Arm part {value.strip()}")
    return platform.processor()


def ask(command: Sequence[str]) -> str:
    """What a system tool prints; empty if there is none, or it fails or hangs."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=True
        )
        return done.stdout.strip()
    return ""


def _fast_cores() -> int:
    """Performance cores of Apple silicon; 0 if unknown."""
    if sys.platform != "darwin":
        return 0
    text = ask(("sysctl", "-n", "hw.perflevel0.physicalcpu"))
    return int(text) if text.isdigit() else 0


def peak_memory_bytes() -> int:
    """The most main memory that this process has had; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_of(pid: int) -> int:
    """Main memory that another process has, in bytes; 0 if it is gone or that is unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        if sys.platform.startswith("linux"):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 1024 * int(ask(("ps", "-o", "rss=", "-p", str(pid))))
    return 0


def load_average() -> float:
    """How many processes wanted a core, on average over the last minute; 0 if unknown."""
    with contextlib.suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return 0.0
