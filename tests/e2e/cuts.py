"""A minute of speech over a network that fails, compared with the same minute over one that works.

    python -m tests.e2e.cuts --speed 1 --seconds 60          # every fault, with figures

Gateway, proxy and client run in one process on real sockets; the engine is scripted, so that the
frames of two runs can be compared bit by bit.  The sentences have no commas: then where the text is
cut does not depend on what the listener holds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.app import Gateway
from gateway.client import Audio, Chunk, Done, Words, connect
from gateway.settings import Settings
from tests.e2e.fast_loop import fast_loop
from tests.e2e.faulty_proxy import FaultyProxy, faulty_proxy
from tests.e2e.in_process import serving
from tests.engine.scripted import SAMPLES_PER_CHARACTER, ScriptedEngine

SENTENCES = (
    "The line may fail at any time and nobody who listens should know it. ",
    "Each word is spoken once and only once whatever happens to the wire. ",
    "What was sent before the cut is not sent again unless it never came. ",
)
PING_INTERVAL_S = 1.0

Faults = Callable[[FaultyProxy], Awaitable[None]]


@dataclass
class Heard:
    """What one client got, and what it cost."""

    frames: list[bytes]
    text: str
    words: list[tuple[str, int, int]]
    done: Done
    resumes: int = 0
    renewals: int = 0
    underruns: int = 0
    wall_s: float = 0.0

    @property
    def speech(self) -> tuple[object, ...]:
        """What must be equal in every run."""
        return self.frames, self.text, self.words, self.done


def text_of(seconds: float) -> str:
    """Text that lasts about so long: each character sounds for 20 ms."""
    characters = round(seconds * 24_000 / SAMPLES_PER_CHARACTER)
    count = characters // len(SENTENCES[0]) + 1
    return "".join(SENTENCES[i % len(SENTENCES)] for i in range(count))


async def cut_often(proxy: FaultyProxy) -> None:
    """A cut every one to five seconds."""
    chance = random.Random(1)
    while True:
        await asyncio.sleep(chance.uniform(1.0, 5.0))
        proxy.cut()


async def refuse_for_a_while(proxy: FaultyProxy) -> None:
    """Cuts after which nobody can be reached for a second or three."""
    chance = random.Random(2)
    while True:
        await asyncio.sleep(chance.uniform(3.0, 8.0))
        proxy.refuses = True
        proxy.cut()
        await asyncio.sleep(chance.uniform(1.0, 3.0))
        proxy.refuses = False


async def go_silent_often(proxy: FaultyProxy) -> None:
    """Half-open connections: nothing passes, nobody is told."""
    chance = random.Random(3)
    while True:
        await asyncio.sleep(chance.uniform(4.0, 8.0))
        proxy.go_silent()


async def stall_often(proxy: FaultyProxy) -> None:
    """Everything stops for up to two seconds, and cuts come into it."""
    chance = random.Random(4)
    proxy.delay_s = 0.04
    while True:
        await asyncio.sleep(chance.uniform(1.0, 4.0))
        stalled = asyncio.create_task(proxy.stall(chance.uniform(0.3, 2.0)))
        if chance.random() < 0.5:
            proxy.cut()
        await stalled


FAULTS: dict[str, Faults] = {
    "cut": cut_often,
    "refuse": refuse_for_a_while,
    "silent": go_silent_often,
    "stall": stall_often,
}


async def listen(url: str, text: str, codec: str = "opus") -> Heard:
    """Speak ``text`` and gather all that comes."""
    async with connect(url, ping_interval_s=PING_INTERVAL_S, open_timeout_s=3.0) as session:
        began = session.now
        context = await session.start(codec=codec)
        heard = Heard([], "", [], Done("", 0, 0, 0, 0))
        speaking = asyncio.create_task(context.speak(word + " " for word in text.split()))
        async for event in context:
            match event:
                case Audio():
                    heard.frames += event.frames
                case Chunk():
                    heard.text += event.text
                    heard.words += [(w.text, w.start, w.timestamp) for w in event.words]
                case Words():
                    heard.words += [(w.text, w.start, w.timestamp) for w in event.words]
                case Done():
                    heard.done = event
        await speaking
        heard.resumes, heard.renewals = session.resumes, session.renewals
        heard.underruns = context.player.underrun_count(session.now)
        heard.wall_s = session.now - began
        return heard


async def compare(seconds: float, names: list[str]) -> tuple[Heard, dict[str, Heard]]:
    """The undisturbed run, and one for each kind of fault; asserts that nothing is left behind."""
    settings = Settings(
        server={"ping_interval_s": 2.0, "ping_timeout_s": 2.0},  # type: ignore[arg-type]
        # Short sentences are joined while the listener holds much, which a cut changes.
        text={"joined_chars_min": 1},  # type: ignore[arg-type]
    )
    engine = ScriptedEngine(plans_ahead=True, lanes=2, window_characters=40)
    text = text_of(seconds)
    async with serving(settings, engine) as (url, gateway):
        runs = [listen(url, text), *(disturbed(url, text, FAULTS[name]) for name in names)]
        plain, *others = await asyncio.gather(*runs)
        await nothing_left(gateway)
    return plain, dict(zip(names, others, strict=True))


async def disturbed(url: str, text: str, faults: Faults) -> Heard:
    """Listen through a proxy that fails."""
    async with faulty_proxy(url) as proxy:
        failing = asyncio.ensure_future(faults(proxy))
        try:
            return await listen(proxy.url, text)
        finally:
            failing.cancel()
            proxy.refuses = False


async def nothing_left(gateway: Gateway) -> None:
    """Every session is gone, parked or not."""
    async with asyncio.timeout(40):
        while len(gateway.registry) or gateway.lot.parked:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def main() -> None:
    """Print the figures of every fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the speech")
    parser.add_argument("--speed", type=float, default=1.0, help="of the loop's clock")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=fast_loop(arguments.speed)) as runner:
        plain, runs = runner.run(compare(arguments.seconds, list(FAULTS)))
    print(f"{'fault':8} {'frames':>7} {'equal':>6} {'resumes':>8} {'underruns':>10} {'wall s':>7}")
    for name, heard in {"none": plain, **runs}.items():
        equal = "yes" if heard.speech == plain.speech else "NO"
        print(
            f"{name:8} {len(heard.frames):7} {equal:>6} {heard.resumes:8} {heard.underruns:10} "
            f"{heard.wall_s:7.1f}"
        )


if __name__ == "__main__":
    main()
