from gateway.engine.scheduler import FIRST_AUDIO_EVERY, LATE_WAIT_MAX_S, Scheduler, Stage, Work
from gateway.synthesis import RequestId, SynthesisRequest, TextChunk, Window

CHUNK = TextChunk("hello", 0, 5, "hello", ())


def work(
    name: str, deadline: float, *, first: bool = False, enqueued_at: float = 0.0, chunk: int = 0
) -> Work:
    request_id = RequestId(name, "c", 0, chunk)
    request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, deadline, first)
    return Work(request, deadline, enqueued_at, Window(request_id, 0, final=True))


def order(scheduler: Scheduler, now: float) -> list[str]:
    names = []
    while (item := scheduler.next_work(now)) is not None:
        names.append(item.request.id.session)
    return names


def test_an_empty_queue_has_nothing_to_do() -> None:
    assert Scheduler().next_work(0.0) is None


def test_the_earliest_deadline_comes_first() -> None:
    scheduler = Scheduler()
    for name, deadline in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        scheduler.receive(work(name, deadline))
    assert len(scheduler) == 3
    assert order(scheduler, now=0.0) == ["a", "b", "c"]
    assert len(scheduler) == 0


def test_equal_deadlines_are_served_in_order_of_arrival() -> None:
    scheduler = Scheduler()
    for name in "xyz":
        scheduler.receive(work(name, 1.0))
    assert order(scheduler, now=0.0) == ["x", "y", "z"]


def test_what_is_late_already_is_served_last() -> None:
    scheduler = Scheduler()
    scheduler.receive(work("late", 1.0))
    scheduler.receive(work("in time", 5.0))
    assert order(scheduler, now=1.5) == ["in time", "late"]


def test_late_work_does_not_wait_for_ever() -> None:
    scheduler = Scheduler()
    scheduler.receive(work("late", 1.0, enqueued_at=0.5))
    scheduler.receive(work("in time", 50.0))
    assert order(scheduler, now=0.5 + LATE_WAIT_MAX_S) == ["late", "in time"]


def test_newcomers_get_their_share_of_a_full_house() -> None:
    scheduler = Scheduler()
    for number in range(8):
        scheduler.receive(work(f"old{number}", 1.0 + number / 10))
    scheduler.receive(work("new", 9.0, first=True))
    served = order(scheduler, now=0.0)
    assert served.index("new") == FIRST_AUDIO_EVERY - 1


def test_withdrawn_work_is_never_served() -> None:
    scheduler = Scheduler()
    scheduler.receive(work("a", 1.0))
    scheduler.receive(work("b", 2.0, first=True))
    scheduler.receive(work("c", 0.1))
    assert scheduler.withdraw("a", "c", 0) == 1
    assert scheduler.withdraw("b", "c", 0) == 1
    assert len(scheduler) == 1
    assert order(scheduler, now=0.5) == ["c"]


def test_work_that_became_late_can_still_be_withdrawn() -> None:
    scheduler = Scheduler()
    for name in ("a", "b", "c"):
        scheduler.receive(work(name, 1.0))
    scheduler.receive(work("d", 9.0))
    assert scheduler.next_work(1.5).request.id.session == "d"  # a, b and c are late now
    scheduler.withdraw("a", "c", 0)
    scheduler.withdraw("b", "c", 0)
    assert order(scheduler, now=1.5) == ["c"]


def test_withdrawing_another_generation_changes_nothing() -> None:
    scheduler = Scheduler()
    scheduler.receive(work("a", 1.0))
    assert scheduler.withdraw("a", "c", 1) == 0
    assert len(scheduler) == 1


def test_work_without_a_window_is_planning() -> None:
    item = work("a", 1.0)
    assert item.stage is Stage.RENDER
    item.window = None
    assert item.stage is Stage.PLAN
