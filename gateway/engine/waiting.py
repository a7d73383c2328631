"""Work that waits, in order: as a whole, and for each kind.  Pure.

Two heaps hold each piece of work: one of everything, to find the most urgent, and one of its kind,
to find what may share its batch.  Removing is lazy: an entry is dead once its work points to
another, and dead entries are dropped when they come to the top, or all at once when they are more
than half.  So every operation is O(log n), amortised, and memory stays in proportion to what waits.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice

from gateway.engine.work import Entry, Kind, Work

_DEAD_MIN = 32


class _LazyHeap:
    """A heap of entries of which some may be dead."""

    __slots__ = ("_entries", "live")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.live = 0

    def push(self, entry: Entry) -> None:
        heapq.heappush(self._entries, entry)
        self.live += 1

    def peek(self) -> Work | None:
        entries = self._entries
        while entries and entries[0][1].entry is not entries[0]:
            heapq.heappop(entries)
        return entries[0][1] if entries else None

    def soonest(self) -> Iterator[Entry]:
        """The living, least key first; O(log n) for each."""
        entries = self._entries
        front = [(entries[0], 0)] if entries else []
        while front:
            entry, place = heapq.heappop(front)
            if entry[1].entry is entry:
                yield entry
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(entries):
                    heapq.heappush(front, (entries[child], child))

    def forget_one(self) -> None:
        """An entry died."""
        self.live -= 1
        if len(self._entries) > 2 * self.live + _DEAD_MIN:
            self._entries = [entry for entry in self._entries if entry[1].entry is entry]
            heapq.heapify(self._entries)


class WaitingWork:
    """A priority queue of work, by unique sort keys, that can be asked for one kind only."""

    def __init__(self) -> None:
        self._all = _LazyHeap()
        self._kinds: dict[Kind, _LazyHeap] = {}

    def __len__(self) -> int:
        return self._all.live

    def push(self, work: Work, key: tuple[float, ...]) -> None:
        """Queue ``work``, which waits nowhere else, at ``key``."""
        assert work.entry is None, "it waits already"
        work.entry = entry = (key, work)
        self._all.push(entry)
        if not work.alone:
            self._kinds.setdefault(work.kind, _LazyHeap()).push(entry)

    def peek(self) -> Work | None:
        """The work with the least key."""
        return self._all.peek()

    def soonest(self, limit: int) -> Iterator[Work]:
        """Up to ``limit`` pieces of work, least key first; nothing may change meanwhile."""
        return (work for _, work in islice(self._all.soonest(), limit))

    def peek_kind(self, kind: Kind) -> Work | None:
        """The work with the least key of those of ``kind`` that may share a batch."""
        heap = self._kinds.get(kind)
        return None if heap is None else heap.peek()

    def remove(self, work: Work) -> tuple[float, ...]:
        """Take ``work`` out; returns its key."""
        assert work.entry is not None, "it does not wait"
        key = work.entry[0]
        work.entry = None
        self._all.forget_one()
        if work.alone:
            return key
        kind = work.kind
        heap = self._kinds[kind]
        heap.forget_one()
        if not heap.live:
            del self._kinds[kind]
        return key
