"""One espeak-ng worker as the gateway sees it: a process, a socket, a conversation.

Whoever holds a worker (one thread at a time, see espeak_pool) calls ``begin``, then ``next_block``
until it returns None; or ``abandon`` in between, after which the worker is as good as new.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import gateway
from gateway.engine.espeak_frames import (
    AUDIO,
    CANCEL,
    CANCELLED,
    END,
    LIST,
    MARK,
    NUMBER,
    PAUSE_AT_END,
    PHONEMES,
    PHONEMIZE,
    PHONEMIZE_HEAD,
    SPEAK,
    SPEAK_HEAD,
    SPOKEN,
    VOICES,
    Channel,
    Frame,
)
from gateway.errors import SynthesisError

WORKER_MODULE = "gateway.engine.espeak_worker"

_PACKAGE_PARENT = str(Path(gateway.__file__).parent.parent)
_SECRET_PREFIX = "VOICE_GATEWAY_"


@dataclass(frozen=True, slots=True)
class EspeakText:
    """What a worker is asked to say: ``text`` as from ``espeak_text.prepare``, not empty.

    ``words_per_minute`` is espeak's 80–450; ``selector`` names the voice as espeak does.
    """

    text: str
    selector: str
    words_per_minute: int
    pause_at_end: bool


@dataclass(frozen=True, slots=True)
class Block:
    """PCM, signed 16-bit, and the (text position, sample) marks of words that came with it."""

    marks: Iterable[tuple[int, int]]
    pcm: bytes


class WorkerProcess:
    """A running worker.  Raises OSError if no process can be made.

    ``begin``, ``next_block``, ``list_voices`` and ``phonemize`` raise EOFError if the worker is
    gone and TimeoutError if it is silent for ``timeout_s``.  ``usable`` is False from then on.
    """

    def __init__(self, library: str, data: str, block_ms: int, timeout_s: float) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", WORKER_MODULE, library, data, str(block_ms)]
        try:
            with theirs:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.PIPE, env=_environment()
                )
        except OSError:
            ours.close()
            raise
        assert self._process.stdout is not None
        self.lifeline: IO[bytes] = self._process.stdout
        self.socket = ours
        self.channel = Channel(ours.fileno())
        self._timeout_s = timeout_s
        self._serial = 0
        self._speaking = False
        self._lost = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    @property
    def usable(self) -> bool:
        """Whether it can ``begin``: nothing is in progress, and no conversation broke off."""
        return not (self._speaking or self._lost)

    def begin(self, utterance: EspeakText) -> None:
        """Ask for ``utterance``."""
        assert self.usable, "one utterance at a time"
        voice = utterance.selector.encode()
        flags = PAUSE_AT_END if utterance.pause_at_end else 0
        head = SPEAK_HEAD.pack(utterance.words_per_minute, flags, len(voice))
        self._serial = (self._serial + 1) % 2**32
        self._speaking = True
        payload = head + voice + utterance.text.encode()
        self.channel.send(SPEAK, self._serial, payload, self._timeout_s)

    def next_block(self) -> Block | None:
        """The next block, None at the end.  Raises SynthesisError if espeak refused the text."""
        frame = self._receive()
        if frame.kind == AUDIO:
            (count,) = NUMBER.unpack_from(frame.payload)
            pcm_start = NUMBER.size + count * MARK.size
            marks = MARK.iter_unpack(frame.payload[NUMBER.size : pcm_start])
            return Block(marks, frame.payload[pcm_start:])
        assert frame.kind == END, frame.kind
        self._speaking = False
        (status,) = NUMBER.unpack(frame.payload)
        if status not in (SPOKEN, CANCELLED):
            raise SynthesisError(f"espeak-ng refused the text, status {status} of espeak_frames")
        return None

    def abandon(self) -> None:
        """Stop the utterance, if one is in progress, and drop what is left of it.

        Never fails: a worker that cannot be stopped is not ``usable`` any more.
        """
        if not self._speaking or self._lost:
            return
        with contextlib.suppress(EOFError, TimeoutError):
            self.channel.send(CANCEL, self._serial, b"", self._timeout_s)
            while self._receive().kind != END:
                pass
            self._speaking = False

    def list_voices(self) -> str:
        """espeak's own list, as ``VoiceTable`` wants it."""
        self.channel.send(LIST, self._serial, b"", self._timeout_s)
        frame = self._receive()
        assert frame.kind == VOICES, frame.kind
        return frame.payload.decode()

    def phonemize(self, selector: str, texts: Sequence[str]) -> list[str]:
        """Tied IPA of each of ``texts``, which hold no line feed, as ``espeak_frames`` says.

        Raises SynthesisError if espeak has no voice ``selector``.
        """
        assert self.usable, "one thing at a time"
        voice = selector.encode()
        self._serial = (self._serial + 1) % 2**32
        payload = PHONEMIZE_HEAD.pack(len(voice)) + voice + "\n".join(texts).encode()
        self.channel.send(PHONEMIZE, self._serial, payload, self._timeout_s)
        frame = self._receive()
        if frame.kind == END:
            raise SynthesisError(f"espeak-ng has no voice {selector!r} to read the text with")
        assert frame.kind == PHONEMES, frame.kind
        lines = frame.payload.decode().split("\n")
        assert len(lines) == len(texts), "a text held a line feed"
        return lines

    def kill(self) -> None:
        """End the process whatever it does; harmless if it has ended."""
        self._process.kill()

    def reap(self) -> int:
        """Take the exit status off a process that has ended or is about to."""
        self.lifeline.close()
        return self._process.wait()

    def _receive(self) -> Frame:
        try:
            frame = self.channel.receive(self._timeout_s)
            assert frame.serial == self._serial, "a frame of another utterance"
        except BaseException:
            self._lost = True
            raise
        return frame


def _environment() -> dict[str, str]:
    """Ours, with this very package to import, and without the gateway's settings (API keys)."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_SECRET_PREFIX)
    }
    search_path = [_PACKAGE_PARENT, inherited.get("PYTHONPATH", "")]
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, search_path))}
