"""The processes that a benchmark needs; each ends with the ``with`` block that started it.

The gateway is ``voice-gateway serve`` as a user starts it, with default settings but for those
given; the environment's and a file's settings are kept out.  Helpers are spawned Python processes
with a pipe; one that finds its pipe closed, because the benchmark died, ends itself.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from loadtest.exposition import Exposition, parse_exposition

HOST = "127.0.0.1"
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 10.0
_ROOT = Path(__file__).parent.parent


@dataclass
class Gateway:
    """A running gateway; ``log`` grows with its standard error."""

    process: subprocess.Popen[str]
    port: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Process id of the server; its workers are its children."""
        return self.process.pid

    def metrics(self) -> Exposition:
        """What /metrics says now; costs the gateway some milliseconds."""
        url = f"http://{HOST}:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=_END_TIMEOUT_S) as answer:
            return parse_exposition(answer.read().decode())


@contextmanager
def gateway(settings: Sequence[str] = ()) -> Iterator[Gateway]:
    """Start a gateway on a free port; ``settings`` are ``section.name=value``.

    Raises ChildProcessError with its log if it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="voice-gateway-loadtest-") as folder:
        command = [sys.executable, "-m", "gateway", "serve", "--host", HOST, "--port", "0"]
        for setting in settings:
            command += ["--set", setting]
        # An empty folder has no voice-gateway.toml, so the settings are the defaults.
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stderr=subprocess.PIPE, text=True
        )
        running = Gateway(process)
        reader = threading.Thread(target=_read_log, args=(running,), daemon=True)
        reader.start()
        try:
            _wait_until_ready(running)
            yield running
        finally:
            end(process)
            reader.join(_END_TIMEOUT_S)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "VOICE_GATEWAY_" not in name}
    search_path = [str(_ROOT), kept.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, search_path))}


def _read_log(running: Gateway) -> None:
    assert running.process.stderr is not None
    with running.process.stderr as log:
        running.log.extend(log)


def _wait_until_ready(running: Gateway) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and running.process.poll() is None:
        found = re.search(r"listening on http://[^:]+:(\d+)", "".join(running.log))
        if found:
            running.port = int(found[1])
            if _is_ready(running.port):
                return
        time.sleep(0.05)
    raise ChildProcessError("the gateway did not start:\n" + "".join(running.log))


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def end(process: subprocess.Popen[str]) -> None:
    """Ask it to drain, and again to end at once, then insist."""
    for end in (process.terminate, process.terminate, process.kill):
        if process.poll() is not None:
            return
        end()
        try:
            process.wait(_END_TIMEOUT_S / 2)
        except subprocess.TimeoutExpired:
            continue


@dataclass
class Helper:
    """A spawned process of ours, and our end of the pipe to it."""

    pid: int
    pipe: Connection

    def receive(self, timeout_s: float) -> Any:
        """The next thing it says; raises ChildProcessError if it died or is silent."""
        try:
            if self.pipe.poll(timeout_s):
                return self.pipe.recv()
        except EOFError:
            raise ChildProcessError(f"helper process {self.pid} died") from None
        raise ChildProcessError(f"helper process {self.pid} is silent for {timeout_s:g} s")


@contextmanager
def helper(main: Callable[..., None], *arguments: object) -> Iterator[Helper]:
    """Run ``main(pipe, *arguments)`` in a fresh process; both ends of the pipe send and receive."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        yield Helper(process.pid, ours)
    finally:
        ours.close()
        process.terminate()
        process.join(_END_TIMEOUT_S)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
