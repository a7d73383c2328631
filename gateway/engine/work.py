"""What a scheduler orders: pieces of work, and the batches that it makes of them.  Pure data."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.synthesis import SynthesisRequest, Window

PLAN_SHAPE_CHARACTERS = 128
"""Texts are planned together, and their costs are learned together, in steps of this length."""


class Stage(StrEnum):
    """The two kinds of work."""

    PLAN = "plan"
    RENDER = "render"


Kind = tuple[Stage, Hashable]
"""Stage and shape: only work of one kind shares a batch."""

Entry = tuple[tuple[float, ...], "Work"]
"""A place in a queue: sort key, which is unique, and what stands there."""


@dataclass(eq=False, slots=True)
class Work:
    """A chunk to plan (``window`` is None) or one of its windows to render.

    ``deadline`` is when its listener runs dry, in loop seconds.  ``alone`` keeps it out of every
    batch: a batch with it failed, so it has to show by itself whether that was its fault.
    ``entry`` and ``turn`` belong to the scheduler.
    """

    request: SynthesisRequest
    deadline: float
    enqueued_at: float
    window: Window | None = None
    alone: bool = False
    entry: Entry | None = field(default=None, repr=False)
    turn: int = field(default=0, repr=False)

    @property
    def stage(self) -> Stage:
        """Which stage of the engine does it."""
        return Stage.PLAN if self.window is None else Stage.RENDER

    @property
    def shape(self) -> Hashable:
        """The engine's own for a window; for a text its length, rounded up."""
        if self.window is not None:
            return self.window.shape
        steps = -(-len(self.request.chunk.spoken) // PLAN_SHAPE_CHARACTERS)
        return steps * PLAN_SHAPE_CHARACTERS

    @property
    def kind(self) -> Kind:
        """What must be equal in a batch."""
        return self.stage, self.shape

    @property
    def opens(self) -> bool:
        """Whether its listener hears nothing before it is done: the first audio of a talkspurt."""
        return self.request.first and (self.window is None or self.window.index == 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Work of one kind that an engine does in one call; the most urgent is first."""

    works: tuple[Work, ...]

    @property
    def stage(self) -> Stage:
        """Which stage of the engine does it."""
        return self.works[0].stage

    @property
    def shape(self) -> Hashable:
        """The shape of every piece."""
        return self.works[0].shape

    def __len__(self) -> int:
        return len(self.works)
