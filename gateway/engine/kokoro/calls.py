"""How many calls an engine computes now, so that one which is alone may use idle cores.  Pure.

Lanes enter and leave at any moment and from any thread; each operation on the set is atomic, so no
lock is needed.  Two that enter at the same moment may both see two: then each keeps to one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Calls:
    """Counts calls while they run."""

    def __init__(self) -> None:
        self._running: set[object] = set()

    def __len__(self) -> int:
        """How many run now."""
        return len(self._running)

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Count one until it is left; gives whether it is the only one."""
        me = object()
        self._running.add(me)
        try:
            yield len(self._running) == 1
        finally:
            self._running.discard(me)
