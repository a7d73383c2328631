"""A bounded queue between the task that reads the socket and the task that iterates a context.

The writer asks ``full`` and waits for ``on_room`` itself, because it may have a reason not to: the
answer that somebody waits for may lie behind the event that has no room (see ``client.py``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Events of one context, oldest first, for one reader."""

    def __init__(self, size: int, on_room: Callable[[], None]) -> None:
        assert size > 0, size
        self._size = size
        self._on_room = on_room
        self._items: deque[T] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    @property
    def full(self) -> bool:
        """Whether ``size`` items wait; nothing waits for a reader once it is closed."""
        return len(self._items) >= self._size and not self._closed

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def put(self, item: T) -> None:
        """Append; silently dropped once closed."""
        if not self._closed:
            self._items.append(item)
            self._changed.set()

    def discard(self, stale: Callable[[T], bool]) -> None:
        """Drop the items that are ``stale``."""
        self._items = deque(item for item in self._items if not stale(item))
        self._on_room()

    def close(self, error: Exception | None = None) -> None:
        """Nothing follows: ``get`` hands out the rest, then raises ``error`` or EOFError."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._changed.set()
            self._on_room()

    async def get(self) -> T:
        """The oldest item, as soon as there is one."""
        while not self._items:
            if self._closed:
                raise self._error or EOFError
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        self._on_room()
        return item
