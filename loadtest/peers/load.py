"""One load step: callers arrive at set times, whatever the server does, and listen to the end.

    arrivals   |     |     |     |     |          every nominal_s / sessions seconds: as many
    caller 1   ├── answer ──┤                     answers sound at once as ``sessions`` says,
    caller 2         ├── answer ──┤               if each takes its nominal time
    caller 3               ├── answer ──┤
               └────── seconds ──────┘└─ until all are heard, at most TAIL_S more

Each caller has a text of its own (nothing comes from a cache) and sends it in tokens, as fast as a
language model.  A server that falls behind is not waited for: the next caller arrives, and what is
not spoken in time is a failure.  How late this process sent its tokens is kept, so that a result
whose load generator was the limit can be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx

from loadtest.cpu import ForeignCpu, read_process
from loadtest.peers.drivers import DRIVERS, FAILURES, Driver, ends_sentence, http_client
from loadtest.peers.servers import Running
from loadtest.peers.spoken import Listener, Outcome
from loadtest.statistics import spread
from loadtest.texts import long_text

TOKENS_PER_S = 40.0
CHARS_PER_S = 15.0
"""Of speech, nominally."""
TAIL_S = 20.0
LATE_S = 0.05
SETTLE_S = 6.0
"""Between the sentence that warms the server up and the first caller: a server that measures its
load must not take the first for a habit."""
_WARM_UP_CHARS = 60


@dataclass(frozen=True, slots=True)
class Load:
    """``sessions`` answers at once, of ``chars`` characters or a little more."""

    sessions: int
    seconds: float
    chars: int
    seed: int
    settle_s: float = SETTLE_S

    @property
    def arrivals_s(self) -> list[float]:
        """When callers come, from the beginning of the step."""
        every_s = self.chars / CHARS_PER_S / self.sessions
        return [number * every_s for number in range(max(1, round(self.seconds / every_s)))]

    def text(self, number: int) -> str:
        """What caller ``number`` has spoken."""
        return long_text(self.seed + number, self.chars)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of it.  ``late_s`` is the p99 of how late tokens were sent."""

    load: Load
    outcomes: tuple[Outcome, ...]
    late_s: float
    server_cpu_s: float | None
    wall_s: float
    foreign_cpu_share: float

    @property
    def valid(self) -> bool:
        """Whether the load generator kept up."""
        return self.late_s <= LATE_S


def run_step(driver: str, server: Running, load: Load) -> Step:
    """Run it; the server has spoken a sentence before, so that it is warm."""
    return asyncio.run(_run(DRIVERS[driver], server, load))


async def _run(driver: Driver, server: Running, load: Load) -> Step:
    loop = asyncio.get_running_loop()
    late: list[float] = []
    async with http_client() as client:
        warm = long_text(load.seed - 1, _WARM_UP_CHARS)
        begin = loop.time()
        outcome = await _call(driver, server, client, warm, begin, begin + TAIL_S, [])
        if outcome.problem:
            raise ConnectionError(f"the server does not speak: {outcome.problem}")
        await asyncio.sleep(load.settle_s)
        others = ForeignCpu()
        used_s = read_process(server.pid).total_s if server.pid else 0.0
        zero = loop.time()
        end = zero + load.seconds + TAIL_S
        outcomes = await asyncio.gather(
            *(
                _call(driver, server, client, load.text(i), zero + at_s, end, late)
                for i, at_s in enumerate(load.arrivals_s)
            )
        )
        wall_s = loop.time() - zero
    cpu_s = read_process(server.pid).total_s - used_s if server.pid else None
    return Step(load, tuple(outcomes), spread(late or [0.0]).p99, cpu_s, wall_s, others.share())


@dataclass(slots=True)
class _Sender:
    """Tokens at their times; notes when the first sentence was complete."""

    text: str
    start_s: float
    late: list[float]
    now: Callable[[], float]
    sentence_end_s: float = field(default=0.0)

    async def tokens(self) -> AsyncIterator[str]:
        """Words with the space before them."""
        for number, token in enumerate(tokens_of(self.text)):
            due = self.start_s + number / TOKENS_PER_S
            await asyncio.sleep(due - self.now())
            self.late.append(self.now() - due)
            if not self.sentence_end_s and ends_sentence(token):
                self.sentence_end_s = due
            yield token


def tokens_of(text: str) -> list[str]:
    """Words, each but the first with the space before it."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


async def _call(
    driver: Driver, server: Running, client: httpx.AsyncClient, text: str, start_s: float,
    end_s: float, late: list[float],
) -> Outcome:  # fmt: skip
    """One caller: arrives at ``start_s``, gives up at ``end_s``."""
    now = asyncio.get_running_loop().time
    await asyncio.sleep(start_s - now())
    listener, sender = Listener(), _Sender(text, start_s, late, now)
    problem = ""
    try:
        async with asyncio.timeout_at(end_s):
            await driver(
                server.target, sender.tokens(),
                lambda pcm, rate: listener.receive(pcm, rate, now()), client,
            )  # fmt: skip
        listener.end(now())
    except TimeoutError:
        problem = "not spoken in time"
    except FAILURES as error:
        problem = _first_line(error)
    except ExceptionGroup as errors:
        if errors.split(FAILURES)[1] is not None:
            raise
        problem = _first_line(errors)
    return listener.outcome(start_s, sender.sentence_end_s or now(), now(), problem)


def _first_line(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]
