"""An event loop whose seconds are shorter than the world's, for tests that would take a minute.

Everything that reads the loop's clock or waits by it runs ``factor`` times faster, gateway, proxy
and client alike; sockets, threads and the CPU do not.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable


class _FastSelector(selectors.DefaultSelector):
    factor = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.factor)


class FastLoop(asyncio.SelectorEventLoop):
    """Its clock runs ``factor`` times as fast as the world's."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._skipped_s = 0.0
        selector = _FastSelector()
        selector.factor = factor
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self._factor + self._skipped_s

    def skip(self, seconds: float) -> None:
        """So much time has passed at once."""
        self._skipped_s += seconds


def fast_loop(factor: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """A factory for ``asyncio.Runner``."""
    return lambda: FastLoop(factor)
