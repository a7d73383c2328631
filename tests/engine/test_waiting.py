from __future__ import annotations

import random

from gateway.engine.waiting import WaitingWork
from gateway.engine.work import Work
from gateway.synthesis import RequestId, SynthesisRequest, TextChunk

CHUNK = TextChunk("x", 0, 1, "x", ())


def work(number: int) -> Work:
    request = SynthesisRequest(RequestId(f"s{number}", "c", 0, 0), CHUNK, "v", "en", 1.0, 0.0, True)
    return Work(request, 0.0, 0.0)


def test_the_soonest_come_in_order_and_stay_where_they_are() -> None:
    waiting = WaitingWork()
    works = [work(number) for number in range(50)]
    for number in random.Random(1).sample(range(50), 50):
        waiting.push(works[number], (number,))
    assert list(waiting.soonest(7)) == works[:7]
    assert list(waiting.soonest(100)) == works
    assert len(waiting) == 50


def test_the_soonest_leave_out_what_was_removed() -> None:
    waiting = WaitingWork()
    works = [work(number) for number in range(20)]
    for number, each in enumerate(works):
        waiting.push(each, (number,))
    for number in (0, 1, 5, 6):
        assert waiting.remove(works[number]) == (number,)
    assert list(waiting.soonest(4)) == [works[2], works[3], works[4], works[7]]


def test_nothing_is_soonest_where_nothing_waits() -> None:
    assert list(WaitingWork().soonest(3)) == []
