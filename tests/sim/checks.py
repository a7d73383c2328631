"""What must hold after each step, whatever the seed: the simulator's oracle of the protocol."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gateway.session import events
from gateway.settings import Settings

if TYPE_CHECKING:
    from tests.sim.caller import Turn

FRAME_SAMPLES = 960


class StreamChecker:
    """Watches one client's stream, where it is sent and where it arrives."""

    def __init__(self, settings: Settings) -> None:
        message_s = settings.pacing.message_duration_max_ms / 1000
        self._lead_max_s = max(settings.pacing.lead_max_s, message_s)
        self._sent_generation = 0
        self.frames = 0
        self.begin_context()

    def begin_context(self) -> None:
        """The client opens a context."""
        self._generation = 0
        self._sequence_number = 0
        self._words_until = -1

    # ── at the gateway ─────────────────────────────────────────────────────────────────────────

    def observe_sent(self, output: events.Output) -> None:
        """A message leaves the gateway."""
        match output:
            case events.Started():
                self._sent_generation = 0
            case events.Cancelled(generation=generation):
                assert generation == self._sent_generation + 1
                self._sent_generation = generation
            case events.Audio(generation=generation):
                assert generation == self._sent_generation, "audio of a cancelled generation"
                assert 1 <= len(output.payloads) <= 3, "a message of more than 60 ms"

    def check_lead(self, lead_s: float) -> None:
        """By our model, what is in flight stays within the limit."""
        assert lead_s <= self._lead_max_s + 1e-6, f"lead {lead_s:.3f} s"

    # ── at the client ──────────────────────────────────────────────────────────────────────────

    def receive_audio(self, audio: events.Audio, client_generation: int) -> None:
        """No frame is missing, repeated or out of order; every sample is the engine's own."""
        assert audio.generation >= client_generation, "audio after the cancelled answer"
        if audio.generation > self._generation:
            self._generation = audio.generation
            self._sequence_number = 0
        assert audio.sequence_number == self._sequence_number
        assert audio.timestamp_samples == audio.sequence_number * FRAME_SAMPLES
        for offset, payload in enumerate(audio.payloads):
            first_sample = int.from_bytes(payload, "little")
            assert first_sample == audio.timestamp_samples + offset * FRAME_SAMPLES
        self._sequence_number += len(audio.payloads)
        self.frames += len(audio.payloads)

    def receive_cancelled(self, cancelled: events.Cancelled, client_generation: int) -> None:
        """Generations rise one by one; nothing was heard before the beginning."""
        assert cancelled.generation == client_generation + 1
        assert cancelled.heard.text_offset >= 0
        assert cancelled.heard.played_samples >= 0
        self._generation = cancelled.generation
        self._sequence_number = 0

    def receive_done(self, done: events.Done, turn: Turn) -> None:
        """All text was spoken, every sample accounted for."""
        assert turn.ended, "done before end"
        assert done.frames == self._sequence_number
        assert done.duration_samples <= done.frames * FRAME_SAMPLES
        chunks = [chunk for chunk in turn.chunks if chunk.generation == done.generation]
        assert turn.flawed or done.text_offset == len(turn.text), "text was lost"
        for before, after in pairwise(chunks):
            assert before.end <= after.start
            assert before.timestamp_samples <= after.timestamp_samples
        for chunk in chunks:
            assert chunk.text == turn.text[chunk.start : chunk.end]
            for word in chunk.words:
                assert chunk.start <= word.start < word.end <= chunk.end
