"""The shell around scheduler and engines: it waits, so that they need not.

    session ──submit──► scheduler ──► lane thread: plan or render, encode ──► session.deliver
                            ▲                a batch of jobs    │
                            └── next window, retry ◄────────────┘

Each engine has as many lane threads as it can use; an engine's calls block there, off the loop,
and so does the encoding, because a track has one writer at a time: a context never has two chunks
in flight.  Only the loop touches schedulers, jobs and the cache; a lane thread sees the jobs that
it was given and posts what it made.

The members of a batch share nothing but the call.  One that is withdrawn is dropped, and the others
go on.  If the call fails, what was complete stays, and everybody else goes through the engine once
more by himself, so that one poisonous chunk fails alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gateway.engine.base import Engine
from gateway.engine.cache import ChunkCache, SpokenChunk
from gateway.engine.cost import Prior
from gateway.engine.desk import Desk
from gateway.engine.job import Job
from gateway.engine.work import Batch, Stage, Work
from gateway.errors import Overloaded, SynthesisError
from gateway.media import MEDIA_RATE, seconds
from gateway.ops.metrics import Metrics
from gateway.synthesis import (
    EncodedRendering,
    Plan,
    Rendering,
    RequestId,
    Window,
)

logger = logging.getLogger(__name__)

_POST_SAMPLES = MEDIA_RATE * 2 // 5
"""After its first audio, a chunk is posted to the loop in parts of 400 ms: each post costs the
loop more than the frames in it, and nobody waits for them."""

Planned = Sequence[Plan | SynthesisError]
"""The answers of a planning call, one for each request."""

T = TypeVar("T")

_Talk = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a call; ``planned`` is None if it failed or rendered."""

    duration_s: float
    planned: Planned | None
    error: Exception | None


class _EngineDesk(Desk):
    """A desk with the engine and the threads of its lanes."""

    def __init__(self, engine: Engine, prior: Prior | None, utilisation_max: float) -> None:
        info = engine.info
        super().__init__(info, prior=prior, utilisation_max=utilisation_max)
        self.engine = engine
        self.free_lanes = info.lanes
        self.threads = ThreadPoolExecutor(info.lanes, thread_name_prefix=f"{info.name}-lane")


class Dispatcher:
    """Takes jobs from sessions, runs them on engines, and delivers what comes out."""

    def __init__(
        self,
        engines: tuple[Engine, ...],
        engine_of: Callable[[str], Engine],
        cache: ChunkCache,
        metrics: Metrics,
        *,
        queue_max: int,
        retries_max: int,
        utilisation_max: float = 1.0,
        priors: Mapping[str, Prior] | None = None,
    ) -> None:
        """``priors`` has costs that an engine measured before, by the engine's name."""
        self._loop = asyncio.get_running_loop()
        self._desks: dict[int, _EngineDesk] = {}
        self._priors = priors or {}
        self._utilisation_max = utilisation_max
        for engine in engines:
            self.add(engine)
        self._engine_of = engine_of
        self._cache = cache
        self._metrics = metrics
        self._queue_max = queue_max
        self._retries_max = retries_max
        self._jobs: dict[RequestId, Job] = {}
        self._by_talk: dict[_Talk, RequestId] = {}

    def add(self, engine: Engine) -> None:
        """An engine has started; from now on it may be given jobs."""
        prior = self._priors.get(engine.info.name)
        self._desks[id(engine)] = _EngineDesk(engine, prior, self._utilisation_max)

    @property
    def queued(self) -> int:
        """Pieces of work that wait for a lane."""
        return sum(len(desk.scheduler) for desk in self._desks.values())

    def check_load(self, sessions: int) -> None:
        """Raises Overloaded if an engine can't serve one more than ``sessions`` sessions."""
        now = self._loop.time()
        for desk in self._desks.values():
            left_s = [
                job.left_s(desk.admission.expected_s(len(job.request.chunk.spoken), now))
                for job in self._jobs.values()
                if self._desk(job) is desk
            ]
            desk.admission.check(sessions, tuple(left_s), now)
        for desk in self._desks.values():
            desk.admission.receive_session(now)

    def utilisation(self) -> float:
        """Share of the lanes' time that the busiest engine spent of late."""
        now = self._loop.time()
        return max((desk.admission.utilisation(now) for desk in self._desks.values()), default=0.0)

    def submit(self, job: Job) -> None:
        """Take a job; its end is a final ``deliver``, a ``fail``, or a ``withdraw``."""
        request = job.request
        if len(self._jobs) >= self._queue_max:
            error = Overloaded(
                f"{self._queue_max} chunks are being synthesised, the limit of this gateway; "
                "this piece of text was not spoken",
                limit=self._queue_max,
            )
            self._loop.call_soon(job.fail, request.id, error)
            return
        job.submitted_at = self._loop.time()
        self._jobs[request.id] = job
        self._by_talk[request.id.session, request.id.context, request.id.generation] = request.id
        desk = self._desk(job)
        if self._take_from_cache(desk, job):
            return
        if desk.engine.info.plans_ahead:
            self._queue(desk, job, None)
        else:
            self._receive_plan(desk, job, desk.engine.plan([request])[0], None)
        self._pump(desk)

    def withdraw(self, session: str, context: str, generation: int) -> None:
        """Nobody wants this generation any more: drop what waits, stop what runs."""
        request_id = self._by_talk.get((session, context, generation))
        if request_id is None:
            return
        job = self._jobs[request_id]
        job.withdrawn = True
        if self._desk(job).scheduler.withdraw(session, context, generation):
            self._forget(job)

    def reschedule(self, session: str, context: str, generation: int, deadline: float) -> None:
        """The listener runs dry at another time: the first sample of its chunk is due then."""
        request_id = self._by_talk.get((session, context, generation))
        if request_id is None:
            return
        job = self._jobs[request_id]
        shift_s = job.due.receive_deadline(deadline)
        self._desk(job).scheduler.shift(session, context, generation, shift_s)

    async def close(self) -> None:
        """End the lanes; running work is abandoned at its next block."""
        for job in self._jobs.values():
            job.withdrawn = True
        for desk in self._desks.values():
            await asyncio.to_thread(desk.threads.shutdown, cancel_futures=True)

    # ── on the loop ────────────────────────────────────────────────────────────────────────────

    def _desk(self, job: Job) -> _EngineDesk:
        return self._desks[id(self._engine_of(job.request.voice))]

    def _forget(self, job: Job) -> None:
        request = job.request.id
        del self._jobs[request]
        talk = (request.session, request.context, request.generation)
        # The session asks for its next chunk on the last delivery, before the lane is over.
        if self._by_talk.get(talk) == request:
            del self._by_talk[talk]

    def _queue(
        self, desk: _EngineDesk, job: Job, window: Window | None, *, alone: bool = False
    ) -> None:
        desk.queue(job.request, window, job.due.due_at, self._loop.time(), alone=alone)

    def _take_from_cache(self, desk: _EngineDesk, job: Job) -> bool:
        found = self._cache.get(job.request)
        self._metrics.cache(hit=found is not None)
        if found is None:
            return False
        self._run_in_lane(desk, partial(self._replay, job, found), partial(self._replayed, job))
        return True

    def _replayed(self, job: Job, future: Future[None]) -> None:
        self._forget(job)
        if not job.withdrawn and (error := future.exception()) is not None:
            logger.error("a chunk from the cache could not be encoded", exc_info=error)
            job.fail(job.request.id, SynthesisError("a piece of text could not be encoded"))

    def _pump(self, desk: _EngineDesk) -> None:
        while desk.free_lanes > 0:
            now = self._loop.time()
            batch = desk.scheduler.next_batch(now)
            if batch is None:
                return
            for work in batch.works:
                self._metrics.queue_wait(now - work.enqueued_at)
            jobs = [self._jobs[work.request.id] for work in batch.works]
            info = desk.engine.info
            width = info.lanes_alone if desk.free_lanes == info.lanes else 1
            desk.free_lanes -= 1
            call = self._plan if batch.stage is Stage.PLAN else self._render
            run = partial(self._timed, partial(call, desk.engine, jobs, batch))
            self._run_in_lane(desk, run, partial(self._batch_over, desk, jobs, batch, width))

    def _run_in_lane(
        self, desk: _EngineDesk, run: Callable[[], T], then: Callable[[Future[T]], None]
    ) -> None:
        """Call ``run`` in a lane thread, and ``then`` on the loop unless that was called off."""
        future = desk.threads.submit(run)

        def over() -> None:
            if not future.cancelled():
                then(future)

        def done(_: object) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(over)

        future.add_done_callback(done)

    def _batch_over(
        self,
        desk: _EngineDesk,
        jobs: list[Job],
        batch: Batch,
        width: int,
        future: Future[_Outcome],
    ) -> None:
        desk.free_lanes += 1
        outcome = future.result()
        now = self._loop.time()
        whole = outcome.error is None and not any(job.withdrawn for job in jobs)
        audio_s = 0.0
        answers: Sequence[Plan | SynthesisError | None] = outcome.planned or [None] * len(jobs)
        for job, work, answer in zip(jobs, batch.works, answers, strict=True):
            if job.withdrawn:
                self._forget(job)
            elif answer is not None:
                self._receive_plan(desk, job, answer, work)
            elif work.window is not None and job.window_complete:
                audio_s += self._window_over(desk, job, work, work.window)
            else:
                self._receive_error(desk, job, work, outcome.error, len(batch))
        desk.receive_call(batch, outcome.duration_s, audio_s, now, whole=whole, width=width)
        self._pump(desk)

    def _window_over(self, desk: _EngineDesk, job: Job, work: Work, window: Window) -> float:
        now = self._loop.time()
        desk.receive_rendered(work, job.window_began_at, now)
        duration_s = job.window_over()
        if not window.final:
            self._queue(desk, job, job.windows[window.index + 1])
            return duration_s
        self._cache.put(job.request, SpokenChunk(tuple(job.made)))
        self._forget(job)
        self._metrics.chunk_spoken(now - job.submitted_at)
        return duration_s

    def _receive_plan(
        self, desk: _EngineDesk, job: Job, plan: Plan | SynthesisError, work: Work | None
    ) -> None:
        if isinstance(plan, SynthesisError):
            self._receive_error(desk, job, work, plan, 1)
            return
        desk.receive_plan(plan, job.request, self._loop.time())
        if plan.length_samples is not None:
            job.length_s = seconds(plan.length_samples)
        job.windows = plan.windows
        job.planned_words = plan.words
        self._queue(desk, job, plan.windows[0])

    def _receive_error(
        self,
        desk: _EngineDesk,
        job: Job,
        work: Work | None,
        error: BaseException | None,
        batch_size: int,
    ) -> None:
        """A call failed, or ended (``error`` is None) without the last block of the window."""
        name = desk.engine.info.name
        if not isinstance(error, SynthesisError):
            logger.error("engine %s failed", name, exc_info=error)
            error = SynthesisError(f"engine {name} failed on a piece of text; it was skipped")
        in_company = batch_size > 1
        tries_left = error.retryable and job.attempts < self._retries_max
        again = work is not None and (in_company or tries_left)
        self._metrics.engine_error(error.code, retried=again)
        logger.warning("engine %s: %s", name, error.message)
        if work is not None and again:
            job.attempts += not in_company
            job.begin_again()
            self._queue(desk, job, work.window, alone=work.alone or in_company)
        else:
            self._forget(job)
            if job.frames:  # they are part of the stream, though the chunk ends here
                job.deliver(job.take_encoded(final=False))
            job.fail(job.request.id, error)

    # ── in a lane thread ───────────────────────────────────────────────────────────────────────

    def _timed(self, call: Callable[[], Planned | None]) -> _Outcome:
        began_at = self._loop.time()
        planned, error = None, None
        try:
            planned = call()
        except Exception as raised:
            error = raised
        return _Outcome(self._loop.time() - began_at, planned, error)

    def _plan(self, engine: Engine, jobs: list[Job], batch: Batch) -> Planned:
        planned = engine.plan([job.request for job in jobs])
        assert len(planned) == len(jobs), f"{len(planned)} plans of {len(jobs)} requests"
        return planned

    def _render(self, engine: Engine, jobs: list[Job], batch: Batch) -> None:
        windows = [work.window for work in batch.works if work.window is not None]

        def emit(number: int, rendering: Rendering) -> bool:
            job = jobs[number]
            if job.withdrawn:
                return False
            part = job.receive_rendering(
                rendering, self._loop.time(), last_window=windows[number].final
            )
            return self._give(job, part)

        engine.render(windows, emit)

    def _replay(self, job: Job, chunk: SpokenChunk) -> None:
        for rendering in chunk.renderings:
            if not self._give(job, rendering):
                return

    def _give(self, job: Job, rendering: Rendering) -> bool:
        """Encode a rendering and post it to the session; returns whether anybody wants more."""
        if job.withdrawn:
            return False
        if job.position_samples is None:
            job.position_samples = job.track.position_samples
        job.frames += job.track.write(rendering.pcm)
        job.words += rendering.words
        gathered = sum(frame.duration_samples for frame in job.frames)
        if rendering.final or gathered >= _POST_SAMPLES or (job.frames and not job.posted):
            encoded = job.take_encoded(final=rendering.final)
            self._loop.call_soon_threadsafe(self._deliver, job, encoded)
        return True

    def _deliver(self, job: Job, encoded: EncodedRendering) -> None:
        if not job.withdrawn:
            job.deliver(encoded)
