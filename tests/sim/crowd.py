"""More clients come than the machine can serve: what admission makes of it.

Clients arrive by chance at a given rate.  Who is refused comes back when it was told to, up to
``tries`` times in all, and then goes away.  The refused are not counted among the sessions with a
gap: they were told so at once.
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
RUSH_S = 2.0


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
    asked: float
    """How often, on average, one asked who was let in."""


class _Doorkeeper:
    def __init__(
        self,
        world: World,
        engines: InferenceEngines,
        interval_s: float,
        admission: bool,
        tries: int,
    ) -> None:
        self._world = world
        self._engines = engines
        self._interval_s = interval_s
        self._admission = admission
        self._tries = tries
        self._settings = Settings()
        self._here = 0
        self._changed_at = 0.0
        self.came = 0
        self.refused = 0
        self.let_in = 0
        self.asked = 0
        self.retry_after_s = 0.0
        self.session_seconds = 0.0
        self.heard: list[Heard] = []
        world.after(world.exponential(interval_s), self._arrive)

    def _arrive(self) -> None:
        self._world.after(self._world.exponential(self._interval_s), self._arrive)
        self.knock()

    def knock(self, attempt: int = 1) -> None:
        """Somebody asks to be let in, for the first time or again."""
        world, desk = self._world, self._engines.desk
        self.came += attempt == 1
        if self._admission:
            try:
                desk.admission.check(self._here, self._engines.in_flight_s(), world.now)
            except Overloaded as error:
                wait_s = error.retry_after_s or 0.0
                self.refused += 1
                self.retry_after_s += wait_s
                if attempt < self._tries:
                    world.after(wait_s, lambda: self.knock(attempt + 1))
                return
            desk.admission.receive_session(world.now)
        self._change(1)
        self.let_in += 1
        self.asked += attempt
        name = f"s{self.let_in}"
        Listener(name, world, self._settings, self._engines, self._leave)

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
    tries: int = 1,
    rush: int = 0,
    seed: int = 0,
) -> Crowd:
    """Clients come every ``interval_s``; without ``utilisation_max`` everybody may come in.

    Half-way ``rush`` more come within ``RUSH_S``.
    """
    world = World(seed)
    engines = InferenceEngines(world, hardware, approach, utilisation_max or 1.0)
    door = _Doorkeeper(world, engines, interval_s, utilisation_max is not None, tries)
    for _ in range(rush):
        world.at(duration_s / 2 + world.random.uniform(0, RUSH_S), door.knock)
    while world.now < duration_s:
        assert world.step(), "a world without end ended"
    return Crowd(
        came=door.came,
        refused=door.refused,
        sessions=len(door.heard),
        with_gap=sum(heard.worst_gap_s > UNDERRUN_S for heard in door.heard),
        sessions_at_once=door.session_seconds / world.now,
        retry_after_s=door.retry_after_s / max(1, door.refused),
        asked=door.asked / max(1, door.let_in),
    )
