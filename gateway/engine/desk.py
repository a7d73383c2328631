"""What waits for one engine, and what is known about it.  Pure.

The dispatcher and the simulator work at the same desks: one runs an engine in threads, the other
imagines one.
"""

from __future__ import annotations

from gateway.engine.admission import Admission
from gateway.engine.base import EngineInfo
from gateway.engine.cost import CostModel, Prior
from gateway.engine.scheduler import Scheduler
from gateway.engine.work import Batch, Stage, Work
from gateway.media import seconds
from gateway.synthesis import Plan, SynthesisRequest, Window


class Desk:
    """The queue of one engine, with what it learns from the work that was done."""

    def __init__(
        self,
        info: EngineInfo,
        *,
        prior: Prior | None = None,
        utilisation_max: float = 1.0,
        policy: str = "edf",
    ) -> None:
        self.costs = CostModel(prior)
        self.scheduler = Scheduler(
            self.costs, lanes=info.lanes, batch_max=info.batch_max, policy=policy
        )
        self.admission = Admission(info.name, info.lanes, utilisation_max)
        self._first_window: Window | None = None

    def queue(
        self,
        request: SynthesisRequest,
        window: Window | None,
        due_at: float,
        now: float,
        *,
        alone: bool = False,
    ) -> None:
        """Queue a chunk to be planned (``window`` is None) or a window; audio is due at ``due_at``.

        A plan has to be ready earlier than the audio, by the time of rendering its first window:
        with deadlines so changed, the earliest is still the right one to serve first (Chetto,
        Silly and Bouchentouf, 1990).
        """
        self.admission.receive_speaker(request.id.session, now)
        deadline = due_at - self._first_window_s() if window is None else due_at
        self.scheduler.receive(Work(request, deadline, now, window, alone))

    def _first_window_s(self) -> float:
        if self._first_window is None:
            return 0.0
        estimate = self.costs.estimate(Stage.RENDER, self._first_window.shape, 1)
        return 0.0 if estimate is None else estimate.upper_s

    def receive_plan(self, plan: Plan, request: SynthesisRequest, now: float) -> None:
        """A plan was made; it says something about those to come."""
        self._first_window = plan.windows[0]
        if plan.length_samples is not None:
            length_s = seconds(plan.length_samples)
            self.admission.receive_length(len(request.chunk.spoken), length_s, now)

    def receive_rendered(self, work: Work, came_at: float, now: float) -> None:
        """A window is complete; its first audio came at ``came_at``."""
        if not work.opens:
            self.admission.receive_window(came_at - work.deadline, now)

    def receive_call(
        self,
        batch: Batch,
        duration_s: float,
        audio_s: float,
        now: float,
        *,
        whole: bool,
        width: int = 1,
    ) -> None:
        """A call took ``duration_s`` of a lane and gave ``audio_s`` of audio.

        ``whole``: it did all that was asked, so its duration says what such a batch costs.  An
        engine with little to do serves small batches though large ones would need less time for
        each piece; what counts for admission is what would have sufficed.

        ``width``: lanes whose time the call may have taken, because it ran alone.  Such a duration
        does not say what a batch costs in company, so no cost is learned from it.
        """
        if width > 1:
            self.admission.receive_work(duration_s * width, audio_s, now)
            return
        if whole:
            self.costs.receive(batch.stage, batch.shape, len(batch), duration_s, now)
        least_s = self.costs.least_s(batch.stage, batch.shape)
        needed_s = duration_s if least_s is None else min(duration_s, least_s * len(batch))
        self.admission.receive_work(needed_s, audio_s, now)
