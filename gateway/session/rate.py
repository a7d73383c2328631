"""A token bucket that says how long to wait instead of refusing (a shaper, not a policer)."""

from __future__ import annotations


class TokenBucket:
    """``rate`` units a second in the long run, ``burst`` at once."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then = now

    def take(self, now: float) -> float:
        """Take one unit; returns how many seconds to wait before using it (0 if none)."""
        self._level = min(self._burst, self._level + (now - self._then) * self._rate) - 1.0
        self._then = now
        return max(0.0, -self._level / self._rate)
