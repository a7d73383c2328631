"""One direction of a TCP connection: bytes arrive in order and complete, but not always in time.

    send ──► delay ──► last link: waits its turn, rate, stalls ──► jitter ──► lost? ──► in order
                       └── one message after the other ──┘          hole: all wait ──┘

A lost segment holds back all that follows it (head-of-line blocking) until it has come again:

- a later segment, once acknowledged, shows the hole: the retransmission arrives one round trip and
  a quarter (the reordering window of RACK, RFC 8985) after the first segment that followed;
- without one, the tail loss probe goes out after two round trips (RFC 8985, section 7), but not
  before ``PROBE_MIN_S``;
- if the retransmission is lost too, the timer of RFC 6298 runs, with ``RTO_MIN_S`` as in Linux
  (the RFC's own second would be longer), and doubles each time.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from tests.sim.networks import NEVER_S, Fault, FaultKind, NetworkFaults, trace_named
from tests.sim.world import World

RTO_MIN_S = 0.2
PROBE_MIN_S = 0.01
REORDERING_WINDOW = 0.25
"""Of a round trip."""

Action = Callable[[], None]


class _Times:
    """The faults of one kind, by time."""

    def __init__(self, faults: Sequence[Fault], kind: FaultKind, began_at: float) -> None:
        self._faults = [fault for fault in faults if fault.kind == kind]
        self._starts = [began_at + fault.at_s for fault in self._faults]

    def at(self, now: float) -> tuple[Fault, float] | None:
        """The fault that lasts at ``now``, and when it ends."""
        index = bisect_right(self._starts, now) - 1
        if index < 0:
            return None
        ends_at = self._starts[index] + self._faults[index].lasts_s
        return (self._faults[index], ends_at) if now < ends_at else None


class Pipe:
    """One direction of a connection.

    ``faults`` are the plan's; ``seed`` decides the jitter of each message, and from where on a
    recorded trace is played.
    """

    def __init__(
        self,
        world: World,
        network: NetworkFaults,
        faults: Sequence[Fault],
        seed: str,
        direction: Literal["down", "up"],
    ) -> None:
        self._world = world
        self._network = network
        self._chance = random.Random(seed)
        self._stalls = _Times(faults, "stall", world.now)
        self._busy = _Times(faults, "busy", world.now)
        self._narrow = _Times(faults, "narrow", world.now)
        self._losses = deque(
            (world.now + fault.at_s, int(fault.size)) for fault in faults if fault.kind == "loss"
        )
        self._direction = direction
        self._trace = trace_named(network.trace) if network.trace else None
        self._trace_from_s = (
            self._chance.uniform(0, self._trace.duration_s) - world.now if self._trace else 0.0
        )
        self._link_free_at = 0.0
        self._in_order_at = 0.0
        self._hole_until: float | None = None
        self._behind_hole: list[tuple[float, Action]] = []
        self._lost_twice = False
        self.is_cut = False

    def cut(self) -> None:
        """The connection is gone: what has not arrived never will.  A new one is a new Pipe."""
        self.is_cut = True

    def send(self, size_bytes: int, action: Action) -> None:
        """Deliver by calling ``action`` later, unless the connection is cut by then."""
        now = self._world.now
        arrival = self._leave_link(now + self._delay_s(now), size_bytes) + self._jitter_s(now)
        if self._hole_until is not None:
            self._behind_hole.append((arrival, action))
            if not self._lost_twice:
                self._show_hole(arrival)
        elif self._losses and self._losses[0][0] <= now:
            times = self._losses.popleft()[1]
            while self._losses and self._losses[0][0] <= now:
                self._losses.popleft()
            self._lose(times, arrival, action)
        else:
            self._deliver(arrival, action)

    # ── when it arrives ────────────────────────────────────────────────────────────────────────

    @property
    def _round_trip_s(self) -> float:
        """As TCP has measured it; the way back is as long as the way there."""
        return 2 * (self._delay_s(self._world.now) + self._network.jitter_s)

    def _delay_s(self, now: float) -> float:
        delay_s = self._network.delay_s
        if self._trace is not None:
            delay_s += self._trace.delay_s(self._direction, now + self._trace_from_s)
        return delay_s

    def _jitter_s(self, now: float) -> float:
        busy = self._busy.at(now)
        mean_s = busy[0].size if busy else self._network.jitter_s
        return self._chance.expovariate(1.0) * mean_s

    def _leave_link(self, at: float, size_bytes: int) -> float:
        """When the last link has passed on what reaches it ``at``."""
        at = max(at, self._link_free_at)
        stall = self._stalls.at(at)
        if stall:
            at = stall[1]
        narrow = self._narrow.at(at)
        rate = narrow[0].size if narrow else self._network.bandwidth_bps
        if rate:
            at += 8 * size_bytes / rate
        self._link_free_at = at
        return at

    def _deliver(self, arrival: float, action: Action) -> None:
        self._in_order_at = max(self._in_order_at, arrival)
        self._world.at(self._in_order_at, lambda: None if self.is_cut else action())

    # ── loss ───────────────────────────────────────────────────────────────────────────────────

    def _lose(self, times: int, arrival: float, action: Action) -> None:
        round_trip_s = self._round_trip_s
        self._behind_hole = [(arrival, action)]
        self._lost_twice = times > 1
        self._hole_until = NEVER_S
        if self._lost_twice:
            rto_s = max(RTO_MIN_S, 2 * round_trip_s)
            self._mend_at(arrival + rto_s * (2 ** (times - 1) - 1) + rto_s)
        else:
            self._mend_at(arrival + max(PROBE_MIN_S, 2 * round_trip_s))

    def _show_hole(self, arrival: float) -> None:
        """A later segment's acknowledgement tells the sender what is missing."""
        self._mend_at(arrival + (1 + REORDERING_WINDOW) * self._round_trip_s)

    def _mend_at(self, when: float) -> None:
        assert self._hole_until is not None
        if when < self._hole_until:
            self._hole_until = when
            self._world.at(when, lambda: self._mend(when))

    def _mend(self, when: float) -> None:
        """The missing segment has come: everything that waits behind it is delivered."""
        if self._hole_until != when:
            return
        self._hole_until = None
        waiting, self._behind_hole = self._behind_hole, []
        for arrival, action in waiting:
            self._deliver(max(when, arrival), action)
