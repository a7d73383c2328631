"""What every engine is.

An engine works in two stages: ``plan`` (text → windows; cheap) and ``render`` (windows → PCM;
dear).  Both block; the dispatcher calls them in its lane threads, never on the event loop, and
never more than ``EngineInfo.lanes`` calls at once.  An engine that cannot plan ahead says
``plans_ahead=False``: its ``plan`` returns one window at once without doing work, and its
``render`` emits PCM and words as they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import SynthesisError
from gateway.synthesis import Plan, Rendering, SynthesisRequest, Window

Emit = Callable[[int, Rendering], bool]
"""``emit(i, rendering)`` hands over PCM of the i-th window of the batch.

It returns False once nobody wants that window any more; the engine may then stop rendering it.
"""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as clients see it; ``language`` is a BCP 47 tag, lower case (``en-us``, ``de``)."""

    id: str
    name: str
    language: str
    engine: str
    gender: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about a started engine."""

    name: str
    version: str
    sample_rate: int
    voices: tuple[Voice, ...]
    default_voice: str
    lanes: int
    batch_max: int
    plans_ahead: bool
    stand_in: bool = False
    """It speaks noise, for tests and benchmarks: nobody gets it who did not ask for it."""
    lanes_alone: int = 1
    """Lanes whose time a call may take while it is the only one: it spreads over idle cores."""


class Engine(Protocol):
    """Plans and renders; see the module's docstring for who calls what from where."""

    @property
    def info(self) -> EngineInfo:
        """Facts; valid after ``start``."""
        ...

    def start(self) -> None:
        """Load and warm up.  Raises SetupError with a message that says what to do."""
        ...

    def warm_up(self) -> None:
        """Run once what the first audio does not wait for, but what follows would.

        Called after ``start`` in a thread of its own, while others may speak already.
        """
        ...

    def close(self) -> None:
        """End threads and processes; idempotent."""
        ...

    def find(self, voice: str, language: str) -> Voice:
        """The voice that ``voice`` names, else ("") one for ``language``.

        An engine may know more voices, and more names for them, than ``info`` lists.  Raises
        InvalidValue with the field ``voice`` or ``language``.
        """
        ...

    def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
        """Plan each request; an error in one place does not fail the others."""
        ...

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        """Render a batch of windows of one shape, calling ``emit`` from this thread.

        Raises SynthesisError if the batch failed; what was emitted before stays valid.
        """
        ...
