import random

import pytest

from gateway.client.backoff import Backoff
from gateway.client.outbox import Outbox
from gateway.errors import ProtocolViolation


def test_messages_are_taken_in_order_and_again_after_a_cut() -> None:
    outbox = Outbox(1000, keeps=True)
    assert [outbox.put(text) for text in ("a", "b", "c")] == [1, 2, 3]
    assert (outbox.take(), outbox.take()) == ("a", "b")
    outbox.rewind(1)
    assert outbox.taken == 1
    assert [outbox.take() for _ in range(3)] == ["b", "c", None]
    outbox.acknowledge(3)
    outbox.rewind(3)
    assert outbox.take() is None


def test_a_gateway_cannot_have_taken_what_was_never_put() -> None:
    with pytest.raises(ProtocolViolation, match="1 messages are acknowledged, but 0 were sent"):
        Outbox(1000, keeps=True).acknowledge(1)


def test_without_resume_nothing_is_kept() -> None:
    outbox = Outbox(100, keeps=False)
    for _ in range(100):
        outbox.put("x" * 30)
        assert outbox.take() == "x" * 30


def test_pauses_grow_to_a_bound_and_differ() -> None:
    backoff = Backoff(random=random.Random(1))
    pauses = [backoff.next() for _ in range(100)]
    assert pauses[0] <= 0.05
    for attempt, pause in enumerate(pauses[1:8]):
        longest = min(5.0, 0.1 * 2**attempt)
        assert longest / 2 <= pause <= longest
    assert max(pauses) <= 5.0
    assert len(set(pauses)) == 100
