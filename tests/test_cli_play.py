"""``say --play``: a program on the path, or a sound device."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.cli import main
from gateway.cli.loudspeaker import open_loudspeaker
from gateway.errors import SetupError
from tests.client.scripted_server import Script, honest, scripted

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def serving(script: Script = honest, **options: Any) -> Iterator[str]:
    """A scripted server in a thread, as commands run their own event loop."""
    urls: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with scripted(script, **options) as url:
            urls.append(url)
            ready.set()
            await stop.wait()

    def target() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=target)
    thread.start()
    assert ready.wait(5)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


PLAYER = """#!{python}
import sys
open({sink!r}, "wb").write(" ".join(sys.argv[1:]).encode() + b"\\n" + sys.stdin.buffer.read())
sys.exit({code})
"""


def install_player(directory: Path, sink: Path, code: int = 0) -> None:
    program = directory / "aplay"
    program.write_text(PLAYER.format(python=sys.executable, sink=str(sink), code=code))
    program.chmod(0o755)


def test_say_plays_through_a_program_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    install_player(tmp_path, tmp_path / "heard")
    with serving() as url:
        code, _, err = run(capsys, "say", "x" * 8, "--url", url, "--play")
    assert (code, err) == (0, "")
    arguments, _, pcm = (tmp_path / "heard").read_bytes().partition(b"\n")
    assert arguments == b"-q -t raw -f S16_LE -r8000 -c1"
    assert np.frombuffer(pcm, "<i2").tolist() == list(range(640))


def test_a_player_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    install_player(tmp_path, tmp_path / "heard", code=3)
    with pytest.raises(SetupError, match="aplay ended with 3"), open_loudspeaker(8000) as speaker:
        speaker.write(np.zeros(10, np.float32))


def test_no_loudspeaker_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with serving() as url:
        code, _, err = run(capsys, "say", "x", "--url", url, "--play")
    assert code == 1
    assert "no loudspeaker: install sounddevice" in err


class Device:
    """What we use of sounddevice.RawOutputStream, whose wheel needs PortAudio."""

    def __init__(self, sample_rate: int, *, channels: int, dtype: str) -> None:
        self.opened = (sample_rate, channels, dtype)
        self.pcm = b""
        self.fails = False

    def write(self, data: bytes) -> None:
        if self.fails:
            raise OSError("unplugged")
        self.pcm += data

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(8000, channels=1, dtype="int16")
    module = types.ModuleType("sounddevice")

    def open_stream(*arguments: int, **options: Any) -> Device:
        assert Device(*arguments, **options).opened == made.opened
        return made

    module.RawOutputStream = open_stream  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return made


def test_the_sound_device_gets_every_sample(device: Device) -> None:
    with open_loudspeaker(8000) as speaker:
        speaker.write(np.array([0.5, -1.0], np.float32))
        speaker.write(np.array([0.25], np.float32))
    assert np.frombuffer(device.pcm, "<i2").tolist() == [16_384, -32_768, 8192]


def test_a_sound_device_that_fails_is_told(device: Device) -> None:
    device.fails = True
    with pytest.raises(SetupError, match="unplugged"), open_loudspeaker(8000) as speaker:
        speaker.write(np.zeros(1, np.float32))
