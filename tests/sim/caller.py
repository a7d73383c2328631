"""One client: an LLM that streams tokens, a connection, a jitter buffer, and a shell for a session.

The session, its chunker, pacer and playout model are the real ones; so is the jitter buffer, which
is the oracle of what is heard.  What the client does is written in its CallerPlan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from gateway.client.jitter_buffer import JitterBuffer, Underrun
from gateway.errors import GatewayError
from gateway.media import media_samples
from gateway.session import events
from gateway.session.protocol import Capabilities, Resolved, Session
from gateway.session.states import SessionState
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId
from gateway.text.chunker import Chunker
from tests.sim.checks import StreamChecker
from tests.sim.engine import LOOKAHEAD_SAMPLES, CountingTrack, Engines, SimulatedJob
from tests.sim.lead_meter import LeadMeter
from tests.sim.network import Pipe
from tests.sim.plan import Action, CallerPlan, Interruption, TurnPlan, WorldPlan
from tests.sim.players import Handover
from tests.sim.world import World

OVERHEAD_BYTES = 80
"""Of a message: WebSocket, TLS, TCP and IP headers."""
FRAME_BYTES = 82
"""20 ms of Opus at 32 kbit/s, with its length."""
TEXT_BYTES = 120


def default_capabilities(settings: Settings) -> Capabilities:
    """Voices that are never checked, and Opus's pre-skip."""
    return Capabilities(
        resolve_voice=lambda voice, language: Resolved(voice or "sim", language or "en-us"),
        check_codec=lambda codec: LOOKAHEAD_SAMPLES,
        make_chunker=lambda language, text: Chunker(text, language),
    )


@dataclass(slots=True)
class Turn:
    """What the client said in one generation of a context, for the checks at the end."""

    text: str = ""
    to_be_ended: bool = False
    """The client will send, or has sent, an ``end``: it may expect a ``done``."""
    ended: bool = False
    over: bool = False
    done: events.Done | None = None
    flawed: bool = False
    """The engine lost a chunk of it, so gaps in the text are to be expected."""
    chunks: list[events.ChunkStarted] = field(default_factory=list)


class Caller:
    """A client and, at the other end of its connection, the gateway's side of it."""

    def __init__(
        self,
        plan: CallerPlan,
        world_plan: WorldPlan,
        world: World,
        settings: Settings,
        engines: Engines,
    ) -> None:
        self.name = plan.name
        self._plan = plan
        self._world = world
        self._engines = engines
        scenario, seed = world_plan.scenario, f"{world_plan.seed}/{plan.name}"
        self._down = Pipe(world, scenario.down, plan.down, f"{seed}/jitter down", "down")
        self._up = Pipe(world, scenario.up, plan.up, f"{seed}/jitter up", "up")
        self._handover = Handover(plan.player, plan.throttles, world.now)
        self._tracks: dict[tuple[str, int], CountingTrack] = {}
        self._timer_at: float | None = None
        self._prebuffer_samples = media_samples(settings.pacing.prebuffer_s)
        self._clock_factor = plan.player.clock_factor
        self._latency_samples = media_samples(plan.player.output_latency_s)
        self.underruns: list[Underrun] = []
        self.buffer = self._new_buffer()
        self.session = Session(plan.name, settings, default_capabilities(settings), world.now)
        self.checker = StreamChecker(settings)
        self.leads = LeadMeter()
        self.turn = Turn(over=True)
        self._turns = iter(plan.turns)
        self.turns_left = len(plan.turns)
        self.generation = 0
        self._context_number = 0
        self.refusals = 0
        self.turns_done = 0
        self.close_code: int | None = None
        self.connected = True
        self._step(lambda now: self.session.receive_accepted(now))
        self._next_turn()
        if plan.player.report_every_s:
            self._report_after(plan.player.report_every_s)
        if plan.cut_after_s is not None:
            world.after(plan.cut_after_s, self._cut)

    def _new_buffer(self) -> JitterBuffer:
        return JitterBuffer(
            self._prebuffer_samples,
            preskip_samples=LOOKAHEAD_SAMPLES,
            clock_factor=self._clock_factor,
        )

    # ── the client ─────────────────────────────────────────────────────────────────────────────

    def _next_turn(self) -> None:
        """Ask once more, after the pause."""
        plan = next(self._turns, None)
        if plan is not None:
            self._world.after(plan.pause_s, lambda: self._begin_turn(plan))

    def _begin_turn(self, plan: TurnPlan) -> None:
        """Stream one answer's tokens; maybe interrupt it."""
        if not self.connected:
            return
        self.turns_left -= 1
        turn = self.turn = Turn(to_be_ended=_ends(plan.actions))
        self.generation = 0
        self.buffer = self._new_buffer()
        self.checker.begin_context()
        self._say(events.Start("c"))
        self._act(plan.actions, 0, turn)
        if plan.interruption is not None:
            interruption = plan.interruption
            self._world.after(
                interruption.after_s, lambda: self._interrupt(interruption, plan.afterwards)
            )

    def _act(self, actions: tuple[Action, ...], index: int, turn: Turn) -> None:
        """Do the next of ``actions`` when it is time, and so on to the last."""
        if index == len(actions):
            return
        action = actions[index]

        def do() -> None:
            if self.connected and turn is self.turn:
                self._do(action, turn)
                self._act(actions, index + 1, turn)

        self._world.after(action.after_s, do)

    def _do(self, action: Action, turn: Turn) -> None:
        match action.kind:
            case "text":
                turn.text += action.text
                self._say(events.Text("c", action.text))
            case "flush":
                self._say(events.Flush("c"))
            case "end":
                turn.ended = True
                self._say(events.End("c"))
            case "unknown context":
                self._say(events.Text("no such context", "x"))
            case "start again":
                self._say(events.Start("c"))

    def _interrupt(self, interruption: Interruption, afterwards: tuple[Action, ...]) -> None:
        if not self.connected or self.turn.over:
            return
        played = None
        if interruption.tells:  # what the ear has had, not what the device was given
            given = self.buffer.played_samples(self._world.now)
            played = max(0, given - self._latency_samples)
        self._say(events.Cancel("c", played))
        if self.turn.ended:
            return  # the answer may be ``done``, which crosses the cancel on the wire
        # What was sent of this turn is forgotten; the rest of its tokens stops here.
        turn = self.turn = Turn(to_be_ended=_ends(afterwards), flawed=self.turn.flawed)
        self._act(afterwards, 0, turn)

    def _report_after(self, delay_s: float) -> None:
        """Look at the buffer later, as soon as the client's code may run."""
        self._world.at(self._handover.due_at(self._world.now + delay_s), self._report)

    def _report(self) -> None:
        if not self.connected:
            return
        report = events.Report(
            "c",
            **asdict(self.buffer.report(self._world.now))
            | {"output_latency_samples": self._latency_samples or None},
            context_number=self._context_number,
        )
        self._world.after(self._plan.player.report_late_s, lambda: self._say(report))
        self._report_after(self._plan.player.report_every_s)

    def _cut(self) -> None:
        if self.connected:
            self.connected = False
            self._down.cut()
            self._up.cut()
            self._step(lambda now: self.session.receive_lost(now), arm=False)

    def _say(self, event: events.ClientEvent) -> None:
        if self.connected:
            size_bytes = OVERHEAD_BYTES + TEXT_BYTES
            self._up.send(
                size_bytes, lambda: self._step(lambda now: self.session.receive_event(event, now))
            )

    def _receive(self, event: events.Output) -> None:
        """A message of the gateway arrives; the client sees it when its code next runs."""
        now = self._world.now
        due_at = self._handover.due_at(now)
        if due_at > now:
            self._world.at(due_at, lambda: self._hear(event))
        else:
            self._hear(event)

    def _hear(self, event: events.Output) -> None:
        now = self._world.now
        match event:
            case events.Started():
                self._context_number = event.context_number
            case events.Audio():
                self.checker.receive_audio(event, self.generation)
                self.buffer.receive_frame(
                    event.timestamp_samples,
                    event.frame_duration_samples * len(event.payloads),
                    now,
                    event.marker,
                    event.last,
                    frames=len(event.payloads),
                    generation=event.generation,
                )
            case events.ChunkStarted():
                self.turn.chunks.append(event)
            case events.Cancelled():
                self.checker.receive_cancelled(event, self.generation)
                self.generation = event.generation
                if self.buffer.generation < event.generation:
                    self.buffer.cancel(now, event.generation)
                if not event.open:
                    self._turn_over()
            case events.Done():
                self.turn.done = event
                self.buffer.receive_end(now)
                self.checker.receive_done(event, self.turn)
                self._turn_over()
            case events.Failed(error):
                self.refusals += 1
                self.turn.flawed |= error.code == "engine_crashed"

    def _turn_over(self) -> None:
        if self.turn.over:
            return
        self.turn.over = True
        self.turns_done += 1
        self.underruns += self.buffer.underruns(self._world.now)
        self._next_turn()

    # ── the gateway's side ─────────────────────────────────────────────────────────────────────

    def drain(self) -> None:
        """The gateway shuts down."""
        if self.connected:
            self._step(lambda now: self.session.receive_drain(now))

    def _step(self, mutate: Callable[[float], None], arm: bool = True) -> None:
        if self.session.state is SessionState.CLOSED:
            return
        now = self._world.now
        mutate(now)
        sent_audio = False
        while outputs := self.session.outputs():
            for output in outputs:
                sent_audio |= isinstance(output, events.Audio)
                self._perform(output)
        if sent_audio:  # a report alone may show that the listener holds more than we thought
            for context in self.session.contexts:
                self.checker.check_lead(context.lead_s(now))
        if arm:
            self._arm()

    def _arm(self) -> None:
        when = self.session.next_timer(self._world.now)
        if when is None or (self._timer_at is not None and self._timer_at <= when):
            return
        self._timer_at = when
        # The real shell rounds up to its tick; the same grain keeps the simulation honest.
        self._world.at(max(when, self._world.now + 0.005), lambda: self._fire(when))

    def _fire(self, when: float) -> None:
        if self._timer_at == when and self.connected:
            self._timer_at = None
            self._step(lambda now: self.session.handle_timer(now))

    def _perform(self, output: events.Output) -> None:
        match output:
            case events.OpenTrack(context, generation, codec):
                self._tracks[context, generation] = CountingTrack(codec)
            case events.CloseTrack(context, generation):
                del self._tracks[context, generation]
            case events.Synthesize(request):
                track = self._tracks[request.id.context, request.id.generation]
                self._engines.submit(SimulatedJob(request, track, self._deliver, self._fail))
            case events.Reschedule(context, generation, deadline):
                self._engines.reschedule(self.name, context, generation, deadline)
            case events.Withdraw(context, generation):
                self._engines.withdraw(self.name, context, generation)
            case events.FinishTrack(context, generation):
                frames = tuple(self._tracks[context, generation].finish())
                self.session.receive_finished(context, generation, frames, self._world.now)
            case events.EndSession(code):
                self.close_code = code
                self.connected = False
            case events.Audio():
                self.checker.observe_sent(output)
                self.leads.observe(output, self.buffer, self._world.now)
                size_bytes = OVERHEAD_BYTES + FRAME_BYTES * len(output.payloads)
                self._down.send(size_bytes, lambda: self._receive(output))
            case _:
                self.checker.observe_sent(output)
                self._down.send(OVERHEAD_BYTES + TEXT_BYTES, lambda: self._receive(output))

    def _deliver(self, rendered: EncodedRendering) -> None:
        self._step(lambda now: self.session.receive_rendered(rendered, now))

    def _fail(self, request: RequestId, error: GatewayError) -> None:
        self._step(lambda now: self.session.receive_failure(request, error, now))

    @property
    def waits(self) -> bool:
        """Whether it was promised more than it has heard."""
        return self.turn.to_be_ended and (not self.turn.over or self.turns_left > 0)

    @property
    def tracks_open(self) -> int:
        """Encoders that are still held."""
        return len(self._tracks)


def _ends(actions: tuple[Action, ...]) -> bool:
    return any(action.kind == "end" for action in actions)
