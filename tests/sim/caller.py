"""One client: an LLM that streams tokens, a connection, a jitter buffer, and a shell for a session.

The session, its chunker, pacer and playout model are the real ones; so is the jitter buffer, which
is the oracle of what is heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from tests.sim.scenario import Scenario
from tests.sim.world import Pipe, World

_SENTENCES = (
    "Well, that is a good question.",
    "The train leaves at 12:30, and it costs $5.20.",
    "Yes.",
    "I would not do that if I were you, because Dr. Smith said so!",
    "There are three reasons: time, money, and patience.",
    "Look at **this** list:\n- one\n- two\n",
    "Nobody knows… do you?",
)


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
        name: str,
        world: World,
        scenario: Scenario,
        settings: Settings,
        engines: Engines,
    ) -> None:
        self.name = name
        self._world = world
        self._scenario = scenario
        self._engines = engines
        self._down = Pipe(world, scenario.down)
        self._up = Pipe(world, scenario.up)
        self._tracks: dict[tuple[str, int], CountingTrack] = {}
        self._timer_at: float | None = None
        self._prebuffer_samples = media_samples(settings.pacing.prebuffer_s)
        spread = scenario.habits.clock_spread
        self._clock_factor = 1 + world.random.uniform(-spread, spread)
        self.underruns: list[Underrun] = []
        self.buffer = self._new_buffer()
        self.session = Session(name, settings, default_capabilities(settings), world.now)
        self.checker = StreamChecker(settings)
        self.turn = Turn()
        self.turns_left = scenario.habits.turns
        self.generation = 0
        self.refusals = 0
        self.turns_done = 0
        self.close_code: int | None = None
        self.connected = True
        self._step(lambda now: self.session.receive_accepted(now))
        self._begin_turn()
        if scenario.habits.report_every_s:
            world.after(scenario.habits.report_every_s, self._report)
        if scenario.down.cut_after_s:
            world.after(world.exponential(scenario.down.cut_after_s), self._cut)

    def _new_buffer(self) -> JitterBuffer:
        return JitterBuffer(
            self._prebuffer_samples,
            preskip_samples=LOOKAHEAD_SAMPLES,
            clock_factor=self._clock_factor,
        )

    # ── the client ─────────────────────────────────────────────────────────────────────────────

    def _begin_turn(self) -> None:
        """Stream one answer's tokens; maybe interrupt it."""
        random, habits = self._world.random, self._scenario.habits
        self.turns_left -= 1
        turn = self.turn = Turn()
        self.generation = 0
        self.buffer = self._new_buffer()
        self.checker.begin_context()
        text = " ".join(random.choices(_SENTENCES, k=random.randint(1, 6)))
        self._say(events.Start("c"))
        self._world.after(
            self._world.exponential(habits.first_token_s), lambda: self._token(text, turn)
        )
        if random.random() < habits.cancel_rate:
            self._world.after(random.uniform(0.0, 8.0), self._interrupt)

    def _token(self, rest: str, turn: Turn) -> None:
        if not self.connected or turn is not self.turn:
            return
        random, habits = self._world.random, self._scenario.habits
        if not rest:
            turn.ended = True
            self._say(events.End("c"))
            return
        size = random.randint(1, 9)
        turn.text += rest[:size]
        self._say(events.Text("c", rest[:size]))
        if random.random() < habits.flush_rate:
            self._say(events.Flush("c"))
        if random.random() < habits.mistake_rate:
            mistakes: list[events.ClientEvent] = [
                events.Text("no such context", "x"),
                events.Start("c"),
            ]
            self._say(random.choice(mistakes))
        pause = self._world.exponential(1 / habits.tokens_per_s)
        if random.random() < habits.stall_rate:
            pause += self._world.exponential(1.0)
        self._world.after(pause, lambda: self._token(rest[size:], turn))

    def _interrupt(self) -> None:
        if not self.connected or self.turn.over:
            return
        played = None
        if self._world.random.random() < 0.5:
            played = self.buffer.played_samples(self._world.now)
        self._say(events.Cancel("c", played))
        if self.turn.ended:
            return  # the answer may be ``done``, which crosses the cancel on the wire
        # What was sent of this turn is forgotten; the rest of its tokens stops here.
        turn = self.turn = Turn(flawed=self.turn.flawed)
        self._world.after(0.5, lambda: self._token("Very well. As you like.", turn))

    def _report(self) -> None:
        if not self.connected:
            return
        report = self.buffer.report(self._world.now)
        self._say(
            events.Report(
                "c",
                report.played_samples,
                report.generation,
                report.depth_samples,
                report.underruns,
                report.sequence_number,
                report.jitter_samples,
            )
        )
        self._world.after(self._scenario.habits.report_every_s, self._report)

    def _cut(self) -> None:
        if self.connected:
            self.connected = False
            self._down.cut = self._up.cut = True
            self._step(lambda now: self.session.receive_lost(now), arm=False)

    def _say(self, event: events.ClientEvent) -> None:
        if self.connected:
            self._up.send(lambda: self._step(lambda now: self.session.receive_event(event, now)))

    def _hear(self, event: events.Output) -> None:
        """A message of the gateway arrives."""
        now = self._world.now
        match event:
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
        if self.turns_left:
            self._world.after(self._world.exponential(1.0), self._next_turn)

    def _next_turn(self) -> None:
        if self.connected and self.turns_left:
            self._begin_turn()

    # ── the gateway's side ─────────────────────────────────────────────────────────────────────

    def drain(self) -> None:
        """The gateway shuts down."""
        if self.connected:
            self._step(lambda now: self.session.receive_drain(now))

    def _step(self, mutate: object, arm: bool = True) -> None:
        assert callable(mutate)
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
            case events.Reschedule():
                pass  # these engines keep the first deadline
            case events.Withdraw(context, generation):
                self._engines.withdraw(self.name, context, generation)
            case events.FinishTrack(context, generation):
                frames = tuple(self._tracks[context, generation].finish())
                self.session.receive_finished(context, generation, frames, self._world.now)
            case events.EndSession(code):
                self.close_code = code
                self.connected = False
            case _:
                self.checker.observe_sent(output)
                self._down.send(lambda: self._hear(output))

    def _deliver(self, rendered: EncodedRendering) -> None:
        self._step(lambda now: self.session.receive_rendered(rendered, now))

    def _fail(self, request: RequestId, error: GatewayError) -> None:
        self._step(lambda now: self.session.receive_failure(request, error, now))

    @property
    def tracks_open(self) -> int:
        """Encoders that are still held."""
        return len(self._tracks)
