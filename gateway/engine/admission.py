"""Whether one more session fits on an engine without gaps for those who are here.  Pure.

Speech costs an engine lane time: ``c`` lane seconds for each second of audio, both measured.  A
listener takes one second of audio a second, while it listens.  So the sessions that are here load
the engine, in lanes, by the greatest of

    measured   lane seconds that were needed in each second of late, had every batch been as large
               as pays
    planned    c · Σ min(audio of a chunk in flight that is not rendered yet, horizon) / horizon;
               a plan knows its length exactly, and before the plan the text's length foretells it

Each session that came within the last seconds has not shown its load yet.  It counts as one that
speaks at once and without pause, and more (``NEWCOMER_ACTIVITY``), and so does the one that asks.
Sessions speak by chance, each for a share ``a`` of the time; the more there are, the less their sum
varies (binomial), so the headroom shrinks with them:

    peak = mean + HEADROOM_DEVIATIONS · c · √(n · a · (1 − a))

but never above what all of them need if they speak at once.

It fits while ``peak / lanes <= utilisation_max``, unless more than ``LATE_SHARE_MAX`` of the
windows came late recently: then the figures above flatter, whatever the reason is.  An engine that
is idle for the most part, by what was measured, what is planned, and how many spoke within the last
seconds, refuses nobody, however many come at once: they may be silent.

Who is refused is told when to come back: when newcomers have shown their load and what is in flight
is rendered.  Where nobody was let in for a while it may take as long again, so it is at least half
of that while.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import Overloaded

MEMORY_S = 30.0
"""What was measured loses 63 % of its weight in this time."""
HORIZON_S = 3.0
"""Audio that is made ahead of a listener, at most: what is in flight is due within this."""
NEWCOMER_S = 5.0
"""A session shows its load within this time."""
NEWCOMER_ACTIVITY = 1.5
"""More than one: to begin costs more than to go on, and it is wanted at once."""
IDLE_SHARE = 0.25
"""An engine is idle while it needs less than this share of the utilisation that it may have."""
HEADROOM_DEVIATIONS = 2.0
LATE_S = 0.05
"""A gap that is heard (the limit of the simulator too)."""
LATE_SHARE_MAX = 0.02
AUDIO_MEASURED_MIN_S = 2.0
"""Nothing is refused before so much audio showed what audio costs; then the last cost counts."""
RETRY_MIN_S, RETRY_MAX_S = 1.0, 30.0
RETRY_SHARE = 0.5
"""Of the time for which nobody was let in."""


class _Fading:
    """A sum that forgets."""

    __slots__ = ("_at", "_since", "_sum")

    def __init__(self) -> None:
        self._sum = 0.0
        self._at = self._since = math.inf

    def add(self, amount: float, now: float) -> None:
        self._since = min(self._since, now)
        self._sum = self.sum(now) + amount
        self._at = now

    def sum(self, now: float) -> float:
        """What is left of all that was added."""
        return self._sum * math.exp(min(0.0, self._at - now) / MEMORY_S)

    def rate(self, now: float) -> float:
        """The sum for each second that it remembers."""
        # A rate over less than the horizon would take a burst for a habit.
        known_s = max(HORIZON_S, now - self._since)
        return self.sum(now) / (MEMORY_S * -math.expm1(-known_s / MEMORY_S))


@dataclass(frozen=True, slots=True)
class Forecast:
    """The load of an engine with one more session, in lanes, and how it came about.

    ``cost`` is lane seconds for a second of audio; ``seen`` the load without newcomers, and
    ``speaking`` that of those who spoke of late; ``late_share`` is that of the late windows.
    """

    cost: float
    seen: float
    speaking: float
    mean: float
    peak: float
    late_share: float


class Admission:
    """Measures one engine's load and says whether one more session fits; times in seconds."""

    def __init__(self, engine: str, lanes: int, utilisation_max: float) -> None:
        self._engine = engine
        self._lanes = lanes
        self._utilisation_max = utilisation_max
        self._lane_s = _Fading()
        self._audio_s = _Fading()
        self._windows = _Fading()
        self._late = _Fading()
        self._characters = _Fading()
        self._planned_s = _Fading()
        self._newcomers: deque[float] = deque()
        self._spoke_at: OrderedDict[str, float] = OrderedDict()
        self._cost: float | None = None
        self._full_since: float | None = None

    # ── what is measured ───────────────────────────────────────────────────────────────────────

    def receive_work(self, lane_s: float, audio_s: float, now: float) -> None:
        """A lane was needed for ``lane_s`` and made ``audio_s`` of audio (0: it planned)."""
        self._lane_s.add(lane_s, now)
        self._audio_s.add(audio_s, now)
        measured_s = self._audio_s.sum(now)
        if measured_s >= AUDIO_MEASURED_MIN_S:
            self._cost = self._lane_s.sum(now) / measured_s

    def receive_window(self, late_s: float, now: float) -> None:
        """A window came ``late_s`` after its listener ran dry; early if negative."""
        self._windows.add(1.0, now)
        self._late.add(1.0 if late_s > LATE_S else 0.0, now)

    def receive_length(self, characters: int, audio_s: float, now: float) -> None:
        """A text of ``characters`` turned out to last ``audio_s``."""
        self._characters.add(characters, now)
        self._planned_s.add(audio_s, now)

    def receive_speaker(self, session: str, now: float) -> None:
        """``session`` wants something spoken."""
        self._spoke_at[session] = now
        self._spoke_at.move_to_end(session)
        self._forget(now)

    def receive_session(self, now: float) -> None:
        """A session was let in."""
        self._newcomers.append(now)
        self._full_since = None

    # ── what follows from it ───────────────────────────────────────────────────────────────────

    def expected_s(self, characters: int, now: float) -> float:
        """How long a text will last, before its plan says so; 0 while nothing is known."""
        measured = self._characters.sum(now)
        return characters * self._planned_s.sum(now) / measured if measured > 0 else 0.0

    def utilisation(self, now: float) -> float:
        """Share of the lanes' time that was needed of late."""
        return self._lane_s.rate(now) / self._lanes

    def forecast(self, sessions: int, in_flight_s: Iterable[float], now: float) -> Forecast | None:
        """The load if one more came to ``sessions``; None while nothing is known.

        ``in_flight_s`` has the audio still to be rendered of each chunk in flight.
        """
        self._forget(now)
        lane_rate = self._lane_s.rate(now)
        cost = self._cost
        if cost is None:
            return None
        planned = sum(min(left_s, HORIZON_S) for left_s in in_flight_s) / HORIZON_S
        seen = max(lane_rate, planned * cost)
        newcomers = len(self._newcomers) + 1
        mean = seen + newcomers * NEWCOMER_ACTIVITY * cost
        all_s = (sessions + 1 + newcomers * (NEWCOMER_ACTIVITY - 1)) * cost
        share = min(1.0, mean / all_s)
        spread = cost * math.sqrt((sessions + 1) * share * (1 - share))
        peak = min(all_s, mean + HEADROOM_DEVIATIONS * spread)
        windows = self._windows.sum(now)
        late_share = self._late.sum(now) / windows if windows >= 1 else 0.0
        speaking = len(self._spoke_at) * cost
        return Forecast(cost, seen, speaking, min(mean, all_s), peak, late_share)

    def check(self, sessions: int, in_flight_s: tuple[float, ...], now: float) -> None:
        """Raises Overloaded, with ``retry_after_s``, if one more session does not fit."""
        forecast = self.forecast(sessions, in_flight_s, now)
        if forecast is None:
            return
        idle_lanes = IDLE_SHARE * self._utilisation_max * self._lanes
        if max(forecast.seen, forecast.speaking) < idle_lanes:
            return
        utilisation = forecast.peak / self._lanes
        struggling = (
            forecast.late_share > LATE_SHARE_MAX
            and forecast.mean / self._lanes > self._utilisation_max / 2
        )
        if utilisation <= self._utilisation_max and not struggling:
            return
        retry_after_s = self._retry_after_s(sum(in_flight_s) * forecast.cost / self._lanes, now)
        reason = (
            f"{forecast.late_share:.0%} of its audio came late"
            if struggling
            else f"with one more session its load could reach {utilisation:.0%}, "
            f"the limit is {self._utilisation_max:.0%}"
        )
        raise Overloaded(
            f"engine {self._engine} is busy: {reason}; try again in {retry_after_s:g} s",
            field="utilisation_max",
            limit=self._utilisation_max,
            retry_after_s=retry_after_s,
        )

    def _forget(self, now: float) -> None:
        while self._newcomers and self._newcomers[0] <= now - NEWCOMER_S:
            self._newcomers.popleft()
        while self._spoke_at and next(iter(self._spoke_at.values())) <= now - NEWCOMER_S:
            self._spoke_at.popitem(last=False)

    def _retry_after_s(self, left_s: float, now: float) -> float:
        """When one who is refused should come back; ``left_s``: until all in flight is rendered."""
        if self._full_since is None:
            self._full_since = now
        settled_s = self._newcomers[-1] + NEWCOMER_S - now if self._newcomers else 0.0
        as_long_again_s = (now - self._full_since) * RETRY_SHARE
        longest_s = max(RETRY_MIN_S, settled_s, left_s, as_long_again_s)
        return round(min(RETRY_MAX_S, longest_s), 1)
