"""The shell around scheduler and engines: it waits, so that they need not.

    session ──submit──► scheduler ──► lane thread: plan or render, encode ──► session.deliver
                            ▲                                   │
                            └── next window, retry ◄────────────┘

Each engine has as many lane threads as it can use; an engine's calls block there, off the loop,
and so does the encoding, because a track has one writer at a time: a context never has two chunks
in flight.  Only the loop touches schedulers, jobs and the cache; a lane thread sees the job that it
was given and posts what it made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gateway.engine.base import Engine
from gateway.engine.cache import ChunkCache, SpokenChunk
from gateway.engine.scheduler import Scheduler, Stage, Work
from gateway.errors import GatewayError, Overloaded, SynthesisError
from gateway.media import MEDIA_RATE, EncodedFrame, PcmBlock, to_media_samples
from gateway.ops.metrics import Metrics
from gateway.synthesis import (
    EncodedRendering,
    Plan,
    Rendering,
    RequestId,
    SpokenWord,
    SynthesisRequest,
    Window,
)

logger = logging.getLogger(__name__)

_POST_SAMPLES = MEDIA_RATE * 2 // 5
"""After its first audio, a chunk is posted to the loop in parts of 400 ms: each post costs the
loop more than the frames in it, and nobody waits for them."""


class Track(Protocol):
    """The encoder of one generation, as the dispatcher needs it."""

    @property
    def position_samples(self) -> int:
        """Media time at which the next written sample will sound."""
        ...

    def write(self, block: PcmBlock) -> list[EncodedFrame]:
        """Encode; called from a lane thread."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One chunk on its way through an engine; ``deliver`` and ``fail`` are called on the loop."""

    request: SynthesisRequest
    track: Track
    deliver: Callable[[EncodedRendering], None]
    fail: Callable[[RequestId, GatewayError], None]
    withdrawn: bool = False
    attempts: int = 0
    submitted_at: float = 0.0
    windows: tuple[Window, ...] = ()
    planned_words: tuple[SpokenWord, ...] = ()
    position_samples: int | None = None
    made: list[Rendering] = field(default_factory=list)
    made_of_window: list[Rendering] = field(default_factory=list)
    given_of_window: int = 0
    frames: list[EncodedFrame] = field(default_factory=list)
    words: list[SpokenWord] = field(default_factory=list)
    posted: bool = False

    def take_encoded(self, *, final: bool) -> EncodedRendering:
        """What was encoded and not posted yet."""
        assert self.position_samples is not None
        encoded = EncodedRendering(
            self.request.id,
            tuple(self.frames),
            tuple(self.words),
            self.position_samples,
            self.track.position_samples,
            final,
        )
        self.frames.clear()
        self.words.clear()
        self.posted = True
        return encoded


_Talk = tuple[str, str, int]


class _EngineDesk:
    """One engine, its queue and its lanes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.scheduler = Scheduler()
        self.free_lanes = engine.info.lanes
        self.threads = ThreadPoolExecutor(
            engine.info.lanes, thread_name_prefix=f"{engine.info.name}-lane"
        )


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
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._desks = {id(engine): _EngineDesk(engine) for engine in engines}
        self._engine_of = engine_of
        self._cache = cache
        self._metrics = metrics
        self._queue_max = queue_max
        self._retries_max = retries_max
        self._jobs: dict[RequestId, Job] = {}
        self._by_talk: dict[_Talk, RequestId] = {}

    @property
    def queued(self) -> int:
        """Pieces of work that wait for a lane."""
        return sum(len(desk.scheduler) for desk in self._desks.values())

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
            self._receive_plan(desk, job, desk.engine.plan([request])[0])
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

    def _queue(self, desk: _EngineDesk, job: Job, window: Window | None) -> None:
        desk.scheduler.receive(Work(job.request, job.request.deadline, self._loop.time(), window))

    def _take_from_cache(self, desk: _EngineDesk, job: Job) -> bool:
        found = self._cache.get(job.request)
        self._metrics.cache(hit=found is not None)
        if found is None:
            return False
        self._run_in_lane(desk, job, None, partial(self._replay, job, found))
        return True

    def _pump(self, desk: _EngineDesk) -> None:
        while desk.free_lanes > 0:
            now = self._loop.time()
            work = desk.scheduler.next_work(now)
            if work is None:
                return
            self._metrics.queue_wait(now - work.enqueued_at)
            job = self._jobs[work.request.id]
            desk.free_lanes -= 1
            run = partial(self._work, desk.engine, job, work)
            self._run_in_lane(desk, job, work, run)

    def _run_in_lane(
        self, desk: _EngineDesk, job: Job, work: Work | None, run: Callable[[], Plan | None]
    ) -> None:
        future = desk.threads.submit(run)

        def done(_: object) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(over)

        def over() -> None:
            if work is not None:
                desk.free_lanes += 1
            if future.cancelled():
                return
            error = future.exception()
            plan = None if error is not None else future.result()
            self._lane_over(desk, job, work, plan, error)
            self._pump(desk)

        future.add_done_callback(done)

    def _lane_over(
        self,
        desk: _EngineDesk,
        job: Job,
        work: Work | None,
        plan: Plan | None,
        error: BaseException | None,
    ) -> None:
        if job.withdrawn:
            self._forget(job)
        elif error is not None:
            self._receive_error(desk, job, work, error)
        elif plan is not None:
            self._receive_plan(desk, job, plan)
        elif work is None or work.window is None:
            self._forget(job)
        else:
            self._window_over(desk, job, work.window)

    def _window_over(self, desk: _EngineDesk, job: Job, window: Window) -> None:
        job.made += job.made_of_window
        job.made_of_window.clear()
        job.given_of_window = 0
        if not window.final:
            self._queue(desk, job, job.windows[window.index + 1])
            return
        self._cache.put(job.request, SpokenChunk(tuple(job.made)))
        self._forget(job)
        self._metrics.chunk_spoken(self._loop.time() - job.submitted_at)

    def _receive_plan(self, desk: _EngineDesk, job: Job, plan: Plan | SynthesisError) -> None:
        if isinstance(plan, SynthesisError):
            self._receive_error(desk, job, None, plan)
            return
        job.windows = plan.windows
        job.planned_words = plan.words
        self._queue(desk, job, plan.windows[0])

    def _receive_error(
        self, desk: _EngineDesk, job: Job, work: Work | None, error: BaseException
    ) -> None:
        if not isinstance(error, SynthesisError):
            logger.error("engine %s failed", desk.engine.info.name, exc_info=error)
            error = SynthesisError(
                f"engine {desk.engine.info.name} failed on a piece of text; it was skipped"
            )
        retryable = error.retryable and work is not None and job.attempts < self._retries_max
        self._metrics.engine_error(error.code, retried=retryable)
        logger.warning("engine %s: %s", desk.engine.info.name, error.message)
        if retryable and work is not None:
            job.attempts += 1
            job.made_of_window.clear()
            self._queue(desk, job, work.window)
        else:
            self._forget(job)
            if job.frames:  # they are part of the stream, though the chunk ends here
                job.deliver(job.take_encoded(final=False))
            job.fail(job.request.id, error)

    # ── in a lane thread ───────────────────────────────────────────────────────────────────────

    def _work(self, engine: Engine, job: Job, work: Work) -> Plan | None:
        if work.stage is Stage.PLAN:
            plan = engine.plan([work.request])[0]
            if isinstance(plan, SynthesisError):
                raise plan
            return plan
        window = work.window
        assert window is not None
        # A retry speaks the window again; what the listener has of it already is left out.
        skip = job.given_of_window
        seen = 0

        def emit(_: int, rendering: Rendering) -> bool:
            nonlocal seen
            words = (*job.planned_words, *rendering.words)
            job.planned_words = ()
            rendering = Rendering(rendering.pcm, rendering.final and window.final, words)
            job.made_of_window.append(rendering)
            start, seen = seen, seen + len(rendering.pcm.samples)
            if skip > start:
                rendering = _without_first(rendering, skip - start, start)
            job.given_of_window += len(rendering.pcm.samples)
            return self._give(job, rendering)

        engine.render([window], emit)
        return None

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


def _without_first(rendering: Rendering, skip: int, start: int) -> Rendering:
    """The rendering less its first ``skip`` samples, and less the words that began in them."""
    pcm = PcmBlock(rendering.pcm.samples[skip:], rendering.pcm.sample_rate)
    heard_samples = to_media_samples(
        start + min(skip, len(rendering.pcm.samples)), rendering.pcm.sample_rate
    )
    words = tuple(word for word in rendering.words if word.start_samples >= heard_samples)
    return Rendering(pcm, rendering.final, words)
