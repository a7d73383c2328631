"""More clients come than the machine can serve: what admission makes of it.

Clients arrive by chance at a given rate, ask once, and go away if they are refused.  The refused
are not counted among the sessions with a gap: they were told so at once, with a time to come back.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Overloaded
from gateway.settings import Settings
from tests.sim.hardware import Hardware
from tests.sim.inference import Approach, InferenceEngines
from tests.sim.listeners import UNDERRUN_S, Heard, Listener
from tests.sim.world import World

WARM_UP_S = 60.0
"""Sessions that began before this are not counted."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of those who came."""

    came: int
    refused: int
    sessions: int
    with_gap: int
    sessions_at_once: float
    """On average."""
    retry_after_s: float
    """Mean of what the refused were told."""


class _Doorkeeper:
    def __init__(
        self, world: World, engines: InferenceEngines, interval_s: float, admission: bool
    ) -> None:
        self._world = world
        self._engines = engines
        self._interval_s = interval_s
        self._admission = admission
        self._settings = Settings()
        self._here = 0
        self._changed_at = 0.0
        self.came = 0
        self.refused = 0
        self.retry_after_s = 0.0
        self.session_seconds = 0.0
        self.heard: list[Heard] = []
        world.after(world.exponential(interval_s), self._arrive)

    def _arrive(self) -> None:
        world, desk = self._world, self._engines.desk
        world.after(world.exponential(self._interval_s), self._arrive)
        self.came += 1
        if self._admission:
            try:
                desk.admission.check(self._here, self._engines.in_flight_s(), world.now)
            except Overloaded as error:
                self.refused += 1
                self.retry_after_s += error.retry_after_s or 0.0
                return
            desk.admission.receive_session(world.now)
        self._change(1)
        Listener(f"s{self.came}", world, self._settings, self._engines, self._leave)

    def _leave(self, heard: Heard) -> None:
        self._change(-1)
        if heard.began_at >= WARM_UP_S:
            self.heard.append(heard)

    def _change(self, by: int) -> None:
        now = self._world.now
        self.session_seconds += self._here * (now - self._changed_at)
        self._changed_at = now
        self._here += by


def crowd(
    hardware: Hardware,
    approach: Approach,
    *,
    interval_s: float,
    duration_s: float,
    utilisation_max: float | None,
    seed: int = 0,
) -> Crowd:
    """Clients come every ``interval_s``; without ``utilisation_max`` everybody may come in."""
    world = World(seed)
    engines = InferenceEngines(world, hardware, approach, utilisation_max or 1.0)
    door = _Doorkeeper(world, engines, interval_s, utilisation_max is not None)
    while world.now < duration_s:
        assert world.step(), "a world without end ended"
    return Crowd(
        came=door.came,
        refused=door.refused,
        sessions=len(door.heard),
        with_gap=sum(heard.worst_gap_s > UNDERRUN_S for heard in door.heard),
        sessions_at_once=door.session_seconds / world.now,
        retry_after_s=door.retry_after_s / max(1, door.refused),
    )
