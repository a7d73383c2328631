"""Many listeners at little cost: a light stand-in for caller, session and jitter buffer.

To find how many sessions a machine holds takes some hundred thousand of them, so here a session is
a few numbers.  What decides about gaps is kept: when chunks are cut (by the real chunker), how far
ahead they are asked for, and when the listener runs dry.  Tokens, frames, messages and the
network are left out.  tests/sim/test_compare.py checks it against the real session.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from gateway.errors import GatewayError
from gateway.media import seconds
from gateway.session.events import CodecOptions
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId, SynthesisRequest, TextChunk
from gateway.text.chunker import Chunker
from tests.sim.engine import CountingTrack, Engines, SimulatedJob
from tests.sim.world import World

UNDERRUN_S = 0.05
"""A shorter gap is not counted."""
TURNS = 3
PAUSE_MIN_S, PAUSE_S = 1.0, 4.0
"""The user speaks between two answers: at least, and on average beyond that."""

SENTENCES = (
    "Sure, I can help you with that.",
    "Let me have a look at your account, one moment please.",
    "Your order left our warehouse this morning, so it should reach you by Thursday afternoon.",
    "Yes, exactly.",
    "The nearest station is about ten minutes away on foot, but there is a bus every quarter of an "
    "hour that stops right in front of the building.",
    "If the light on the front is still blinking after two minutes, please hold the small button "
    "on the back until it turns off, then wait a moment before you press it again.",
    "That is a good question.",
    "In short, it depends on how much time you have, what you would like to see, and whether you "
    "prefer to travel by day or by night.",
    "I have changed the booking to the twelfth of May.",
    "Would you like me to send you a confirmation?",
    "There are three ways to do it, and the first is usually the simplest.",
    "The museum opens at nine, and on Sundays it is free for everybody.",
    "According to the forecast it will rain in the morning, but the afternoon should be dry and "
    "quite warm for the season.",
    "I am afraid that this model is no longer made.",
    "Heat the oil in a large pan, add the onions, and stir them gently until they are soft and "
    "golden, which takes about eight minutes.",
    "Is there anything else that I can do for you?",
)


@lru_cache(maxsize=1)
def answers() -> tuple[str, ...]:
    """What agents say: 64 texts of one to five sentences."""
    chance = random.Random(1)
    return tuple(" ".join(chance.sample(SENTENCES, chance.randint(1, 5))) for _ in range(64))


@cache
def cut(answer: int, offset: int, lead_s: float, first: bool) -> TextChunk | None:
    """The chunk of an answer that begins at ``offset``; None at its end."""
    chunker = Chunker(Settings().text)
    rest = answers()[answer][offset:]
    if not rest.strip():
        return None
    chunker.receive_text(rest, 0.0)
    chunker.receive_end(0.0)
    return chunker.next_chunk(lead_s=lead_s, first=first, now=0.0)


@dataclass(slots=True)
class Heard:
    """What became of one session."""

    began_at: float
    worst_gap_s: float = 0.0
    first_audio_s: tuple[float, ...] = ()


class NoTrack(CountingTrack):
    """A position in media time, and no frames."""

    def write_samples(self, count: int) -> tuple[()]:
        """Take ``count`` media samples."""
        self.position_samples += count
        return ()


_CODEC = CodecOptions("opus", 24_000, 20, 32_000)


def _no_failure(request: RequestId, error: GatewayError) -> None:
    raise AssertionError(f"{request}: {error}")


class Listener:
    """One session: some answers, then ``over(heard)``.

    It begins to play ``prebuffer_s`` after the first audio of an answer came.
    """

    def __init__(
        self,
        name: str,
        world: World,
        settings: Settings,
        engines: Engines,
        over: Callable[[Heard], None],
        prebuffer_s: float = 0.0,
    ) -> None:
        self._name = name
        self._world = world
        self._settings = settings
        self._engines = engines
        self._over = over
        self._prebuffer_s = prebuffer_s
        self._turns_left = TURNS
        self._chunks = 0
        self._heard = Heard(world.now)
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._turns_left -= 1
        self._answer = self._world.random.randrange(len(answers()))
        self._offset = 0
        self._silent = True
        self._dry_at = 0.0
        self._asked_at = self._world.now
        self._track = NoTrack(_CODEC)
        self._received_s = 0.0
        self._request_next()

    def _request_next(self) -> None:
        now = self._world.now
        ahead_s = max(0.0, self._dry_at - now)
        pacing, text = self._settings.pacing, self._settings.text
        if ahead_s > pacing.request_ahead_s:
            self._world.after(ahead_s - pacing.request_ahead_s, self._request_next)
            return
        leads = (text.lead_for_paragraphs_s, text.lead_for_sentences_s, 0.0)
        lead_s = next(lead_s for lead_s in leads if ahead_s >= lead_s)
        chunk = cut(self._answer, self._offset, lead_s, self._silent)
        if chunk is None:
            self._world.at(self._dry_at, self._answer_over)
            return
        self._offset += chunk.source_end
        first = self._silent
        deadline = now + pacing.first_audio_budget_s if first else self._dry_at
        request_id = RequestId(self._name, "c", self._turns_left, self._chunks)
        self._chunks += 1
        request = SynthesisRequest(request_id, chunk, "v", "en-us", 1.0, deadline, first)
        self._engines.submit(SimulatedJob(request, self._track, self._receive, _no_failure))

    def _receive(self, rendered: EncodedRendering) -> None:
        now = self._world.now
        duration_s = seconds(rendered.end_samples) - self._received_s
        self._received_s += duration_s
        if self._silent:
            self._silent = False
            self._dry_at = now + self._prebuffer_s
            self._heard.first_audio_s += (self._dry_at - self._asked_at,)
        else:
            self._heard.worst_gap_s = max(self._heard.worst_gap_s, now - self._dry_at)
        self._dry_at = max(self._dry_at, now) + duration_s
        if rendered.final:
            self._request_next()

    def _answer_over(self) -> None:
        if not self._turns_left:
            self._over(self._heard)
            return
        pause_s = PAUSE_MIN_S + self._world.exponential(PAUSE_S)
        self._world.after(pause_s, self._begin_answer)


class Audience:
    """``seats`` sessions at a time: where one ends, the next begins.

    ``heard`` has those that began after ``count_from_s`` and are over.
    """

    def __init__(
        self,
        world: World,
        engines: Engines,
        seats: int,
        arrivals_over_s: float,
        count_from_s: float,
        prebuffer_s: float = 0.0,
    ) -> None:
        self._world = world
        self._engines = engines
        self._count_from_s = count_from_s
        self._prebuffer_s = prebuffer_s
        self._settings = Settings()
        self._names = 0
        self.heard: list[Heard] = []
        self.with_gap = 0
        for _ in range(seats):
            world.at(world.random.uniform(0, arrivals_over_s), self._sit_down)

    def _sit_down(self) -> None:
        self._names += 1
        name, world, engines = f"s{self._names}", self._world, self._engines
        Listener(name, world, self._settings, engines, self._leave, self._prebuffer_s)

    def _leave(self, heard: Heard) -> None:
        if heard.began_at >= self._count_from_s:
            self.heard.append(heard)
            self.with_gap += heard.worst_gap_s > UNDERRUN_S
        self._world.after(self._world.exponential(PAUSE_S), self._sit_down)
