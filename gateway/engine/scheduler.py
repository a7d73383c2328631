"""Which batch of work an engine does next.  Pure: it touches no device and reads no clock.

Work is a chunk to plan or a window to render.  The order is a *policy*, a sort key that is fixed
when work arrives.  The one that serves is ``edf``: earliest deadline first (Liu and Layland, 1973),
optimal while everything can be in time.  Its key is, in this order:

1. *urgency*: the deadline, plus ``CROWD_S`` for each piece that the same session has waiting
   already, in grains of ``GRAIN_S``.  A session with one context pays nothing; one with many
   competes with its first context as everybody does, and with the others later;
2. at equal urgency, the session that was served longest ago, or never;
3. the order of arrival.

Four amendments say what happens when not everything can be in time:

* What cannot be in time any more is served after what can: a listener who hears a gap hears it
  anyway, one who does not yet should not.
* …but nothing waits for ever: what is late by more than ``LATE_WAIT_MAX_S`` goes before it.
* Work that opens a talkspurt is never late in that sense, because nobody hears a gap yet.  It goes
  before work of listeners who do hear something as long as all of that can wait (slack stealing:
  Lehoczky and Ramos-Thuel, 1992)…
* …and else it has a reserved share: one in ``FIRST_AUDIO_EVERY`` choices, whatever its deadline, so
  that a full house does not shut out newcomers.

A *batch* holds work of one kind (stage and shape).  Of the sizes that keep every member in time,
and the most urgent other work too, it takes the one with the most work per second by the cost
model.  It must gain ``GAIN_MIN`` over doing one at a time; windows on a CPU never do.  A size that
was not measured is tried when even its worst case (batching gains nothing) would leave everybody in
time.  Where batching pays, a full batch of another kind goes before work whose own batch is not
full and that can wait for it: so a busy engine fills its batches, at the price of milliseconds.

Each choice costs O(log n) for n pieces that wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, islice

from gateway.engine.cost import CostModel
from gateway.engine.waiting import WaitingWork
from gateway.engine.work import Batch, Kind, Work
from gateway.synthesis import RequestId

LATE_WAIT_MAX_S = 1.0
FIRST_AUDIO_EVERY = 8
GRAIN_S = 0.01
CROWD_S = 0.5
GAIN_MIN = 1.1
"""A batch must do this many times the work per second of single calls."""
LOOK_AHEAD = 32
"""Pieces of work that are looked at to find out whether all can wait."""
_FULL_KINDS_TRIED = 4
SESSIONS_REMEMBERED_MAX = 8192
"""Of so many sessions it is known when they were served; the others count as never served."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stands when a piece of its work arrives.

    ``waiting`` pieces of it wait already; it was last served at choice number ``last_served``
    (-1: never); ``turn`` is its turn if all sessions took turns; ``arrival`` numbers the work.
    """

    waiting: int
    last_served: int
    turn: int
    arrival: int


SortKey = Callable[[Work, Standing], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Policy:
    """An order of work; ``by_deadline`` says whether the amendments above hold too."""

    sort_key: SortKey
    by_deadline: bool


def _edf(work: Work, standing: Standing) -> tuple[float, ...]:
    urgency = (work.deadline + CROWD_S * standing.waiting) // GRAIN_S
    return urgency, standing.last_served, standing.arrival


def _fifo(work: Work, standing: Standing) -> tuple[float, ...]:
    return (standing.arrival,)


def _round_robin(work: Work, standing: Standing) -> tuple[float, ...]:
    return standing.turn, standing.arrival


POLICIES: Mapping[str, Policy] = {
    "edf": Policy(_edf, by_deadline=True),
    "fifo": Policy(_fifo, by_deadline=False),
    "round-robin": Policy(_round_robin, by_deadline=False),
}


@dataclass(slots=True)
class _SessionRecord:
    waiting: int = 0
    last_served: int = -1
    turn: int = 0


_Talk = tuple[str, str, int]


def _talk(request: RequestId) -> _Talk:
    return request.session, request.context, request.generation


class Scheduler:
    """The queue in front of one engine."""

    def __init__(
        self,
        costs: CostModel | None = None,
        *,
        lanes: int = 1,
        batch_max: int = 1,
        policy: str = "edf",
    ) -> None:
        self.costs = CostModel() if costs is None else costs
        self._lanes = lanes
        self._batch_max = batch_max
        self._policy = POLICIES[policy]
        self._arrivals = count()
        self._choices = 0
        self._turn = 0
        self._first = WaitingWork()
        self._ongoing = WaitingWork()
        self._late = WaitingWork()
        self._home: dict[Work, WaitingWork] = {}
        self._by_talk: dict[_Talk, set[Work]] = {}
        self._sessions: OrderedDict[str, _SessionRecord] = OrderedDict()
        self._waiting: dict[Kind, int] = {}
        self._full: dict[Kind, None] = {}
        self._since_first = 0

    def __len__(self) -> int:
        return len(self._home)

    # ── what happens to it ─────────────────────────────────────────────────────────────────────

    def receive(self, work: Work) -> None:
        """Queue ``work``."""
        session = self._session(work.request.id.session)
        session.turn = work.turn = max(session.turn + 1, self._turn)
        standing = Standing(
            session.waiting, session.last_served, session.turn, next(self._arrivals)
        )
        session.waiting += 1
        by_deadline = self._policy.by_deadline
        home = self._first if by_deadline and work.opens else self._ongoing
        home.push(work, self._policy.sort_key(work, standing))
        self._home[work] = home
        self._by_talk.setdefault(_talk(work.request.id), set()).add(work)
        self._count(work, 1)

    def withdraw(self, session: str, context: str, generation: int) -> int:
        """Forget all queued work of a generation; returns how many pieces."""
        works = self._by_talk.pop((session, context, generation), set())
        for work in works:
            self._home.pop(work).remove(work)
            self._count(work, -1)
        if works:
            self._sessions[session].waiting -= len(works)
        return len(works)

    def shift(self, session: str, context: str, generation: int, shift_s: float) -> None:
        """Move the deadlines of a generation's queued work, and with them its place."""
        record = self._sessions.get(session)
        works = self._by_talk.get((session, context, generation), set())
        for work in sorted(works, key=lambda work: work.turn):
            assert record is not None, "queued work has a session"
            self._home[work].remove(work)
            work.deadline += shift_s
            others = record.waiting - 1
            standing = Standing(others, record.last_served, work.turn, next(self._arrivals))
            by_deadline = self._policy.by_deadline
            home = self._first if by_deadline and work.opens else self._ongoing
            home.push(work, self._policy.sort_key(work, standing))
            self._home[work] = home

    def next_batch(self, now: float) -> Batch | None:
        """What to do now, which leaves the queue; None if nothing waits."""
        if self._policy.by_deadline:
            self._sort_out_late(now)
        leader = self._choose(now)
        if leader is None:
            return None
        self._choices += 1
        if self._policy.by_deadline:
            leader = self._full_batch_before(leader, now) or leader
        if self._batch_max > 1 and not leader.alone:
            works = self._gather(leader, now)
        else:
            self._take(leader)
            works = [leader]
        for work in works:
            self._serve(work)
        return Batch(tuple(works))

    # ── the leader of the batch ────────────────────────────────────────────────────────────────

    def _sort_out_late(self, now: float) -> None:
        """Put what cannot be in time any more, by what it usually takes, behind what can."""
        while (work := self._ongoing.peek()) is not None:
            estimate = self.costs.estimate(*work.kind, 1)
            if work.deadline >= now + (estimate.mean_s if estimate else 0.0):
                return
            self._late.push(work, self._ongoing.remove(work))
            self._home[work] = self._late

    def _choose(self, now: float) -> Work | None:
        first, ongoing, late = self._first.peek(), self._ongoing.peek(), self._late.peek()
        overdue = late is not None and now - late.deadline > LATE_WAIT_MAX_S
        if first is not None and self._first_goes(first, ongoing, overdue, now):
            self._since_first = 0
            return first
        self._since_first += 1
        return late if overdue or ongoing is None else ongoing

    def _first_goes(self, first: Work, ongoing: Work | None, overdue: bool, now: float) -> bool:
        """Whether work that opens a talkspurt goes before that of a listener who hears one."""
        if self._since_first >= FIRST_AUDIO_EVERY - 1:
            return True
        if overdue:
            return False
        if ongoing is None:
            return True
        assert first.entry is not None
        assert ongoing.entry is not None
        return first.entry <= ongoing.entry and self._all_can_wait(self._upper_s(first.kind), now)

    def _all_can_wait(self, taken_s: float, now: float) -> bool:
        """Whether listeners who hear something stay in time if a lane is first used for long.

        They share the lanes in the order of their deadlines: as many as can be looked at.
        """
        ahead_s = 0.0
        for work in self._ongoing.soonest(LOOK_AHEAD):
            cost_s = self._upper_s(work.kind)
            wait_s = max(taken_s, (taken_s + ahead_s) / self._lanes)
            if now + wait_s + cost_s > work.deadline:
                return False
            ahead_s += cost_s
        return True

    def _full_batch_before(self, leader: Work, now: float) -> Work | None:
        """The head of a full batch that may go before ``leader``, whose own is not full."""
        if leader.kind in self._full:
            return None
        for kind in islice(self._full, _FULL_KINDS_TRIED):
            single = self.costs.estimate(*kind, 1)
            full = self.costs.estimate(*kind, self._batch_max)
            if single is None or full is None:
                continue
            pays = full.mean_s * GAIN_MIN < single.mean_s * self._batch_max
            if pays and now + full.upper_s + self._upper_s(leader.kind) <= leader.deadline:
                heads = (home.peek_kind(kind) for home in (self._first, self._ongoing))
                return next((head for head in heads if head is not None), None)
        return None

    def _upper_s(self, kind: Kind) -> float:
        """What one piece takes by itself; 0 while nothing is known."""
        estimate = self.costs.estimate(*kind, 1)
        return 0.0 if estimate is None else estimate.upper_s

    # ── the rest of the batch ──────────────────────────────────────────────────────────────────

    def _gather(self, leader: Work, now: float) -> list[Work]:
        """Takes the leader, and as many others of its kind as pays and as slack allows."""
        taken = [(leader, self._take(leader))]
        for home in (self._first, self._ongoing, self._late):
            while len(taken) < self._batch_max:
                work = home.peek_kind(leader.kind)
                if work is None:
                    break
                taken.append((work, self._take(work)))
        size = self._size([work for work, _ in taken], now)
        for work, key in taken[size:]:
            self._home[work].push(work, key)
        return [work for work, _ in taken[:size]]

    def _take(self, work: Work) -> tuple[float, ...]:
        return self._home[work].remove(work)

    def _size(self, works: list[Work], now: float) -> int:
        """How many of ``works``, none of which waits at present, to do in one call."""
        kind = works[0].kind
        single = self.costs.estimate(*kind, 1)
        if single is None:
            return 1
        best = 1
        best_rate = GAIN_MIN / single.mean_s if single.mean_s > 0 else float("inf")
        slacks_s = [
            self._slack_s(work, now, after=self._upper_s(work.kind), single_s=single.upper_s)
            for queue in (self._first, self._ongoing)
            if (work := queue.peek()) is not None
        ]
        members_s = min([*slacks_s, self._slack_s(works[0], now, 0.0, single.upper_s)])
        for size in range(2, len(works) + 1):
            members_s = min(members_s, self._slack_s(works[size - 1], now, 0.0, single.upper_s))
            slack_s = members_s
            if size < len(works):
                left_out = self._slack_s(works[size], now, single.upper_s, single.upper_s)
                slack_s = min(slack_s, left_out)
            estimate = self.costs.estimate(*kind, size)
            assert estimate is not None, "one at a time is known, so this can be inferred"
            worth_knowing = size & (size - 1) == 0 and self.costs.unsure(*kind, size, now)
            if worth_knowing and single.upper_s * size <= slack_s:
                return size
            if estimate.upper_s <= slack_s and size / estimate.mean_s > best_rate:
                best, best_rate = size, size / estimate.mean_s
        return best

    def _slack_s(self, work: Work, now: float, after: float, single_s: float) -> float:
        """How long a batch may take for the sake of ``work``, which needs ``after`` thereafter.

        Who could not be in time even if the batch were a single piece puts no limit on it.
        """
        slack_s = work.deadline - now - after
        if slack_s < single_s or not self._policy.by_deadline:
            return float("inf")
        return slack_s

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def _serve(self, work: Work) -> None:
        """Note that ``work``, which was taken, leaves for the engine."""
        del self._home[work]
        self._count(work, -1)
        request = work.request.id
        works = self._by_talk[_talk(request)]
        works.remove(work)
        if not works:
            del self._by_talk[_talk(request)]
        session = self._sessions[request.session]
        session.waiting -= 1
        session.last_served = self._choices
        self._turn = max(self._turn, work.turn)
        self._sessions.move_to_end(request.session)

    def _count(self, work: Work, by: int) -> None:
        """Keep track of the kinds of which a full batch waits."""
        if self._batch_max == 1 or work.alone:
            return
        kind = work.kind
        waiting = self._waiting.get(kind, 0) + by
        if waiting:
            self._waiting[kind] = waiting
        else:
            del self._waiting[kind]
        if waiting >= self._batch_max:
            self._full[kind] = None
        else:
            self._full.pop(kind, None)

    def _session(self, name: str) -> _SessionRecord:
        record = self._sessions.get(name)
        if record is None:
            record = self._sessions[name] = _SessionRecord()
            if len(self._sessions) > SESSIONS_REMEMBERED_MAX:
                self._forget_oldest()
        return record

    def _forget_oldest(self) -> None:
        oldest = next(iter(self._sessions))
        if self._sessions[oldest].waiting:
            self._sessions.move_to_end(oldest)
        else:
            del self._sessions[oldest]
