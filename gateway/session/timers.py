"""Times at which something is due, of which some may not be known."""

from __future__ import annotations


def earliest(one: float | None, other: float | None) -> float | None:
    """The earlier of two times; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
