"""An engine whose every answer is known: two samples a character, 0.01 louder with each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from gateway.engine.base import EngineInfo, Voice
from gateway.errors import EngineCrashed, InvalidValue, SynthesisError
from gateway.media import PcmBlock, Samples
from gateway.synthesis import Plan, Rendering, SpokenWord, SynthesisRequest, Window

RATE = 24_000
SAMPLES_PER_CHARACTER = 480


def speech(text: str) -> Samples:
    """What the engine says for ``text``."""
    return np.repeat(
        np.asarray([ord(character) / 1000 for character in text], np.float32),
        SAMPLES_PER_CHARACTER,
    )


class ScriptedEngine:
    """Speaks ``speech(text)``; planned in windows of ``window_characters``, or streamed."""

    def __init__(
        self,
        *,
        plans_ahead: bool,
        lanes: int = 1,
        window_characters: int = 4,
        batch_max: int = 1,
    ) -> None:
        self.info = EngineInfo(
            "scripted",
            "1",
            RATE,
            (Voice("v", "V", "en-us", "scripted"), Voice("w", "W", "de", "scripted")),
            "v",
            lanes,
            batch_max,
            plans_ahead,
        )
        self._window = window_characters
        self.rendered: list[tuple[str, int]] = []
        self.planned: list[list[str]] = []
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.on_render: Callable[[int], None] = lambda attempt: None
        self.on_text: Callable[[str], None] = lambda text: None
        self.stopped_by_emit = 0
        self.closed = False
        self.warmed_up = False

    def start(self) -> None:
        """Nothing to load."""

    def warm_up(self) -> None:
        """Remember that it was asked to."""
        self.warmed_up = True

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def find(self, voice: str, language: str) -> Voice:
        """By id or language."""
        for known in self.info.voices:
            if voice == known.id or (not voice and language == known.language):
                return known
        raise InvalidValue(f"voice: {voice!r}", field="voice")

    def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
        """Windows of equal size, or one."""
        self.planned.append([request.chunk.spoken for request in requests])
        return [self._plan(request) for request in requests]

    def _plan(self, request: SynthesisRequest) -> Plan | SynthesisError:
        text = request.chunk.spoken
        if "unplannable" in text:
            return SynthesisError("this text cannot be planned")
        if not self.info.plans_ahead:
            return Plan(request.id, (Window(request.id, 0, True, state=text),))
        parts = [text[i : i + self._window] for i in range(0, len(text), self._window)]
        windows = tuple(
            Window(request.id, number, number == len(parts) - 1, state=part)
            for number, part in enumerate(parts)
        )
        words = (SpokenWord(0, len(text), 0, len(text) * 960),)
        return Plan(request.id, windows, len(text) * 960, words)

    def render(self, windows: Sequence[Window], emit: Callable[[int, Rendering], bool]) -> None:
        """Each character is a block of its own when streaming; a batch takes turns by blocks."""
        texts = [str(window.state) for window in windows]
        self.threads.add(threading.current_thread().name)
        self.batches.append(texts)
        self.rendered += [(text, window.index) for text, window in zip(texts, windows, strict=True)]
        for _ in windows:
            self.entered.release()
        assert self.gate.wait(10)
        blocks = [[text] if self.info.plans_ahead else list(text) for text in texts]
        wanted = set(range(len(windows)))
        for number in range(max(map(len, blocks))):
            for place, text in enumerate(texts):
                if place not in wanted or number >= len(blocks[place]):
                    continue
                self.on_render(number)
                self.on_text(text)
                if not emit(place, self._block(blocks[place], number)):
                    self.stopped_by_emit += 1
                    wanted.remove(place)

    def _block(self, blocks: list[str], number: int) -> Rendering:
        words = ()
        if not self.info.plans_ahead:
            start = number * 960
            words = (SpokenWord(number, number + 1, start, start + 960),)
        final = number == len(blocks) - 1
        return Rendering(PcmBlock(speech(blocks[number]), RATE), final, words)


def crash_once(at_block: int) -> Callable[[int], None]:
    """An ``on_render`` that fails the first time it comes to ``at_block``."""
    left = [1]

    def on_render(block: int) -> None:
        if block == at_block and left[0]:
            left[0] -= 1
            raise EngineCrashed("the scripted engine crashed")

    return on_render
