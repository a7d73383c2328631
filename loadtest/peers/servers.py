"""Servers of peers and ours, one at a time, each in a process that ends with its ``with`` block."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from loadtest.peers.drivers import Target
from loadtest.peers.environments import python_of
from loadtest.processes import HOST, end, free_port, gateway

READY_TIMEOUT_S = 90.0
_POLL_S = 0.1
_LOG_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Running:
    """A server to speak with; ``pid`` is None if it is not ours to watch."""

    target: Target
    pid: int | None = None


Server = Callable[[], AbstractContextManager[Running]]
"""Starts it; the block ends it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the protocol that is spoken with it."""

    name: str
    driver: str
    server: Server


PROTOCOLS = ("voice.v1", "openai", "elevenlabs", "cartesia", "deepgram")
"""Those of our gateway; each is a name for ``peer``, too."""
MADE_HERE = ("kokoro-onnx", "piper")
EMBEDDED_VOICE = "en-us"
NAMES = (*MADE_HERE, *PROTOCOLS)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for; empty is what suits the peer."""

    model: Path | None = None
    voice: str = ""
    url: str = ""
    api_key: str = ""
    model_name: str = "tts-1"
    settings: tuple[str, ...] = ()


def contender(name: str, wish: Wish) -> Contender:
    """The peer ``name``; raises ValueError for what it lacks."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is no peer; choose one of {', '.join(NAMES)}")
    if wish.url:
        driver = "openai" if name == "kokoro-onnx" else name
        target = Target(wish.url, wish.voice, wish.model_name, wish.api_key)
        return Contender(f"{name} at {wish.url}", driver, lambda: nullcontext(Running(target)))
    if name == "kokoro-onnx":
        model, voice = _kokoro(wish)
        return Contender(name, "openai", lambda: _kokoro_onnx(model, voice))
    if name == "piper":
        if wish.model is None or not wish.model.is_file():
            raise ValueError(
                f"--model is {wish.model}: piper needs the .onnx file of a voice, with its .json "
                "beside it; none comes with the package"
            )
        model = wish.model
        return Contender(name, "piper", lambda: _piper(model))
    return ours(name, wish)


def ours(protocol: str, wish: Wish) -> Contender:
    """Our gateway with the wished model, or its embedded voice if there is none."""
    return Contender(f"ours, {protocol}", protocol, lambda: _gateway(wish))


def _kokoro(wish: Wish) -> tuple[Path, str]:
    if wish.model is None or not (wish.model / "whole.onnx").is_file():
        raise ValueError(
            f"--model is {wish.model}: give the folder of a model with whole.onnx and voices.npz "
            "(voice-gateway models build makes a stand-in)"
        )
    if not wish.voice:
        raise ValueError("--voice is empty: name one of the model's voices")
    return wish.model, wish.voice


@contextmanager
def _gateway(wish: Wish) -> Iterator[Running]:
    settings, voice = list(wish.settings), wish.voice or EMBEDDED_VOICE
    if wish.model is not None:
        settings.append(f'engine.models=["{wish.model.resolve()}"]')
    with gateway(settings) as server:
        url = f"http://{HOST}:{server.port}"
        # The port answers before a model is loaded.
        _wait_for(f"{url}/readyz?voice={voice}", server.process, lambda: server.log)
        yield Running(Target(url, voice), server.pid)


@contextmanager
def _kokoro_onnx(model: Path, voice: str) -> Iterator[Running]:
    port = free_port()
    script = Path(__file__).parent / "kokoro_onnx_server.py"
    command = [
        str(python_of("kokoro-onnx")), str(script.resolve()),
        str((model / "whole.onnx").resolve()), str((model / "voices.npz").resolve()), str(port),
    ]  # fmt: skip
    with _process(command, f"http://{HOST}:{port}/readyz") as process:
        yield Running(Target(f"http://{HOST}:{port}", voice), process.pid)


@contextmanager
def _piper(model: Path) -> Iterator[Running]:
    port = free_port()
    command = [
        str(python_of("piper")), "-m", "piper.http_server",
        "--model", str(model.resolve()), "--host", HOST, "--port", str(port),
    ]  # fmt: skip
    with _process(command, f"http://{HOST}:{port}/voices") as process:
        yield Running(Target(f"http://{HOST}:{port}", ""), process.pid)


@contextmanager
def _process(command: Sequence[str], ready_url: str) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryDirectory(prefix="voice-gateway-peer-") as folder:
        log = Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=_plain_environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        try:
            _wait_for(ready_url, process, lambda: [log.read_text(errors="replace")])
            yield process
        finally:
            end(process)


def _plain_environment() -> Mapping[str, str]:
    """Without our packages' path: a peer sees its own environment only."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _wait_for(url: str, process: subprocess.Popen[str], log: Callable[[], Sequence[str]]) -> None:
    """Until ``url`` answers 200; raises ChildProcessError with the log if it never does."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(_POLL_S)
    raise ChildProcessError(f"{url} did not answer:\n{''.join(log())[-_LOG_CHARS:]}")
