"""How much audio a listener really held, or was on its way to it: the price of a pacer.

    lead = sent - played          by the listener's own clock

The gateway only estimates this; the simulator sees both ends.  It is what a listener has in store
against a late message, and what a cancel throws away.  It includes what is still on the wire.
While messages of 60 ms leave every 60 ms it falls by that much and jumps back; each sample is the
mean of the two values before and after a message leaves, which is the mean over time.
"""

from __future__ import annotations

from gateway.client.jitter_buffer import JitterBuffer
from gateway.media import MEDIA_RATE
from gateway.session import events
from tests.sim.checks import FRAME_SAMPLES
from tests.sim.engine import LOOKAHEAD_SAMPLES


class LeadMeter:
    """Leads of one session, in order: ``samples`` has (wall seconds, lead in seconds)."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []

    def observe(self, audio: events.Audio, buffer: JitterBuffer, now: float) -> None:
        """A message leaves."""
        played = buffer.played_samples(now) if buffer.generation == audio.generation else 0
        self.samples.append((now, mean_lead_s(audio.sequence_number, len(audio.payloads), played)))


def mean_lead_s(sequence_number: int, frames: int, played_samples: int) -> float:
    """The lead while ``frames`` leave, of which the first has ``sequence_number``."""
    sent_samples = FRAME_SAMPLES * (sequence_number + frames / 2) - LOOKAHEAD_SAMPLES
    return max(0.0, (sent_samples - played_samples) / MEDIA_RATE)
