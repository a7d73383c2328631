"""The engines of the simulated world: the real scheduler in front of imagined lanes.

A chunk lasts 60 ms a character at speed 1.  Its audio is a counter: every sample's value is its
number, so that a listener can tell whether one is missing, repeated or of another generation.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.engine.job import DueTimes
from gateway.engine.scheduler import Scheduler
from gateway.engine.work import Work
from gateway.errors import EngineCrashed, GatewayError
from gateway.media import EncodedFrame, media_samples
from gateway.session.events import CodecOptions
from gateway.synthesis import (
    EncodedRendering,
    RequestId,
    SpokenWord,
    SynthesisRequest,
    Window,
)
from tests.sim.scenario import EngineFaults
from tests.sim.world import World

CHARACTER_S = 0.06
LOOKAHEAD_SAMPLES = 312


class CountingTrack:
    """Like codecs.track.Track, with frames that say which samples they hold."""

    def __init__(self, codec: CodecOptions) -> None:
        self._frame_samples = codec.frame_duration_ms * 48
        self._encoded = 0
        self._padding = 0
        self.position_samples = 0

    def write_samples(self, count: int) -> tuple[EncodedFrame, ...]:
        """Take ``count`` media samples; returns the frames that they complete."""
        self.position_samples += count
        self._padding = 0
        return self._frames((self.position_samples - self._encoded) // self._frame_samples)

    def finish(self) -> list[EncodedFrame]:
        """Pad the last frame, as Track.finish does."""
        if self._padding or not self.position_samples:
            return []
        held = self.position_samples - self._encoded + LOOKAHEAD_SAMPLES
        frames = self._frames(-(-held // self._frame_samples))
        self._padding = self._encoded - self.position_samples
        self.position_samples = self._encoded
        return list(frames)

    def _frames(self, number: int) -> tuple[EncodedFrame, ...]:
        frames = []
        for _ in range(number):
            payload = self._encoded.to_bytes(8, "little")
            frames.append(EncodedFrame(payload, self._frame_samples))
            self._encoded += self._frame_samples
        return tuple(frames)


@dataclass(eq=False, slots=True)
class SimulatedJob:
    """One chunk on its way."""

    request: SynthesisRequest
    track: CountingTrack
    deliver: Callable[[EncodedRendering], None]
    fail: Callable[[RequestId, GatewayError], None]
    withdrawn: bool = False
    due: DueTimes = field(init=False)

    def __post_init__(self) -> None:
        self.due = DueTimes(self.request)


class Engines(Protocol):
    """What callers ask, and what is checked when the world has ended."""

    longest_wait_s: float

    @property
    def unanswered(self) -> int:
        """Chunks that are still in flight."""
        ...

    @property
    def queued(self) -> int:
        """Pieces of work that still wait."""
        ...

    def submit(self, job: SimulatedJob) -> None:
        """Take a chunk."""
        ...

    def withdraw(self, session: str, context: str, generation: int) -> None:
        """Nobody wants this generation any more."""
        ...

    def reschedule(self, session: str, context: str, generation: int, deadline: float) -> None:
        """The first sample of the chunk in flight is due then."""
        ...


class SimulatedEngines:
    """Takes requests as the dispatcher does, and answers after the time that it would take."""

    def __init__(self, world: World, faults: EngineFaults) -> None:
        self._world = world
        self._faults = faults
        self._seed = world.random.getrandbits(64)
        self._free_lanes = faults.lanes
        self.scheduler = Scheduler()
        self.jobs: dict[RequestId, SimulatedJob] = {}
        self.longest_wait_s = 0.0

    @property
    def unanswered(self) -> int:
        """Chunks that are still in flight."""
        return len(self.jobs)

    @property
    def queued(self) -> int:
        """Pieces of work that still wait."""
        return len(self.scheduler)

    def submit(self, job: SimulatedJob) -> None:
        """Take a job."""
        request = job.request
        assert request.id not in self.jobs, f"asked twice for {request.id}"
        talk = (request.id.session, request.id.context)
        for other in self.jobs.values():
            busy = (other.request.id.session, other.request.id.context) == talk
            assert not busy or other.withdrawn, f"two chunks of {talk} are in flight"
        self.jobs[request.id] = job
        window = Window(request.id, 0, final=True)
        self.scheduler.receive(Work(request, request.deadline, self._world.now, window))
        self._pump()

    def withdraw(self, session: str, context: str, generation: int) -> None:
        """Forget what is queued, and stop what runs."""
        dropped = self.scheduler.withdraw(session, context, generation)
        for request_id, job in list(self.jobs.items()):
            if (request_id.session, request_id.context) != (session, context):
                continue
            if request_id.generation == generation:
                job.withdrawn = True
                if dropped:
                    del self.jobs[request_id]

    def reschedule(self, session: str, context: str, generation: int, deadline: float) -> None:
        """Move what is queued; what runs is not interrupted."""
        for request, job in self.jobs.items():
            talk = (request.session, request.context, request.generation)
            if talk == (session, context, generation):
                shift_s = job.due.receive_deadline(deadline)
                self.scheduler.shift(session, context, generation, shift_s)

    def _pump(self) -> None:
        while self._free_lanes:
            batch = self.scheduler.next_batch(self._world.now)
            if batch is None:
                return
            (work,) = batch.works
            self._free_lanes -= 1
            self.longest_wait_s = max(self.longest_wait_s, self._world.now - work.enqueued_at)
            self._run(self.jobs[work.request.id])

    def _run(self, job: SimulatedJob) -> None:
        world, faults = self._world, self._faults
        spoken = job.request.chunk.spoken
        total = media_samples(max(0.2, len(spoken) * CHARACTER_S) / job.request.speed)
        block = media_samples(faults.block_s)
        starts = range(0, total, block)
        fails_at = self._fails_at(job.request.id, starts)
        position = job.track.position_samples
        words = words_of(spoken, total)

        def make(start: int, when: float) -> None:
            if job.withdrawn:
                self._over(job)
                return
            if start == fails_at:
                self._over(job)
                job.fail(job.request.id, EngineCrashed("the simulated engine crashed"))
                return
            count = min(block, total - start)
            final = start + count == total
            encoded = EncodedRendering(
                job.request.id,
                job.track.write_samples(count),
                tuple(w for w in words if start <= w.start_samples < start + count),
                position,
                job.track.position_samples,
                final,
            )
            if final:
                self._over(job)
            else:
                following = when + faults.block_s * faults.real_time_factor
                world.at(following, lambda: make(start + block, following))
            job.deliver(encoded)

        begin = world.now + faults.start_s
        world.at(begin, lambda: make(0, begin))

    def _fails_at(self, request: RequestId, starts: range) -> int:
        """Where this chunk is lost, or -1; it depends on no other chunk."""
        if not self._faults.failure_rate:
            return -1
        chance = random.Random(f"{self._seed}/{request.session}/{request.chunk}")
        return chance.choice(starts) if chance.random() < self._faults.failure_rate else -1

    def _over(self, job: SimulatedJob) -> None:
        self._free_lanes += 1
        del self.jobs[job.request.id]
        self._pump()


def words_of(spoken: str, total: int) -> list[SpokenWord]:
    """Words spread evenly over the audio by their characters."""
    words = []
    position = 0
    for part in spoken.split(" "):
        end = position + len(part)
        if part:
            words.append(
                SpokenWord(
                    position,
                    end,
                    position * total // len(spoken),
                    end * total // len(spoken),
                )
            )
        position = end + 1
    return words
