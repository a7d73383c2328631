"""One answer as it is heard: a context of voice.v1 with its jitter buffer.  Pure.

The player is the one that the gateway's client and the simulator use, so an underrun here is
silence that a listener would have heard.  Of the audio only the header is read while the run lasts;
payloads are kept for as long as audible.py needs them.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import orjson

from gateway.client.jitter_buffer import JitterBuffer
from gateway.client.wire import full_generation
from gateway.media import MEDIA_RATE
from gateway.wire.audio_header import AudioHeader, unpack_message
from loadtest.outcome import Answer, Fate, Interruption, SpokenChunk, judge_silences
from loadtest.script import Turn

SILENT_TOO_LONG_S = 5.0
"""A turn without audio for this long after its first clause has failed, however it ended."""

_KEPT_SAMPLES = MEDIA_RATE
"""Audio that is kept of every answer, to find where it becomes audible."""

_WHOLE_BYTES_MAX = 8 * 2**20
"""Of an answer that is kept whole: 87 s of PCM at 48 kHz, hours of Opus."""


class Listening:
    """An answer from its request to its end; ``whole``: keep all its audio."""

    def __init__(self, session: int, turn: Turn, *, whole: bool) -> None:
        self.turn = turn
        self.context = f"turn-{turn.number}"
        self.context_number = -1
        self.ended = False
        self.over = False
        self.fate = Fate.HEARD
        self.interruption: Interruption | None = None
        self._session = session
        self._whole = whole
        self._player: JitterBuffer | None = None
        self._sample_rate = 0
        self._preskip_samples = 0
        self._chunks: list[SpokenChunk] = []
        self._words: list[tuple[int, int]] = []  # (timestamp, end of its text)
        self._lead: list[tuple[float, int]] = []
        self._audio: list[bytes] = []
        self._audio_bytes = 0
        self._received_samples = 0
        self._last_arrival_s: float | None = None

    # ── what is sent ───────────────────────────────────────────────────────────────────────────

    def start_message(self) -> str:
        """Opens the context."""
        voice = {"voice": self.turn.voice} if self.turn.voice else {}
        return self.message("start", codec=self.turn.codec, speed=self.turn.speed, **voice)

    def message(self, kind: str, **fields: object) -> str:
        """A message about this context."""
        return orjson.dumps({"type": kind, "context": self.context, **fields}).decode()

    def report(self, now: float) -> str | None:
        """A receiver report, and a note of the lead; None before the first audio."""
        player = self._player
        if player is None or player.sequence_number is None or self.interruption is not None:
            return None
        if player.playing(now) or player.starved(now):
            self._lead.append((now, player.depth_samples(now)))
        return self.message("report", **asdict(player.report(now)))

    def interrupt(self, now: float) -> str | None:
        """Fall silent at once; the cancel to send, None if the context is not known yet."""
        if self.over or self._player is None:
            return None
        depth = self._player.depth_samples(now)
        position = self._player.cancel(now)
        self.interruption = Interruption(now, position, depth, self.turn.tells_position)
        told = {"played_samples": position} if self.turn.tells_position else {}
        return self.message("cancel", **told)

    # ── what comes ─────────────────────────────────────────────────────────────────────────────

    def begin(self, message: dict[str, Any], prebuffer_samples: int) -> None:
        """``started``: the codec is known, playout can be modelled."""
        self.context_number = message["context_number"]
        self._sample_rate = message["sample_rate"]
        self._preskip_samples = message["preskip_samples"]
        self._player = JitterBuffer(
            prebuffer_samples,
            preskip_samples=self._preskip_samples,
            generation=message["generation"],
        )

    def receive_audio(self, data: bytes, now: float) -> None:
        """A binary message of this context; raises ProtocolViolation if it does not adjoin."""
        player = self._player
        assert player is not None, "the server numbers a context in started"
        header, frames = AudioHeader.unpack(data)
        if full_generation(header.generation, player.generation) < player.generation:
            assert self.interruption is not None
            self.interruption = replace(self.interruption, last_frame_s=now)
            return
        samples = header.frame_duration_samples * frames
        player.receive_frame(
            header.timestamp, samples, now, header.marker, header.last, frames=frames
        )
        self._keep(data)
        self._received_samples += samples
        self._last_arrival_s = now

    def receive_message(self, kind: str, message: dict[str, Any], now: float) -> None:
        """Whatever else is about this context; unknown kinds are ignored."""
        if kind == "cancelled":
            self._receive_cancelled(message, now)
        elif kind == "done":
            if self._player is not None and self.interruption is None:
                self._player.receive_end(now)
            self.over = True
        elif kind in ("chunk", "words") and self.interruption is None:
            if kind == "chunk":
                chunk = SpokenChunk(message["start"], message["end"], message["timestamp"])
                self._chunks.append(chunk)
            self._words += [(word["timestamp"], word["end"]) for word in message["words"]]

    def finish(self, fate: Fate, error: str, now: float) -> Answer:
        """What became of it."""
        turn, player = self.turn, self._player
        first_arrival_s = player.first_arrival_s if player is not None else None
        if fate is Fate.HEARD and first_arrival_s is None:
            fate, error = Fate.FAILED, "no audio"
        elif first_arrival_s is None and now - turn.clause_s > SILENT_TOO_LONG_S:
            fate, error = Fate.FAILED, error or "no audio"
        elif fate is Fate.HEARD and self.interruption is not None:
            fate = Fate.INTERRUPTED
        underruns = player.underruns(now) if player is not None else []
        self.over = True
        return Answer(
            session=self._session,
            turn=turn.number,
            codec=turn.codec,
            request_s=turn.request_s,
            first_token_s=turn.tokens[0].at_s,
            clause_s=turn.clause_s,
            over_s=now,
            fate=fate,
            error=error,
            first_arrival_s=first_arrival_s,
            first_sound_s=player.first_sound_s if player is not None else None,
            last_arrival_s=self._last_arrival_s,
            received_samples=self._received_samples,
            silences=judge_silences(underruns, self._chunks, turn),
            lead=tuple(self._lead),
            chunks=tuple(self._chunks),
            interruption=self.interruption,
            sample_rate=self._sample_rate,
            preskip_samples=self._preskip_samples,
            whole=self._whole,
            audio=tuple(self._audio),
        )

    def _receive_cancelled(self, message: dict[str, Any], now: float) -> None:
        self.over = not message["open"]
        if self.interruption is None:  # not our cancel: the server gave the context up
            self.over, self.fate = True, Fate.FAILED
            return
        heard = message["heard"]
        position = self.interruption.position_samples
        truly = sum(timestamp < position for timestamp, _ in self._words)
        said = sum(end <= heard["text_offset"] for _, end in self._words)
        self.interruption = replace(
            self.interruption,
            answer_s=now,
            heard_error_words=abs(said - truly),
            heard_error_samples=abs(heard["played_samples"] - position),
        )

    def _keep(self, data: bytes) -> None:
        if self._received_samples >= _KEPT_SAMPLES and not self._whole:
            return
        if self._audio_bytes < _WHOLE_BYTES_MAX:
            self._audio_bytes += len(data)
            self._audio += unpack_message(data)[1]
