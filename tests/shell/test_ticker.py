from __future__ import annotations

import asyncio

import pytest

from gateway.session.ticker import Ticker


class Member:
    def __init__(self) -> None:
        self.due_at: float | None = None
        self.called = asyncio.Event()
        self.times: list[float] = []

    def handle_tick(self, now: float) -> None:
        self.times.append(now)
        self.called.set()


async def test_a_member_is_called_once_after_its_time_and_the_lateness_is_told() -> None:
    loop, lateness = asyncio.get_running_loop(), []
    ticker, member = Ticker(0.005, lateness.append), Member()
    due = loop.time() + 0.02
    ticker.arm(member, due)
    await asyncio.wait_for(member.called.wait(), 5)
    await asyncio.sleep(0.02)
    assert len(member.times) == 1
    assert member.times[0] >= due
    assert lateness == [member.times[0] - due]
    assert member.due_at is None


async def test_the_earlier_of_two_times_counts() -> None:
    loop = asyncio.get_running_loop()
    ticker, member = Ticker(0.005, lambda s: None), Member()
    soon = loop.time() + 0.01
    ticker.arm(member, soon + 60)
    ticker.arm(member, soon)
    ticker.arm(member, soon + 30)
    assert member.due_at == soon
    await asyncio.wait_for(member.called.wait(), 5)
    ticker.close()


async def test_a_member_that_was_disarmed_is_not_called() -> None:
    loop = asyncio.get_running_loop()
    ticker, gone, other = Ticker(0.005, lambda s: None), Member(), Member()
    ticker.arm(gone, loop.time() + 0.01)
    ticker.arm(other, loop.time() + 0.01)
    ticker.disarm(gone)
    await asyncio.wait_for(other.called.wait(), 5)
    assert gone.times == []


async def test_a_member_that_fails_takes_nobody_with_it(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Member):
        def handle_tick(self, now: float) -> None:
            raise OSError("broken")

    loop = asyncio.get_running_loop()
    ticker, broken, other, later = Ticker(0.005, lambda s: None), Broken(), Member(), Member()
    due = loop.time() + 0.01
    for member in (broken, other):
        ticker.arm(member, due)
    ticker.arm(later, due + 0.02)
    await asyncio.wait_for(other.called.wait(), 5)
    await asyncio.wait_for(later.called.wait(), 5)
    assert "a member of the ticker failed" in caplog.text


async def test_a_far_time_is_looked_at_again_within_the_horizon() -> None:
    loop = asyncio.get_running_loop()
    ticker, member = Ticker(0.005, lambda s: None), Member()
    ticker.arm(member, loop.time() + 3600)
    assert member.due_at is not None
    assert member.due_at <= loop.time() + 5.0
    ticker.close()
