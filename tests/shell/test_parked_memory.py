"""What a thousand parked sessions cost, and that they are gone once they have expired.

    python -m tests.shell.test_parked_memory          # prints the figures

Each has spoken a sentence to its end; its client acknowledged what it got.  Python's objects are
counted by tracemalloc; the process's memory, which also sees encoders, by the kernel.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.session.conversation import Conversation
from gateway.settings import Settings
from tests.e2e.fast_loop import FastLoop, fast_loop
from tests.shell.asgi import Client, running

SESSIONS = 1000
BYTES_MAX = 40_000
AT_ONCE = 20
PARK_S = 3600.0


@dataclass
class Cost:
    """Bytes of each session, and how many were still there after they had expired."""

    objects: float
    resident: float
    left: int


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def speak_and_vanish(app: Any, gateway: Gateway, turns: asyncio.Semaphore) -> None:
    async with turns:
        client = Client(app)
        await client.open()
        client.say(type="start")
        client.say(type="text", text="A short sentence.")
        client.say(type="end")
        received = 1
        while True:
            heard = await client.hear()
            received += 1
            if isinstance(heard, dict) and heard["type"] == "done":
                break
        client.say(type="ack", received=received)
        await client.hear()
        client.disconnect(1006)
        await client.task


async def measure() -> Cost:
    settings = Settings(limits={"park_s": PARK_S, "sessions_max": 2000})  # type: ignore[arg-type]
    async with running(settings) as (app, gateway):
        await speak_and_vanish(app, gateway, asyncio.Semaphore())  # what is made once
        gc.collect()
        resident = resident_bytes()
        tracemalloc.start()
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(speak_and_vanish(app, gateway, turns) for _ in range(SESSIONS)))
        await asyncio.sleep(1.0)  # the last of it is played
        gc.collect()
        objects = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        grown = resident_bytes() - resident
        assert SESSIONS <= gateway.lot.parked <= SESSIONS + 1
        held = [weakref.ref(member) for member in gateway.registry.members]
        assert all(isinstance(each(), Conversation) for each in held)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FastLoop)
        loop.skip(PARK_S)
        await asyncio.sleep(0.2)
        loop.skip(6.0)  # the ticker forgets what it was told within 5 s
        await asyncio.sleep(0.1)
        assert (len(gateway.registry), gateway.lot.parked) == (0, 0)
        gc.collect()
        left = sum(each() is not None for each in held)
        return Cost(objects / SESSIONS, grown / SESSIONS, left)


def run() -> Cost:
    with asyncio.Runner(loop_factory=fast_loop(1.0)) as runner:
        return runner.run(measure())


@pytest.mark.timeout(110)
def test_a_thousand_parked_sessions_are_cheap_and_expire() -> None:
    cost = run()
    assert cost.objects <= BYTES_MAX
    assert cost.left == 0


if __name__ == "__main__":
    cost = run()
    print(f"{SESSIONS} parked sessions: {cost.objects / 1000:.1f} kB of objects each,")
    print(
        f"{cost.resident / 1000:.1f} kB of the process's memory each, with the test's own clients;"
    )
    print(f"{cost.left} left after they had expired")
