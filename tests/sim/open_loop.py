"""What others do: a pacer that keeps a fixed lead and never listens.

    message k leaves at  begin + max(0, k · 60 ms - (lead - 60 ms))

so that at most ``lead`` is sent and not played yet, were there no delay and no gap.  The network,
the faults, the listener's device and its jitter buffer are those of the real session of the same
plan; the engine is never late.  Only the downward direction matters, as nothing is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from gateway.client.jitter_buffer import JitterBuffer
from gateway.media import media_samples, seconds
from gateway.settings import Settings
from tests.sim.caller import FRAME_BYTES, OVERHEAD_BYTES
from tests.sim.engine import CHARACTER_S, LOOKAHEAD_SAMPLES
from tests.sim.lead_meter import mean_lead_s
from tests.sim.network import Pipe
from tests.sim.plan import CallerPlan, WorldPlan
from tests.sim.players import Handover
from tests.sim.world import World

FRAMES = 3
MESSAGE_SAMPLES = FRAMES * 960
FIRST_AUDIO_S = 0.2
"""From the first token to the first audio."""


@dataclass(slots=True)
class Outcome:
    """What one session heard: its gaps, and the true leads (as tests/sim/lead_meter.py)."""

    gaps_s: list[float] = field(default_factory=list)
    leads: list[tuple[float, float]] = field(default_factory=list)

    @property
    def worst_gap_s(self) -> float:
        """The longest silence inside an answer."""
        return max(self.gaps_s, default=0.0)


def listen(plan: WorldPlan, lead_s: float, settings: Settings | None = None) -> list[Outcome]:
    """All sessions of ``plan``, paced with a fixed ``lead_s``."""
    settings = settings or Settings()
    world = World(plan.seed)
    listeners: list[_Listener] = []

    def arrive(caller: CallerPlan) -> None:
        listeners.append(_Listener(caller, plan, world, lead_s, settings))

    for caller in plan.callers:
        world.at(caller.arrives_s, partial(arrive, caller))
    while world.step():
        pass
    return [listener.outcome for listener in listeners]


class _Listener:
    def __init__(
        self,
        plan: CallerPlan,
        world_plan: WorldPlan,
        world: World,
        lead_s: float,
        settings: Settings,
    ) -> None:
        self._world = world
        self._plan = plan
        self._lead_s = lead_s
        self._prebuffer_samples = media_samples(settings.pacing.prebuffer_s)
        seed = f"{world_plan.seed}/{plan.name}/jitter down"
        self._pipe = Pipe(world, world_plan.scenario.down, plan.down, seed, "down")
        self._handover = Handover(plan.player, plan.throttles, world.now)
        self._turns = iter(plan.turns)
        self.outcome = Outcome()
        self._next_turn()

    def _next_turn(self) -> None:
        turn = next(self._turns, None)
        if turn is None:
            return
        chars = sum(len(action.text) for action in turn.actions)
        messages = max(1, round(chars * CHARACTER_S / seconds(MESSAGE_SAMPLES)))
        self._buffer = JitterBuffer(
            self._prebuffer_samples,
            preskip_samples=LOOKAHEAD_SAMPLES,
            clock_factor=self._plan.player.clock_factor,
        )
        begin = self._world.now + turn.pause_s + turn.actions[0].after_s + FIRST_AUDIO_S
        self._world.at(begin, lambda: self._send(0, messages, begin))

    def _send(self, number: int, messages: int, begin: float) -> None:
        now, message_s = self._world.now, seconds(MESSAGE_SAMPLES)
        played = self._buffer.played_samples(now)
        self.outcome.leads.append((now, mean_lead_s(FRAMES * number, FRAMES, played)))
        self._pipe.send(
            OVERHEAD_BYTES + FRAMES * FRAME_BYTES,
            lambda: self._world.at(
                self._handover.due_at(self._world.now),
                lambda: self._hear(number, last=number == messages - 1),
            ),
        )
        if number + 1 < messages:
            early_s = max(0.0, self._lead_s - message_s)
            due_at = begin + max(0.0, (number + 1) * message_s - early_s)
            self._world.at(due_at, lambda: self._send(number + 1, messages, begin))

    def _hear(self, number: int, *, last: bool) -> None:
        now = self._world.now
        self._buffer.receive_frame(
            number * MESSAGE_SAMPLES, MESSAGE_SAMPLES, now, number == 0, last, frames=FRAMES
        )
        if last:
            self.outcome.gaps_s += [u.duration_s for u in self._buffer.underruns(now)]
            dry_at = self._buffer.dry_at
            self._world.at(dry_at if dry_at is not None else now, self._next_turn)
