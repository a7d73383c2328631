"""Scripts, answers and runs in a few words, for the tests of the load test."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from gateway.wire.audio_header import AudioHeader, pack_message
from loadtest.measure import Run
from loadtest.outcome import Answer, Fate, Life
from loadtest.script import Load, Script, Token, Turn


def turn(number: int = 1, at_s: float = 1.0, barge_in_s: float | None = None) -> Turn:
    """Two tokens, the second of which completes the clause."""
    return Turn(
        number=number,
        request_s=at_s,
        voice="",
        codec="pcm",
        speed=1.0,
        tokens=(Token(at_s + 0.5, "Good morning,"), Token(at_s + 0.6, " friend.")),
        clause_s=at_s + 0.6,
        barge_in_s=barge_in_s,
        tells_position=True,
    )


def script(*turns: Turn, cuts_s: tuple[float, ...] = (), leave_s: float = 60.0) -> Script:
    """A caller that arrives at 0."""
    return Script(7, 0.0, leave_s, cuts_s, turns)


def text(kind: str, **fields: object) -> bytes:
    """A server's text message."""
    return json.dumps({"type": kind, **fields}).encode()


READY = text("ready", prebuffer_samples=960)
HEARD = {"text_offset": 0, "word": "", "played_samples": 0, "source": "client"}


def started(number: int = 1, context_number: int = 0) -> bytes:
    """The answer to ``start``."""
    return text(
        "started",
        context=f"turn-{number}",
        context_number=context_number,
        generation=0,
        sample_rate=24000,
        preskip_samples=0,
    )


def audio(sequence: int, *, context: int = 0, generation: int = 0, last: bool = False) -> bytes:
    """One frame of 20 ms of PCM that is audible from its 121st sample on."""
    samples = np.full(480, 8000, "<i2")
    if sequence == 0:
        samples[:120] = 0
    header = AudioHeader(
        context, generation, 960, sequence, 960 * sequence, marker=sequence == 0, last=last
    )
    return pack_message(header, [samples.tobytes()])


def answer(**fields: object) -> Answer:
    """An answer to a clause that was complete at 10 s, heard from 10.1 s on."""
    known: dict[str, object] = {
        "session": 0, "turn": 1, "codec": "pcm", "request_s": 9.0, "first_token_s": 9.5,
        "clause_s": 10.0, "over_s": 20.0, "fate": Fate.HEARD, "first_arrival_s": 10.08,
        "first_sound_s": 10.1, "received_samples": 480_000, "sample_rate": 24000,
        "audio": (np.full(480, 8000, "<i2").tobytes(),),
    }  # fmt: skip
    return Answer(**(known | fields))  # type: ignore[arg-type]


def run(lives: Sequence[Sequence[Answer]], lateness_s: Sequence[float] = (0.001,)) -> Run:
    """A run of 30 s after a ramp of 5, with these callers."""
    return Run(
        load=Load(sessions=len(lives)),
        lives=tuple(
            Life(number, 0.0, 35.0, ((0.0, 0.01),), (), tuple(answers))
            for number, answers in enumerate(lives)
        ),
        lateness_s=np.asarray(lateness_s),
        reading_s=np.asarray([0.0001]),
        generator_cpu_share=0.1,
        foreign_cpu_share=0.2,
        zero_s=0.0,
        resources=(),
        before=None,
        after=None,
    )
