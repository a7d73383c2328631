"""What went wrong in a world, and whether it is the same as what went wrong in another."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from gateway.settings import Settings
from tests.sim.plan import WorldPlan
from tests.sim.run import MakeEngines, Unfinished, run


@dataclass(frozen=True, slots=True)
class Failure:
    """``place`` is file, line and function of the innermost frame: what tells bugs apart.

    ``message`` has names and numbers in it, which change as a world is made smaller.
    """

    place: str
    message: str
    trace: str = ""
    unfinished: bool = False
    """Somebody waited at the end; in a world that ends earlier that would mean nothing."""

    def like(self, other: Failure, substring: str = "") -> bool:
        """Whether both failed in the same place, and this one's message has ``substring``."""
        return self.place == other.place and substring in self.message


def failure_of(
    plan: WorldPlan, settings: Settings | None = None, make_engines: MakeEngines | None = None
) -> Failure | None:
    """Run a world; None if everything held."""
    try:
        run(plan, settings, make_engines)
    except Exception as error:
        return describe(error)
    return None


def describe(error: Exception) -> Failure:
    """The failure that ``error`` stands for."""
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(innermost.filename).name}:{innermost.lineno} {innermost.name}"
    message = f"{type(error).__name__}: {error}"
    if not str(error):
        message += innermost.line or ""
    trace = "".join(traceback.format_exception(error))
    return Failure(place, message, trace, isinstance(error, Unfinished))
