"""Time and chance: an event queue and one random generator, from one seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count


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
