"""Engines of the simulated world that cost what Kokoro costs, at the gateway's own desk.

Queue, cost model, deadlines and batches are the real ones; only the time that a call takes is
imagined (tests/sim/hardware.py), and varies as much as it was measured to.

    whole      one call plans and renders a chunk
    windowed   a plan, then windows that are cut as the engine cuts them (kokoro/windows.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.engine.base import EngineInfo, Voice
from gateway.engine.desk import Desk
from gateway.engine.kokoro.windows import WindowSizes, divide
from gateway.engine.work import Batch, Stage, Work
from gateway.media import media_samples
from gateway.synthesis import (
    EncodedRendering,
    Plan,
    RequestId,
    Window,
)
from tests.sim.engine import SimulatedJob, words_of
from tests.sim.hardware import FRAME_S, FRAMES_PER_TOKEN, Hardware
from tests.sim.world import World

_VOICE = Voice("sim", "Simulated", "en-us", "simulated")


@dataclass(frozen=True, slots=True)
class Approach:
    """A way to serve: the scheduler's policy, and how chunks are cut; None: rendered whole.

    Listeners wait for ``prebuffer_s`` when the first audio of a talkspurt has come.
    """

    policy: str
    windows: WindowSizes | None = None
    prebuffer_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Run:
    job: SimulatedJob
    frames: int
    tokens: int
    pieces: list[tuple[int, int]] = field(default_factory=list)
    windows: tuple[Window, ...] = ()
    made: int = 0
    position: int | None = None


class InferenceEngines:
    """Takes requests as the dispatcher does, and answers after the time that it would take."""

    def __init__(
        self,
        world: World,
        hardware: Hardware,
        approach: Approach,
        utilisation_max: float = 1.0,
    ) -> None:
        self._world = world
        self._hardware = hardware
        self._approach = approach
        self._free_lanes = hardware.lanes
        info = EngineInfo(
            "simulated",
            "1",
            24_000,
            (_VOICE,),
            "sim",
            hardware.lanes,
            hardware.batch_max,
            approach.windows is not None,
        )
        self.desk = Desk(info, policy=approach.policy, utilisation_max=utilisation_max)
        self._runs: dict[RequestId, _Run] = {}
        self.longest_wait_s = 0.0
        self.busy_s = 0.0

    @property
    def unanswered(self) -> int:
        """Chunks that are still in flight."""
        return len(self._runs)

    @property
    def queued(self) -> int:
        """Pieces of work that still wait."""
        return len(self.desk.scheduler)

    def submit(self, job: SimulatedJob) -> None:
        """Take a chunk; nothing fails here."""
        request = job.request
        tokens = max(1, len(request.chunk.spoken))
        frames = round(tokens * FRAMES_PER_TOKEN / request.speed)
        run = _Run(job, frames, tokens)
        self._runs[request.id] = run
        if self._approach.windows:
            self._queue(run, None)
        else:
            self._cut(run, [(frames, frames)])
        self._pump()

    def withdraw(self, session: str, context: str, generation: int) -> None:
        """Forget what is queued, and stop what runs."""
        dropped = self.desk.scheduler.withdraw(session, context, generation)
        talk = (session, context, generation)
        for request, run in list(self._runs.items()):
            if (request.session, request.context, request.generation) == talk:
                run.job.withdrawn = True
                if dropped:
                    del self._runs[request]

    def reschedule(self, session: str, context: str, generation: int, deadline: float) -> None:
        """Move what is queued; what runs is not interrupted."""
        for request, run in self._runs.items():
            talk = (request.session, request.context, request.generation)
            if talk == (session, context, generation):
                shift_s = run.job.due.receive_deadline(deadline)
                self.desk.scheduler.shift(session, context, generation, shift_s)

    def in_flight_s(self) -> tuple[float, ...]:
        """Audio still to be rendered of each chunk."""
        return tuple((run.frames - run.made) * FRAME_S for run in self._runs.values())

    # ── at the desk ────────────────────────────────────────────────────────────────────────────

    def _queue(self, run: _Run, window: Window | None) -> None:
        self.desk.queue(run.job.request, window, run.job.due.due_at, self._world.now)

    def _pump(self) -> None:
        while self._free_lanes:
            batch = self.desk.scheduler.next_batch(self._world.now)
            if batch is None:
                return
            self._free_lanes -= 1
            waits_s = [self._world.now - work.enqueued_at for work in batch.works]
            self.longest_wait_s = max(self.longest_wait_s, *waits_s)
            duration_s = self._duration_s(batch)
            self._world.after(duration_s, self._ending(batch, duration_s))

    def _ending(self, batch: Batch, duration_s: float) -> Callable[[], None]:
        return lambda: self._over(batch, duration_s)

    def _duration_s(self, batch: Batch) -> float:
        hardware, random = self._hardware, self._world.random
        runs = [self._runs[work.request.id] for work in batch.works]
        longest = max(run.tokens for run in runs)
        if batch.stage is Stage.PLAN:
            duration_s = hardware.plan_s(longest, len(batch))
        else:
            shape = batch.shape
            assert isinstance(shape, int)
            duration_s = hardware.render_s(shape, len(batch))
            if self._approach.windows is None:
                duration_s += hardware.plan_s(longest, len(batch))
        return duration_s * random.choice(hardware.spread)

    def _over(self, batch: Batch, duration_s: float) -> None:
        self._free_lanes += 1
        self.busy_s += duration_s
        audio_s = 0.0
        for work in batch.works:
            run = self._runs[work.request.id]
            if run.job.withdrawn:
                del self._runs[work.request.id]
            elif work.window is None:
                self._receive_plan(run)
            else:
                audio_s += self._receive_window(run, work, work.window)
        now = self._world.now
        self.desk.receive_call(batch, duration_s, audio_s, now, whole=True)
        self._pump()

    def _receive_plan(self, run: _Run) -> None:
        request, sizes = run.job.request, self._approach.windows
        assert sizes is not None
        sizes = replace(sizes, equal=self._hardware.equal_windows)
        spans = divide(run.frames, sizes)
        self._cut(run, [(span.end - span.begin, span.size) for span in spans])
        plan = Plan(request.id, run.windows, media_samples(run.frames * FRAME_S))
        self.desk.receive_plan(plan, request, self._world.now)

    def _cut(self, run: _Run, pieces: list[tuple[int, int]]) -> None:
        run.pieces = pieces
        run.windows = tuple(
            Window(run.job.request.id, number, number == len(pieces) - 1, shape)
            for number, (_, shape) in enumerate(pieces)
        )
        self._queue(run, run.windows[0])

    def _receive_window(self, run: _Run, work: Work, window: Window) -> float:
        now, job = self._world.now, run.job
        core = run.pieces[window.index][0]
        audio_s = core * FRAME_S
        self.desk.receive_rendered(work, now, now)
        run.job.due.receive_made(audio_s, now)
        run.made += core
        if run.position is None:
            run.position = job.track.position_samples
        words = []
        if window.index == 0:
            words = words_of(job.request.chunk.spoken, media_samples(run.frames * FRAME_S))
        rendered = EncodedRendering(
            job.request.id,
            job.track.write_samples(media_samples(audio_s)),
            tuple(words),
            run.position,
            job.track.position_samples,
            window.final,
        )
        if window.final:
            del self._runs[job.request.id]
        else:
            self._queue(run, run.windows[window.index + 1])
        job.deliver(rendered)
        return audio_s
