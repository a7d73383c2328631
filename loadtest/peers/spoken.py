"""What a listener heard of one answer, whichever server spoke it.  Pure.

    tokens    t₁ t₂ t₃ … (end of the first sentence) … last
    audio              ▮▮▮  ▮▮▮   ▮▮▮▮         ▮▮▮   → JitterBuffer
    heard              ┊ silence, then the first audible sample
              └─ first audio ─┘

The player is ``gateway.client.jitter_buffer``: it begins after ``PREBUFFER_SAMPLES``, and any
silence before the end of the *answer* is an underrun; that a server calls a pause the end of a
talkspurt excuses nothing here, since others have no word for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.client.jitter_buffer import JitterBuffer
from gateway.media import MEDIA_RATE

PREBUFFER_SAMPLES = MEDIA_RATE * 40 // 1000
"""What our gateway advises; the others advise nothing."""
AUDIBLE = 10 ** (-50 / 20)
"""Full scale is 1; what is softer than -50 dB counts as silence."""
GAP_S = 0.05
"""Silence up to this is not heard as a gap."""
_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer.  Seconds; ``first_audio_s`` from the first token, None if nothing was audible.

    ``after_sentence_s`` is from the last token of the first sentence; negative if the server did
    not wait for it.  ``problem``: why the answer did not come to its end, or "".
    """

    first_audio_s: float | None
    after_sentence_s: float | None
    worst_gap_s: float
    gaps: int
    speech_s: float
    problem: str = ""

    @property
    def gapless(self) -> bool:
        """Whether it came to its end without an audible gap."""
        return not self.problem and self.first_audio_s is not None and self.worst_gap_s <= GAP_S


class Listener:
    """Takes 16-bit PCM, little-endian, mono, of one rate, in pieces of any length."""

    def __init__(self) -> None:
        self._player = JitterBuffer(PREBUFFER_SAMPLES)
        self._rest = b""
        self._samples = 0
        self._media_samples = 0
        self._silent_s = 0.0
        self._audible = False

    def receive(self, pcm: bytes, rate: int, now: float) -> None:
        """``pcm`` at ``rate`` Hz arrived at ``now``; half a sample is kept for the next piece."""
        data = self._rest + pcm
        whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2")
        self._find_audible(samples, rate)
        self._samples += len(samples)
        # By the total, since a sample of 22,050 Hz is no whole number of media samples.
        duration = self._samples * MEDIA_RATE // rate - self._media_samples
        if duration:
            self._player.receive_frame(self._media_samples, duration, now)
            self._media_samples += duration

    def end(self, now: float) -> None:
        """The answer is complete."""
        self._player.receive_end(now)

    def outcome(
        self, first_token_s: float, sentence_end_s: float, now: float, problem: str = ""
    ) -> Outcome:
        """What was heard up to ``now``; times on the clock of ``receive``."""
        begun_s = self._player.first_sound_s
        heard_s = begun_s + self._silent_s if begun_s is not None and self._audible else None
        gaps = self._player.underruns(now)
        return Outcome(
            first_audio_s=None if heard_s is None else heard_s - first_token_s,
            after_sentence_s=None if heard_s is None else heard_s - sentence_end_s,
            worst_gap_s=max((gap.duration_s for gap in gaps), default=0.0),
            gaps=sum(gap.duration_s > GAP_S for gap in gaps),
            speech_s=self._media_samples / MEDIA_RATE,
            problem=problem,
        )

    def _find_audible(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]], rate: int) -> None:
        if self._audible:
            return
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > AUDIBLE * 32_768)
        self._audible = bool(len(loud))
        self._silent_s += (int(loud[0]) if len(loud) else len(samples)) / rate
