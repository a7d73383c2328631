"""Running a child that may crash, hang or take all memory, without harm to this process.

The child is watched by polling: it may print what it likes (to a file, of which the end is kept)
and is killed with all that it started when it passes a limit.  It gets no settings of the gateway
from the environment: keys do not belong into a process that loads unproven drivers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence

from gateway.engine.hardware import memory_of

NOT_DONE = "was not done after"
"""How the fault of a child begins that was ended for its time."""

_POLL_S = 0.02
_WORDS_MAX = 200
"""Characters of what a child said last that are worth repeating."""


def isolate(command: Sequence[str], timeout_s: float, memory_bytes_max: int) -> str:
    """Run ``command`` to its end; "" if it ended by itself with 0, else what went wrong."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOICE_GATEWAY_")}
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"can't be started: {error.strerror}"
        try:
            fault = _watch(child, timeout_s, memory_bytes_max)
        finally:
            _kill(child)
        if not fault and child.returncode:
            said.seek(max(0, said.seek(0, os.SEEK_END) - 4 * _WORDS_MAX))
            words = " ".join(said.read().decode(errors="replace").split())[-_WORDS_MAX:]
            fault = _ending(child.returncode) + (f": …{words}" if words else "")
        return fault


def _watch(child: subprocess.Popen[bytes], timeout_s: float, memory_bytes_max: int) -> str:
    ends = time.monotonic() + timeout_s
    while child.poll() is None:
        taken = memory_of(child.pid)
        if taken > memory_bytes_max:
            return f"took {taken / 2**20:.0f} MiB of memory; {memory_bytes_max / 2**20:.0f} may be"
        if time.monotonic() >= ends:
            return f"{NOT_DONE} {timeout_s:.3g} s"
        time.sleep(_POLL_S)
    return ""


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def _ending(status: int) -> str:
    if status == -signal.SIGALRM:
        return "hung and ended itself"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended with status {status}"
