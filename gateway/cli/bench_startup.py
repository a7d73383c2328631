"""The measurement behind ``voice-gateway bench startup``: a real gateway, from nothing to sound.

    spawn ─► imports ─► listening ─► onnxruntime ─► verify ─► open … ─► first run ─► ready ─► audio
             └───────── records of the child's log (gateway/phases.py) ─────────────────┘     │
    this process: tries to connect every 5 ms, waits for the session, sends a sentence ───────┘

The child is told to speak with the model's voice by default, so a session is not let in before that
voice is ready (catalogue.py), and the sentence leaves at the first moment at which it can.

*cold* means that everything the gateway itself remembers was deleted (checksums, optimised graphs)
and that the kernel was asked to forget the model's files.  Whether it does, and what it keeps of
the libraries, is not ours to say: a first start after booting also reads those from disk.
*restart* starts again with all of that in place.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.cli.bench_kokoro import Figure
from gateway.cli.local import free_port, serve_command, stop
from gateway.client import Audio, connect
from gateway.engine.kokoro.checksums import CACHE_FILE
from gateway.engine.kokoro.optimised import forget
from gateway.engine.kokoro.store import Model, open_model
from gateway.errors import SetupError

LIMITS_S = {"cold": 10.0, "restart": 2.0}
"""Until the first audio."""

SENTENCE = "Good morning, this is the first sentence after the start."
TIMEOUT_S = 120.0
_RETRY_S = 0.005


@dataclass(frozen=True, slots=True)
class Step:
    """A phase of a start: when it was over, and how long after the one before; seconds."""

    name: str
    at_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a gateway; the last step is the first audio."""

    kind: str
    steps: tuple[Step, ...]

    @property
    def first_audio_s(self) -> float:
        """From spawning the process to its first audio."""
        return self.steps[-1].at_s

    @property
    def figure(self) -> Figure:
        """The start beside its limit."""
        limit_s = LIMITS_S[self.kind]
        ratio = self.first_audio_s / limit_s
        return Figure(self.kind, self.first_audio_s, "s", "the limit", limit_s, ratio)

    @property
    def table(self) -> str:
        """The steps, a line each."""
        lines = (f"  {step.took_s:8.3f} s  {step.name}" for step in self.steps)
        return "\n".join((f"{self.kind}:", *lines))

    @property
    def met(self) -> bool:
        """Whether it kept within the limit."""
        return self.figure.ratio < 1


def measure_startup(folder: Path, rounds: int) -> tuple[Start, Start]:
    """A cold start, and of ``rounds`` restarts the one with the median first audio.

    Raises SetupError if the model can't be opened, or the gateway does not speak.
    """
    model = open_model(folder)
    _forget_all(model)
    cold = _start("cold", model)
    restarts = sorted(
        (_start("restart", model) for _ in range(rounds)), key=lambda start: start.first_audio_s
    )
    middle = statistics.median_low(range(rounds))
    return cold, restarts[middle]


def _forget_all(model: Model) -> None:
    forget(model.folder)
    (model.folder / CACHE_FILE).unlink(missing_ok=True)
    for stored in model.manifest.files:
        with model.path(stored).open("rb") as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _start(kind: str, model: Model) -> Start:
    with tempfile.TemporaryFile() as log, _spawned(model, log) as (process, port, spawned_at):
        try:
            port_at, audio_at = asyncio.run(_speak(process, port))
        except (OSError, TimeoutError) as error:
            raise SetupError(f"the gateway did not speak: {_last_words(log) or error}") from error
        log.seek(0)
        phases = dict(_phases(log.read().decode(errors="replace").splitlines()))
    phases |= {"port answers": port_at, "first audio": audio_at}
    at = sorted(
        (moment - spawned_at, name) for name, moment in phases.items() if moment <= audio_at
    )
    before = [0.0, *(at_s for at_s, _ in at)]
    steps = (
        Step(name, at_s, at_s - last_s) for (at_s, name), last_s in zip(at, before, strict=False)
    )
    return Start(kind, tuple(steps))


@contextmanager
def _spawned(model: Model, log: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """The gateway's process, its port, and when it was spawned (seconds of the wall clock)."""
    port = free_port()
    command = serve_command(
        str(port),
        [str(model.folder.resolve())],
        f"engine.default_voice={model.voices.default}",
        "log.json_lines=true",
        "log.level=info",
        "server.api_keys=[]",
    )
    spawned_at = time.time()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process, port, spawned_at
    finally:
        stop(process)


async def _speak(process: subprocess.Popen[bytes], port: int) -> tuple[float, float]:
    """When the port answered, and when the first audio of a sentence came (wall clock)."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            if process.poll() is not None:
                raise ConnectionError("it ended")
            await asyncio.sleep(_RETRY_S)
        port_at = time.time()
        writer.close()
        async with connect(f"127.0.0.1:{port}", open_timeout_s=TIMEOUT_S) as session:
            context = await session.start()
            await context.speak([SENTENCE])
            async for event in context:
                if isinstance(event, Audio):
                    return port_at, time.time()
    raise ConnectionError("no audio came")


def _phases(lines: list[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            yield str(record["phase"]), float(record["time"])


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return " / ".join(log.read().decode(errors="replace").strip().splitlines()[-3:])
