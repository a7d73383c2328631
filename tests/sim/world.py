"""Time and chance: an event queue and one random generator, from one seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

from tests.sim.scenario import NetworkFaults


class World:
    """Calls functions at simulated times, in order; ties go to whoever asked first."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Call ``action`` at ``when``, or now if that has passed."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call ``action`` in ``delay_s``."""
        self.at(self.now + delay_s, action)

    def step(self) -> bool:
        """Do the next thing; False if there is nothing."""
        if not self._queue:
            return False
        self.now, _, action = heapq.heappop(self._queue)
        self.steps += 1
        action()
        return True

    def exponential(self, mean: float) -> float:
        """A random time with this mean."""
        return self.random.expovariate(1 / mean)


class Pipe:
    """One direction of a connection: messages arrive in order, each late by chance."""

    def __init__(self, world: World, faults: NetworkFaults) -> None:
        self._world = world
        self._faults = faults
        self._free_at = 0.0
        self._next_stall = self._draw_stall()
        self.cut = False

    def _draw_stall(self) -> float:
        if not self._faults.stall_every_s:
            return float("inf")
        return self._world.now + self._world.exponential(self._faults.stall_every_s)

    def send(self, action: Callable[[], None]) -> None:
        """Deliver by calling ``action`` later, unless the connection is cut by then."""
        world, faults = self._world, self._faults
        arrival = world.now + faults.delay_s + world.exponential(faults.jitter_s)
        if world.now >= self._next_stall:
            self._free_at = max(self._free_at, world.now + world.exponential(faults.stall_s))
            self._next_stall = self._draw_stall()
        # TCP: what is late holds back what follows.
        self._free_at = max(self._free_at, arrival)
        world.at(self._free_at, lambda: None if self.cut else action())
