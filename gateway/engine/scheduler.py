"""Which piece of work an engine does next.  Pure: it touches no device and reads no clock.

Work is a chunk to plan or a window to render.  The order is earliest deadline first (Liu and
Layland, 1973), which is optimal while everything can be in time, with three amendments for when it
cannot:

* What is already late is served after what can still be in time: a listener who hears a gap hears
  it anyway, one who does not yet should not.
* …but nothing waits for ever: late work that waited ``LATE_WAIT_MAX_S`` goes first.
* Of every ``FIRST_AUDIO_EVERY`` choices one goes to work that opens a talkspurt, whatever its
  deadline, so that a full house does not shut out newcomers.

Withdrawn work is dropped when its turn comes; withdrawing is O(1) in the length of the queue.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from gateway.synthesis import RequestId, SynthesisRequest, Window

LATE_WAIT_MAX_S = 2.0
FIRST_AUDIO_EVERY = 4


class Stage(StrEnum):
    """The two kinds of work."""

    PLAN = "plan"
    RENDER = "render"


@dataclass(eq=False, slots=True)
class Work:
    """A chunk to plan (``window`` is None) or one of its windows to render."""

    request: SynthesisRequest
    deadline: float
    enqueued_at: float
    window: Window | None = None
    withdrawn: bool = False

    @property
    def stage(self) -> Stage:
        """Which stage of the engine does it."""
        return Stage.PLAN if self.window is None else Stage.RENDER


_Talk = tuple[str, str, int]


def _talk(request: RequestId) -> _Talk:
    return request.session, request.context, request.generation


class Scheduler:
    """The queue in front of one engine."""

    def __init__(self) -> None:
        self._order = count()
        self._first: list[tuple[float, int, Work]] = []
        self._ongoing: list[tuple[float, int, Work]] = []
        self._late: deque[Work] = deque()
        self._by_talk: dict[_Talk, list[Work]] = {}
        self._since_first = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def receive(self, work: Work) -> None:
        """Queue ``work``."""
        heap = self._first if work.request.first else self._ongoing
        heapq.heappush(heap, (work.deadline, next(self._order), work))
        self._by_talk.setdefault(_talk(work.request.id), []).append(work)
        self._waiting += 1

    def withdraw(self, session: str, context: str, generation: int) -> int:
        """Forget all queued work of a generation; returns how many pieces."""
        works = self._by_talk.pop((session, context, generation), [])
        for work in works:
            work.withdrawn = True
        self._waiting -= len(works)
        return len(works)

    def next_work(self, now: float) -> Work | None:
        """The piece to do now, which leaves the queue; None if nothing waits."""
        self._sort_out_late(now)
        work = self._choose(now)
        if work is not None:
            self._remove(work)
        return work

    def _sort_out_late(self, now: float) -> None:
        for heap in (self._first, self._ongoing):
            while heap and (heap[0][2].withdrawn or heap[0][0] < now):
                work = heapq.heappop(heap)[2]
                if not work.withdrawn:
                    self._late.append(work)
        while self._late and self._late[0].withdrawn:
            self._late.popleft()

    def _choose(self, now: float) -> Work | None:
        if self._late and now - self._late[0].enqueued_at >= LATE_WAIT_MAX_S:
            return self._late.popleft()
        first_is_due = self._since_first >= FIRST_AUDIO_EVERY - 1 or not self._ongoing
        if self._first and (first_is_due or self._first[0] < self._ongoing[0]):
            self._since_first = 0
            return heapq.heappop(self._first)[2]
        self._since_first += 1
        if self._ongoing:
            return heapq.heappop(self._ongoing)[2]
        while self._late:
            work = self._late.popleft()
            if not work.withdrawn:
                return work
        return None

    def _remove(self, work: Work) -> None:
        self._waiting -= 1
        talk = _talk(work.request.id)
        works = self._by_talk[talk]
        works.remove(work)
        if not works:
            del self._by_talk[talk]
