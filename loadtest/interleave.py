"""Two commands in turn, each run a process of its own that writes a run file.

    pair 1   A B        who goes first is drawn for each pair, half of them each way, so that
    pair 2   B A        neither side always finds the machine warm
    pair 3   B A …

A side is a command in which ``{json}`` stands for the file to write, or a source tree: the command
given for trees is then run in it, with its packages before those that are installed.  A command may
end with a status other than 0 (it missed a limit), as long as it wrote its file.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from loadtest.runfile import Runs, joined, read_runs

PLACE = "{json}"
TREE_COMMAND = f"python -m loadtest overhead --turns 20 --save {PLACE}"
TIMEOUT_S = 600.0
_END_TIMEOUT_S = 15.0
_LOG_CHARS = 2000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Side:
    """What is run: words of a command, one of which has ``PLACE``, and the tree it is run in."""

    name: str
    command: tuple[str, ...]
    tree: Path | None = None


def side(text: str, tree_command: str) -> Side:
    """Read A or B: a tree's folder or a command.  Raises ValueError for one without ``{json}``."""
    folder = Path(text)
    tree = folder.resolve() if folder.is_dir() else None
    command = shlex.split(tree_command if tree else text)
    if not any(PLACE in word for word in command):
        raise ValueError(
            f"{text!r} is neither a run file, a folder, nor a command with {PLACE} in it, which "
            "stands for the run file that it should write"
        )
    if command[0] in ("python", "python3"):
        command[0] = sys.executable
    return Side(text, tuple(command), tree)


def order(pairs: int, seed: int) -> list[bool]:
    """For each pair whether A goes first: half of them, shuffled."""
    first = [number % 2 == 0 for number in range(pairs)]
    Random(seed).shuffle(first)
    return first


def run_in_turn(
    a: Side, b: Side, pairs: int, seed: int, progress: Progress, timeout_s: float = TIMEOUT_S
) -> tuple[Runs, Runs]:
    """Run both ``pairs`` times.

    Raises ChildProcessError if one fails, ValueError if what it writes is no run file.
    """
    results: dict[bool, list[Runs]] = {True: [], False: []}
    for number, a_first in enumerate(order(pairs, seed)):
        begin = time.monotonic()
        for is_a in (a_first, not a_first):
            results[is_a].append(run_once(a if is_a else b, timeout_s))
        progress(f"pair {number + 1} of {pairs}: {time.monotonic() - begin:.1f} s")
    return joined(results[True]), joined(results[False])


def run_once(what: Side, timeout_s: float = TIMEOUT_S) -> Runs:
    """Run it once; raises ChildProcessError with the end of its output, or ValueError."""
    with tempfile.TemporaryDirectory(prefix="voice-gateway-compare-") as folder:
        file = Path(folder) / "run.json"
        command = [word.replace(PLACE, str(file)) for word in what.command]
        with subprocess.Popen(
            command,
            cwd=what.tree,
            env=_environment(what.tree),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=timeout_s)
            except BaseException as error:
                _end(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise ChildProcessError(
                        f"{what.name!r} did not end in {timeout_s:g} s"
                    ) from None
                raise
        if not file.is_file():
            raise ChildProcessError(
                f"{what.name!r} ended with status {process.returncode} and wrote no run file:\n"
                f"{said[-_LOG_CHARS:]}"
            )
        return read_runs(file)


def _environment(tree: Path | None) -> dict[str, str]:
    if tree is None:
        return dict(os.environ)
    # First in the search path, else the installed package would be measured twice.
    return {**os.environ, "PYTHONPATH": str(tree)}


def _end(process: subprocess.Popen[str]) -> None:
    """Let it end what it has started itself, then insist."""
    process.terminate()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
