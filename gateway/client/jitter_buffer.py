"""The listener's jitter buffer: what is heard, when, and where it tears.  The oracle of playout.

Frames come in bursts; the loudspeaker takes one sample after the other.  Between the two lies this
buffer.  It plays nothing until ``prebuffer_samples`` have come (or the talkspurt's last frame), and
plays in real time from then on:

    wall     a₀    started          dry           resumed                    ended
    ─────────┬─────┬────────────────┬─────────────┬──────────────────────────┬───────────►
    frames   ▮▮    ▮ ▮  ▮  ▮                ▮  ▮  ▮ ▮  ▮  ▮ last
    heard    ┊     ████████████████┊             ┊██████████████████████████┊
             ┊     ┊               ┊  underrun   ┊                          ┊
    media    0     0            received       (same)                   received
             └─────┘                └─────────────┘
            prebuffer               silence nobody asked for

Between two frames nothing is decided, so everything is a formula of ``now``: with playout anchored
at ``(anchor_s, anchor_samples)``, and one sample of the listener's clock lasting
``1 / (48,000 · clock_factor)`` seconds,

    played(now) = min(received, anchor_samples + round((now - anchor_s) · 48,000 · clock_factor))
    depth(now)  = received - played(now)
    dry_at      = anchor_s + (received - anchor_samples) / (48,000 · clock_factor)

The anchor stays while playout goes on, so nothing adds up: there is no drift after hours, and each
frame costs the same.  Samples are integers; ``now`` is rounded to the nearest one, as a
loudspeaker's clock does.  A frame that comes within half a sample of ``dry_at`` is therefore in
time.

An *underrun* is silence inside a talkspurt: the buffer ran dry, and its newest frame was not the
``last`` of a talkspurt.  The marker of the frame that ends the silence excuses nothing, as a sender
that is late could always set it; it is recorded, for whoever wants to tell the two apart.  After an
underrun ``rebuffer_samples`` are gathered before playout goes on.

Positions are media samples (48 kHz) of *speech*: the codec's first ``preskip_samples`` are not
played and don't count.  A new generation (a cancel) starts again at 0.

Interarrival jitter follows RFC 3550, section 6.4.1 and appendix A.8, in integers scaled by 16.  Two
differences, as timestamps here don't advance in the silence between talkspurts: the first packet
after a ``last`` or with a marker only sets the reference, and so does the first of a generation.  A
sender's bursts count as jitter, as in RTP.

Pure: no clock, no I/O.  ``now`` must not run backwards.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.errors import ProtocolViolation
from gateway.media import MEDIA_RATE, media_samples

UNDERRUNS_KEPT = 1000
"""Details of the newest underruns that are kept; count and total stay exact."""


@dataclass(frozen=True, slots=True)
class Underrun:
    """Silence inside a talkspurt.

    It began at ``start`` (wall seconds), when ``position_samples`` of the generation had been
    played, and lasted ``duration_s``.  ``marker``: the frame that ended it claimed to open a new
    talkspurt.
    """

    start: float
    duration_s: float
    position_samples: int
    generation: int
    marker: bool = False


@dataclass(frozen=True, slots=True)
class PlayoutReport:
    """The fields of a ``report`` message; ``sequence_number`` is None before the first frame.

    ``output_latency_samples``: of what was played, the device holds so much still; None if nobody
    knows.
    """

    generation: int
    played_samples: int
    depth_samples: int
    underruns: int
    jitter_samples: int
    sequence_number: int | None
    output_latency_samples: int | None = None


class JitterBuffer:
    """One listener of one context.

    ``prebuffer_samples`` and ``rebuffer_samples`` (default: the same) are gathered before playout
    starts and goes on; ``clock_factor`` is the listener's clock against ours (0.999: it plays
    0.1 % too slowly).
    """

    __slots__ = (
        "_anchor_s",
        "_anchor_samples",
        "_dry_since",
        "_end_timestamp",
        "_frames",
        "_jitter_scaled",
        "_last",
        "_latest",
        "_prebuffer_samples",
        "_preskip_samples",
        "_rate",
        "_rebuffer_samples",
        "_received",
        "_transit",
        "_underrun_count",
        "_underrun_total_s",
        "_underruns",
        "first_arrival_s",
        "first_sound_s",
        "generation",
    )

    def __init__(
        self,
        prebuffer_samples: int,
        *,
        rebuffer_samples: int | None = None,
        preskip_samples: int = 0,
        clock_factor: float = 1.0,
        generation: int = 0,
    ) -> None:
        assert prebuffer_samples >= 0, prebuffer_samples
        assert clock_factor > 0, clock_factor
        self._prebuffer_samples = prebuffer_samples
        self._rebuffer_samples = prebuffer_samples if rebuffer_samples is None else rebuffer_samples
        self._preskip_samples = preskip_samples
        self._rate = MEDIA_RATE * clock_factor
        self._latest = float("-inf")
        self._jitter_scaled = 0
        self._underruns: deque[Underrun] = deque(maxlen=UNDERRUNS_KEPT)
        self._underrun_count = 0
        self._underrun_total_s = 0.0
        self.first_arrival_s: float | None = None
        """When the first frame of all came."""
        self.first_sound_s: float | None = None
        """When the first sample of all was played."""
        self._begin_generation(generation)

    def _begin_generation(self, generation: int) -> None:
        self.generation = generation
        self._anchor_s: float | None = None
        self._anchor_samples = 0
        self._dry_since: float | None = None
        self._end_timestamp = 0
        self._frames = 0
        self._last = False
        self._received = 0
        self._transit: int | None = None

    # ── what comes in ──────────────────────────────────────────────────────────────────────────

    def receive_frame(
        self,
        timestamp_samples: int,
        duration_samples: int,
        now: float,
        marker: bool = False,
        last: bool = False,
        *,
        frames: int = 1,
        generation: int | None = None,
    ) -> bool:
        """A frame, or a message of several contiguous ``frames``, arrived at ``now``.

        ``duration_samples`` is that of all its frames together.  Returns False, and does nothing,
        if it is of an older ``generation``; a newer one cancels the present one first.  Raises
        ProtocolViolation if it does not adjoin the frame before it.
        """
        if generation is not None and generation != self.generation:
            if generation < self.generation:
                return False
            self.cancel(now, generation)
        if timestamp_samples != self._end_timestamp:
            raise ProtocolViolation(
                f"audio has timestamp {timestamp_samples}, expected {self._end_timestamp}: frames "
                "of a generation adjoin",
                field="timestamp",
            )
        assert duration_samples > 0, duration_samples
        self._move_to(now)
        self._stop_if_dry(now)
        self._measure_jitter(timestamp_samples, now, begins=marker or self._last)
        self._end_timestamp += duration_samples
        self._received = max(0, self._end_timestamp - self._preskip_samples)
        self._frames += frames
        self._last = last
        if self.first_arrival_s is None:
            self.first_arrival_s = now
        self._play_if_enough(now, marker)
        return True

    def receive_end(self, now: float) -> None:
        """No more frames come in this generation: what is there is played, silence is no fault."""
        self._move_to(now)
        self._stop_if_dry(now)
        self._dry_since = None
        self._last = True
        self._play_if_enough(now, marker=False)

    def cancel(self, now: float, generation: int | None = None) -> int:
        """Flush: silence from ``now`` on; returns the samples of the old generation that played.

        The next generation is ``generation``, by default one higher.
        """
        self._move_to(now)
        played = self.played_samples(now)
        self._stop_if_dry(now)
        if self._dry_since is not None:
            self._close_underrun(now, marker=False)
        following = self.generation + 1 if generation is None else generation
        assert following > self.generation, f"generation {following} after {self.generation}"
        self._begin_generation(following)
        return played

    # ── what can be asked ──────────────────────────────────────────────────────────────────────

    @property
    def received_samples(self) -> int:
        """Speech of this generation that has arrived."""
        return self._received

    @property
    def sequence_number(self) -> int | None:
        """The newest frame's number in this generation; None before the first."""
        return self._frames - 1 if self._frames else None

    @property
    def jitter_samples(self) -> int:
        """Interarrival jitter in media samples (RFC 3550, appendix A.8)."""
        return self._jitter_scaled >> 4

    @property
    def dry_at(self) -> float | None:
        """When all that has arrived will have been played; None while nothing plays.

        It stays in the past once the buffer has run dry, until the next frame.
        """
        if self._anchor_s is None:
            return None
        return self._anchor_s + (self._received - self._anchor_samples) / self._rate

    def played_samples(self, now: float) -> int:
        """Speech of this generation that has left the loudspeaker at ``now``."""
        return min(self._received, self._position(now))

    def depth_samples(self, now: float) -> int:
        """Speech that has arrived and waits at ``now``."""
        return self._received - self.played_samples(now)

    def playing(self, now: float) -> bool:
        """Whether a sample is leaving the loudspeaker at ``now``."""
        return self._anchor_s is not None and self._position(now) < self._received

    def starved(self, now: float) -> bool:
        """Whether there is silence inside a talkspurt at ``now``."""
        return self._dry_since_at(now) is not None

    def underrun_count(self, now: float) -> int:
        """Underruns of all generations, with one that lasts still."""
        return self._underrun_count + self.starved(now)

    def underrun_total_s(self, now: float) -> float:
        """Seconds of silence inside talkspurts, with one that lasts still."""
        dry_since = self._dry_since_at(now)
        return self._underrun_total_s + (now - dry_since if dry_since is not None else 0.0)

    def underruns(self, now: float) -> list[Underrun]:
        """The newest underruns, oldest first, with one that lasts still."""
        dry_since = self._dry_since_at(now)
        if dry_since is None:
            return list(self._underruns)
        lasting = Underrun(dry_since, now - dry_since, self.played_samples(now), self.generation)
        return [*self._underruns, lasting]

    def report(self, now: float) -> PlayoutReport:
        """What a receiver report says at ``now``."""
        return PlayoutReport(
            generation=self.generation,
            played_samples=self.played_samples(now),
            depth_samples=self.depth_samples(now),
            underruns=self.underrun_count(now),
            jitter_samples=self.jitter_samples,
            sequence_number=self.sequence_number,
        )

    # ── the model ──────────────────────────────────────────────────────────────────────────────

    def _move_to(self, now: float) -> None:
        assert now >= self._latest, f"time runs backwards: {now} after {self._latest}"
        self._latest = now

    def _position(self, now: float) -> int:
        """Where playout would be if the buffer never ran dry."""
        if self._anchor_s is None:
            return self._anchor_samples
        return self._anchor_samples + max(0, round((now - self._anchor_s) * self._rate))

    def _dry_since_at(self, now: float) -> float | None:
        if self._dry_since is not None:
            return self._dry_since
        if self._last or self._position(now) <= self._received:
            return None
        return self.dry_at

    def _stop_if_dry(self, now: float) -> None:
        """Halt playout if it outran what had arrived before ``now``."""
        if self._position(now) > self._received:
            self._dry_since = self._dry_since_at(now)
            self._anchor_s = None
            self._anchor_samples = self._received

    def _play_if_enough(self, now: float, marker: bool) -> None:
        if self._anchor_s is not None:
            return
        waiting = self._received - self._anchor_samples
        wanted = self._prebuffer_samples if self._dry_since is None else self._rebuffer_samples
        if waiting <= 0 or (waiting < wanted and not self._last):
            return
        if self._dry_since is not None:
            self._close_underrun(now, marker)
        if self.first_sound_s is None:
            self.first_sound_s = now
        self._anchor_s = now

    def _close_underrun(self, now: float, marker: bool) -> None:
        assert self._dry_since is not None
        duration_s = now - self._dry_since
        self._underruns.append(
            Underrun(self._dry_since, duration_s, self._anchor_samples, self.generation, marker)
        )
        self._underrun_count += 1
        self._underrun_total_s += duration_s
        self._dry_since = None

    def _measure_jitter(self, timestamp_samples: int, now: float, *, begins: bool) -> None:
        transit = media_samples(now) - timestamp_samples
        if self._transit is not None and not begins:
            difference = abs(transit - self._transit)
            self._jitter_scaled += difference - ((self._jitter_scaled + 8) >> 4)
        self._transit = transit
