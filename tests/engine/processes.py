"""Looking at other processes (Linux), in tests."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def state_of(pid: int) -> str:
    """The kernel's letter for a process (R, S, T, Z), or "gone"."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return stat.rpartition(")")[2].split()[0]


def children() -> set[int]:
    """Process ids of this process's children, zombies included."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait for another process; fails if ``condition`` stays false."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)
