import pytest

from gateway.errors import Draining, Overloaded
from gateway.session.rate import TokenBucket
from gateway.session.registry import Registry, new_session_id


def test_there_is_room_until_the_limit() -> None:
    registry: Registry[str] = Registry(sessions_max=2)
    registry.add("a", "A")
    registry.check_room()
    registry.add("b", "B")
    with pytest.raises(Overloaded, match="2 sessions are open") as caught:
        registry.check_room()
    assert (caught.value.field, caught.value.limit) == ("sessions_max", 2)
    registry.remove("a")
    registry.check_room()
    assert registry.members == ("B",)


def test_the_engines_may_be_full_before_the_registry_is() -> None:
    asked: list[int] = []

    def check_load(sessions: int) -> None:
        asked.append(sessions)
        if sessions == 1:
            raise Overloaded("busy", retry_after_s=2.5)

    registry: Registry[str] = Registry(3, check_load)
    registry.check_room()
    registry.add("a", "A")
    with pytest.raises(Overloaded) as caught:
        registry.check_room()
    assert caught.value.retry_after_s == 2.5
    assert asked == [0, 1]


def test_nobody_comes_in_while_it_drains() -> None:
    registry: Registry[str] = Registry(sessions_max=2)
    registry.draining = True
    with pytest.raises(Draining):
        registry.check_room()


def test_it_tells_when_the_last_one_has_gone() -> None:
    registry: Registry[str] = Registry(sessions_max=2)
    told: list[int] = []
    registry.add("a", "A")
    registry.when_empty(lambda: told.append(len(registry)))
    assert told == []
    registry.remove("a")
    assert told == [0]


def test_session_ids_differ_and_are_long() -> None:
    ids = {new_session_id() for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 16


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    bucket = TokenBucket(rate=10.0, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.0) == pytest.approx(0.2)


def test_the_bucket_fills_again_up_to_the_burst() -> None:
    bucket = TokenBucket(rate=10.0, burst=3, now=0.0)
    for _ in range(3):
        bucket.take(0.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) > 0
