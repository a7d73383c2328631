"""A loudspeaker for ``say --play``.

``sounddevice`` (extra ``speaker``) if it is installed, else the first player program found on PATH
that takes raw PCM on standard input.  Both are fed from a thread, because both block: that is what
keeps real time.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.codecs.pcm import to_int16
from gateway.errors import SetupError
from gateway.media import Samples

PLAYERS: Sequence[tuple[str, Callable[[int], list[str]]]] = (
    ("pw-cat", lambda rate: ["-p", "--format=s16", f"--rate={rate}", "--channels=1", "-"]),
    ("paplay", lambda rate: ["--raw", "--format=s16le", f"--rate={rate}", "--channels=1"]),
    ("aplay", lambda rate: ["-q", "-t", "raw", "-f", "S16_LE", f"-r{rate}", "-c1"]),
    ("play", lambda rate: f"-q -t raw -e signed -b 16 -c 1 -r {rate} -".split()),
    ("ffplay", lambda rate: f"-nodisp -autoexit -loglevel error -f s16le -ar {rate} -".split()),
)
"""Programs and their arguments for 16-bit little-endian mono at a rate."""


class Loudspeaker:
    """Plays blocks in order; ``write`` never blocks."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._play, name="loudspeaker", daemon=True)
        self._thread.start()

    def write(self, samples: Samples) -> None:
        """Queue float32 samples."""
        self._blocks.put(to_int16(samples).tobytes())

    def finish(self) -> None:
        """Wait until the device has taken everything; raises SetupError if it failed."""
        self._blocks.put(None)
        self._thread.join()
        if self._error is not None:
            raise SetupError(f"the loudspeaker failed: {self._error}") from self._error

    def _play(self) -> None:
        try:
            while (block := self._blocks.get()) is not None:
                self._sink(block)
        except Exception as error:
            self._error = error


@contextmanager
def open_loudspeaker(sample_rate: int) -> Iterator[Loudspeaker]:
    """A loudspeaker at ``sample_rate`` Hz; raises SetupError if there is none."""
    try:
        import sounddevice
    except (ImportError, OSError):  # OSError: the wheel is there, PortAudio is not
        with _open_player(sample_rate) as sink:
            speaker = Loudspeaker(sink)
            yield speaker
            speaker.finish()
        return
    with sounddevice.RawOutputStream(sample_rate, channels=1, dtype="int16") as stream:
        speaker = Loudspeaker(stream.write)
        yield speaker
        speaker.finish()


@contextmanager
def _open_player(sample_rate: int) -> Iterator[Callable[[bytes], object]]:
    found = next(((path, args) for name, args in PLAYERS if (path := shutil.which(name))), None)
    if found is None:
        raise SetupError(
            "no loudspeaker: install sounddevice (pip install 'voice-gateway[speaker]') or one of "
            f"the programs {', '.join(name for name, _ in PLAYERS)}; or write a file with --out"
        )
    path, arguments = found
    process = subprocess.Popen([path, *arguments(sample_rate)], stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        yield process.stdin.write
        process.stdin.close()
        if process.wait() != 0:
            raise SetupError(f"the loudspeaker failed: {path} ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
