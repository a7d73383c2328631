"""The worker program, spoken to by hand."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.engine.espeak import _library, installed_folder
from gateway.engine.espeak_frames import (
    AUDIO,
    CANCEL,
    CANCELLED,
    END,
    FAILED,
    LIST,
    MARK,
    NO_VOICE,
    NUMBER,
    PHONEMES,
    PHONEMIZE,
    PHONEMIZE_HEAD,
    READY,
    SPEAK,
    SPEAK_HEAD,
    SPOKEN,
    VOICES,
    Channel,
)
from gateway.engine.espeak_process import WORKER_MODULE

WAIT_S = 10.0


class Program:
    def __init__(self, library: str, data: str) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", WORKER_MODULE, library, data, "100"],
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
            )
        self.channel = Channel(self.socket.fileno())

    def speak(self, serial: int, text: str, voice: bytes = b"gmw/en-US", rate: int = 175) -> None:
        head = SPEAK_HEAD.pack(rate, 0, len(voice))
        self.channel.send(SPEAK, serial, head + voice + text.encode())

    def until_end(self, serial: int) -> tuple[int, int]:
        """Status and samples of utterance ``serial``."""
        samples = 0
        while True:
            frame = self.channel.receive(WAIT_S)
            assert frame.serial == serial
            if frame.kind == END:
                return NUMBER.unpack(frame.payload)[0], samples
            assert frame.kind == AUDIO
            (marks,) = NUMBER.unpack_from(frame.payload)
            samples += (len(frame.payload) - NUMBER.size - marks * MARK.size) // 2

    def end(self) -> tuple[int, str]:
        self.socket.close()
        _, errors = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, errors.decode()


@pytest.fixture
def program() -> Iterator[Program]:
    folder = installed_folder()
    program = Program(str(_library(folder)), str(folder))
    assert program.channel.receive(WAIT_S).kind == READY
    yield program
    program.process.kill()
    program.end()


def test_it_leaves_silently_when_the_socket_closes(program):
    assert program.end() == (0, "")


def test_it_leaves_silently_when_the_socket_closes_as_it_speaks(program):
    program.speak(1, "A long story. " * 500)
    assert program.channel.receive(WAIT_S).kind == AUDIO
    assert program.end() == (0, "")


def test_an_utterance_ends_with_one_end(program):
    program.speak(1, "Hello world.")
    status, samples = program.until_end(1)
    assert status == SPOKEN
    assert 10_000 < samples < 30_000


def test_cancel_stops_at_the_next_block_and_the_next_utterance_is_whole(program):
    program.speak(1, "A long story. " * 500)
    program.channel.send(CANCEL, 1)
    status, samples = program.until_end(1)
    assert status == CANCELLED
    assert samples < 22_050 * 60  # of 500 s
    program.speak(2, "Hello world.")
    assert program.until_end(2)[0] == SPOKEN


def test_a_cancel_that_comes_too_late_is_ignored(program):
    program.speak(1, "One.")
    program.until_end(1)
    program.channel.send(CANCEL, 1)
    program.speak(2, "Two and three.")
    program.channel.send(CANCEL, 1)
    assert program.until_end(2)[0] == SPOKEN


def test_an_unknown_voice_is_an_end_and_the_one_before_is_chosen_anew(program):
    program.speak(1, "Hello.", voice=b"tlh")
    assert program.until_end(1) == (NO_VOICE, 0)
    program.speak(2, "Hello.")
    assert program.until_end(2)[0] == SPOKEN


def test_it_lists_languages_and_variants(program):
    program.channel.send(LIST, 5)
    frame = program.channel.receive(WAIT_S)
    assert (frame.kind, frame.serial) == (VOICES, 5)
    lines = frame.payload.decode().split("\n")
    assert "English (America)\tgmw/en-US\t1\t2=en-us\t3=en" in lines
    assert "klatt5\t!v/klatt5\t1\t5=variant" in lines
    assert len(lines) > 200


def phonemize(program: Program, serial: int, texts: bytes, voice: bytes = b"gmw/en-US") -> None:
    payload = PHONEMIZE_HEAD.pack(len(voice)) + voice + texts
    program.channel.send(PHONEMIZE, serial, payload)


def test_it_phonemises_each_line_whatever_its_clauses(program):
    phonemize(program, 7, "Judge, then go.\n\nnaïve".encode())
    frame = program.channel.receive(WAIT_S)
    assert (frame.kind, frame.serial) == (PHONEMES, 7)
    assert frame.payload.decode().split("\n") == [
        "d^ʒˈʌd^ʒ ðˈɛn ɡˈo^ʊ",
        "",
        "na^ɪˈiːv",
    ]


def test_an_unknown_voice_to_phonemise_with_is_an_end(program):
    phonemize(program, 1, b"x", voice=b"tlh")
    frame = program.channel.receive(WAIT_S)
    assert (frame.kind, NUMBER.unpack(frame.payload)[0]) == (END, NO_VOICE)


def test_speech_and_phonemes_may_take_turns(program):
    program.speak(1, "Hello world.")
    assert program.until_end(1)[0] == SPOKEN
    phonemize(program, 2, b"go", voice=b"roa/fr")
    assert program.channel.receive(WAIT_S).payload.decode() == "ɡˈo"
    program.speak(3, "Hello world.")
    status, samples = program.until_end(3)
    assert status == SPOKEN
    assert 10_000 < samples < 30_000


def test_a_second_utterance_before_the_end_of_the_first_is_a_bug_that_ends_it(program):
    program.speak(1, "A long story. " * 500)
    program.speak(2, "Too early.")
    with pytest.raises(EOFError):
        program.until_end(1)
    status, errors = program.end()
    assert status == 1
    assert "AssertionError" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_group_do_not_end_it(program, number):
    os.kill(program.process.pid, number)
    program.speak(1, "Hello world.")
    assert program.until_end(1)[0] == SPOKEN


def test_a_library_that_does_not_load_is_reported(tmp_path):
    program = Program(str(tmp_path / "nothing.so"), str(tmp_path))
    frame = program.channel.receive(WAIT_S)
    assert frame.kind == FAILED
    assert "nothing.so" in frame.payload.decode()
    assert program.end()[0] == 1


def test_a_library_that_is_not_espeak_is_reported(tmp_path):
    import _ctypes

    program = Program(_ctypes.__file__, str(tmp_path))
    frame = program.channel.receive(WAIT_S)
    assert frame.kind == FAILED
    assert "espeak_Initialize" in frame.payload.decode()
    assert program.end()[0] == 1


def test_missing_voice_data_is_reported(tmp_path):
    program = Program(str(_library(installed_folder())), str(tmp_path))
    frame = program.channel.receive(WAIT_S)
    assert frame.kind == FAILED
    assert f"no usable voice data in {tmp_path}" in frame.payload.decode()
    assert program.end()[0] == 1


def test_it_imports_nothing_heavy():
    code = f"import sys, {WORKER_MODULE}; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(result.stdout.split())
    assert WORKER_MODULE in loaded
    assert not loaded & {"numpy", "pydantic", "asyncio", "dataclasses", "typing", "socket", "json"}
