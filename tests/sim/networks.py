"""Networks: what they do to one direction of a TCP connection, and what goes wrong, drawn ahead.

``NetworkFaults`` says how a kind of network behaves; ``draw_faults`` makes of it a list of
``Fault``, each with its time, so that a minimiser can take away one after the other.  ``Trace`` is
a recording of delay over time, from a file.  tests/sim/network.py lets messages pass through them.

Where the figures come from (docs/simulation.md has the references):

- WIFI is fitted to a published measurement of 30,000 packets over a home Wi-Fi: round trips of 4 ms
  (median), 8 ms (95 %) and 51 ms (99 %); 18 spikes over 100 ms in ten minutes, 12 of them over
  200 ms, one shown close up that held packets back for some 270 ms.  Here each direction has as
  many spikes as were measured for both together, and 15 ms of a wide area network are added.
- STALLED_TCP follows the RFCs' timers (tests/sim/network.py); how often a segment is lost is ours.
- CROWDED_WIFI, MOBILE, NARROW and TUNNEL are models: plausible figures, not measured ones.  A
  handover's interruption is drawn between 100 ms and 800 ms: the low end is an ordinary one, the
  high end a lost radio link that is built up again.
"""

from __future__ import annotations

import csv
import json
import random
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

TRACES = Path(__file__).parent.parent / "data" / "traces"
NEVER_S = 1e9
TRACE_POINTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """One direction of a TCP connection: in order, nothing lost for good, sometimes late."""

    delay_s: float = 0.02
    """Of every message, one way."""
    jitter_s: float = 0.002
    """Mean of what comes on top of it (exponential)."""
    trace: str = ""
    """A file in tests/data/traces whose delay comes on top of it, from a random place on."""
    stall_every_s: float = 0.0
    """Mean time between stalls; 0 = never.  After a stall everything comes at once."""
    stall_s: float = 0.0
    """Mean length of a stall (exponential beyond ``stall_min_s``)."""
    stall_min_s: float = 0.0
    stall_max_s: float = 10.0
    busy_every_s: float = 0.0
    """Mean time between times when others use the medium; 0 = never."""
    busy_s: float = 0.0
    """Mean length of such a time."""
    busy_jitter_s: float = 0.0
    """Mean jitter while it lasts."""
    loss_every_s: float = 0.0
    """Mean time between lost segments; 0 = none is lost."""
    loss_again: float = 0.0
    """Chance that a retransmission is lost too."""
    bandwidth_bps: float = 0.0
    """Bits a second; 0 = no limit."""
    narrow_every_s: float = 0.0
    """Mean time between times of little bandwidth; 0 = never."""
    narrow_s: float = 0.0
    narrow_bps: float = 0.0
    cut_after_s: float = 0.0
    """Mean life of a connection; 0 = it is never cut."""


FaultKind = Literal["stall", "busy", "narrow", "loss"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at ``at_s`` (since the connection began) for ``lasts_s``.

    ``size``: the mean jitter in seconds (busy), bits a second (narrow), or how often a segment is
    lost (loss); a stall has none.
    """

    kind: FaultKind
    at_s: float
    lasts_s: float = 0.0
    size: float = 0.0

    def ends_s(self) -> float:
        """When it is over."""
        return self.at_s + self.lasts_s


def draw_faults(
    faults: NetworkFaults, duration_s: float, chance: random.Random
) -> tuple[Fault, ...]:
    """All that will go wrong within ``duration_s``, in order of time; a kind never overlaps."""
    drawn: list[Fault] = []
    for at_s in _times(faults.stall_every_s, duration_s, chance):
        beyond_s = chance.expovariate(1.0) * (faults.stall_s - faults.stall_min_s)
        lasts_s = min(faults.stall_max_s, faults.stall_min_s + beyond_s)
        drawn.append(Fault("stall", at_s, lasts_s))
    for at_s in _times(faults.busy_every_s, duration_s, chance):
        lasts_s = chance.expovariate(1.0) * faults.busy_s
        drawn.append(Fault("busy", at_s, lasts_s, faults.busy_jitter_s))
    for at_s in _times(faults.narrow_every_s, duration_s, chance):
        lasts_s = chance.expovariate(1.0) * faults.narrow_s
        drawn.append(Fault("narrow", at_s, lasts_s, faults.narrow_bps))
    for at_s in _times(faults.loss_every_s, duration_s, chance):
        times = 1
        while times < 4 and chance.random() < faults.loss_again:
            times += 1
        drawn.append(Fault("loss", at_s, size=times))
    return tuple(sorted(drawn, key=lambda fault: fault.at_s))


def _times(every_s: float, duration_s: float, chance: random.Random) -> list[float]:
    times: list[float] = []
    now = chance.expovariate(1.0) * every_s if every_s else NEVER_S
    while now < duration_s:
        times.append(now)
        now += chance.expovariate(1.0) * every_s
    return times


# ── recordings ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Trace:
    """One-way delays over time: ``delays_s[i]`` holds from ``times_s[i]`` on.

    The first time is 0; after ``duration_s`` it begins anew.
    """

    times_s: tuple[float, ...]
    down_s: tuple[float, ...]
    up_s: tuple[float, ...]
    duration_s: float

    def delay_s(self, direction: Literal["down", "up"], at_s: float) -> float:
        """The delay of what is sent ``at_s`` seconds after the recording began."""
        delays_s = self.down_s if direction == "down" else self.up_s
        return delays_s[bisect_right(self.times_s, at_s % self.duration_s) - 1]


def load_trace(path: Path) -> Trace:
    """Read a trace from CSV or JSON; raises ValueError that names the file and the line.

    CSV has a header and the columns ``time_s, down_ms`` and maybe ``up_ms`` (else: as down).  JSON
    is an object with lists of those names.  Times begin at 0 and rise; the last row's time is the
    end of the recording.
    """
    rows: list[dict[str, Any]]
    if path.suffix == ".json":
        columns = json.loads(path.read_text())
        if not isinstance(columns, dict):
            raise ValueError(f"{path.name}: not an object with the lists time_s and down_ms")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    if not 2 <= len(rows) <= TRACE_POINTS_MAX:
        raise ValueError(f"{path.name}: {len(rows)} points, of 2 to {TRACE_POINTS_MAX}")
    times: list[float] = []
    down: list[float] = []
    up: list[float] = []
    for number, row in enumerate(rows, 1):
        try:
            times.append(float(row["time_s"]))
            down.append(float(row["down_ms"]) / 1000)
            up.append(float(row.get("up_ms", row["down_ms"])) / 1000)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}: point {number}: {error!r}") from error
        if min(down[-1], up[-1]) < 0:
            raise ValueError(f"{path.name}: point {number}: a delay below 0")
        if times[-1] <= (times[-2] if number > 1 else -1e-9) or (number == 1 and times[0] != 0):
            raise ValueError(f"{path.name}: point {number}: times begin at 0 and rise")
    return Trace(tuple(times), tuple(down), tuple(up), times[-1])


@cache
def trace_named(name: str) -> Trace:
    """A trace of tests/data/traces."""
    return load_trace(TRACES / name)


# ── kinds of networks ──────────────────────────────────────────────────────────────────────────

CALM_LINK = NetworkFaults()
WIFI = NetworkFaults(
    delay_s=0.017,
    jitter_s=0.0015,
    stall_every_s=33.0,
    stall_s=0.2,
    stall_min_s=0.1,
    stall_max_s=0.28,
    busy_every_s=15.0,
    busy_s=0.4,
    busy_jitter_s=0.025,
)
CROWDED_WIFI = NetworkFaults(
    delay_s=0.015,
    jitter_s=0.01,
    stall_every_s=8.0,
    stall_s=0.08,
    busy_every_s=10.0,
    busy_s=1.0,
    busy_jitter_s=0.04,
)
MOBILE = NetworkFaults(
    delay_s=0.035,
    jitter_s=0.008,
    stall_every_s=25.0,
    stall_s=0.25,
    stall_min_s=0.1,
    stall_max_s=0.8,
    bandwidth_bps=2_000_000,
    narrow_every_s=20.0,
    narrow_s=1.5,
    narrow_bps=64_000,
)
STALLED_TCP = NetworkFaults(delay_s=0.04, jitter_s=0.003, loss_every_s=8.0, loss_again=0.25)
NARROW = NetworkFaults(delay_s=0.04, jitter_s=0.002, bandwidth_bps=96_000)
TUNNEL = NetworkFaults(
    delay_s=0.035,
    jitter_s=0.005,
    stall_every_s=15.0,
    stall_s=4.0,
    stall_min_s=3.0,
    stall_max_s=8.0,
)
"""Longer than any lead: every pacer tears."""
