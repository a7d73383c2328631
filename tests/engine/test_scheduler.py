from __future__ import annotations

import random

import pytest

from gateway.engine.cost import CostModel
from gateway.engine.scheduler import (
    FIRST_AUDIO_EVERY,
    LATE_WAIT_MAX_S,
    POLICIES,
    SESSIONS_REMEMBERED_MAX,
    Policy,
    Scheduler,
    Standing,
)
from gateway.engine.work import Stage, Work
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
    while (batch := scheduler.next_batch(now)) is not None:
        names += [item.request.id.session for item in batch.works]
    return names


def test_an_empty_queue_has_nothing_to_do() -> None:
    assert Scheduler().next_batch(0.0) is None


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
    assert order(scheduler, now=1.01 + LATE_WAIT_MAX_S) == ["late", "in time"]


def test_newcomers_get_their_share_of_a_full_house() -> None:
    scheduler = Scheduler()
    for number in range(16):
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
    assert scheduler.next_batch(1.5).works[0].request.id.session == "d"  # a, b and c are late now
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


# ── planning, policies, fairness ───────────────────────────────────────────────────────────────


def plan(name: str, deadline: float, text: str = "hello", *, first: bool = True) -> Work:
    request_id = RequestId(name, "c", 0, 0)
    chunk = TextChunk(text, 0, len(text), text, ())
    return Work(SynthesisRequest(request_id, chunk, "v", "en", 1.0, deadline, first), deadline, 0.0)


def window(
    name: str,
    deadline: float,
    *,
    shape: object = 48,
    context: str = "c",
    index: int = 1,
    first: bool = False,
) -> Work:
    request_id = RequestId(name, context, 0, 0)
    request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, deadline, first)
    return Work(request, deadline, 0.0, Window(request_id, index, final=True, shape=shape))


def knowing(*costs: tuple[Stage, object, int, float], **options: object) -> Scheduler:
    """A scheduler that has measured these costs often."""
    model = CostModel()
    for stage, shape, batch, duration_s in costs:
        for _ in range(20):
            model.receive(stage, shape, batch, duration_s, 0.0)
    return Scheduler(model, **options)


def batches(scheduler: Scheduler, now: float = 0.0) -> list[list[str]]:
    found = []
    while (batch := scheduler.next_batch(now)) is not None:
        found.append([item.request.id.session for item in batch.works])
    return found


def test_plans_of_texts_of_like_length_are_of_one_kind() -> None:
    assert plan("a", 1.0, "x" * 5).shape == plan("a", 1.0, "x" * 128).shape == 128
    assert plan("a", 1.0, "x" * 129).shape == 256


def test_only_what_comes_before_any_sound_opens_a_talkspurt() -> None:
    assert plan("a", 1.0).opens
    assert window("a", 1.0, index=0, first=True).opens
    assert not window("a", 1.0, index=1, first=True).opens
    assert not plan("a", 1.0, first=False).opens


def test_at_equal_urgency_the_session_served_longest_ago_comes_first() -> None:
    scheduler = Scheduler()
    for name in ("a", "b", "c"):
        scheduler.receive(window(name, 1.0))
    assert order(scheduler, 0.0) == ["a", "b", "c"]
    for name in ("c", "b", "new", "a"):
        scheduler.receive(window(name, 2.001 if name == "a" else 2.009))
    assert order(scheduler, 0.0) == ["new", "a", "b", "c"]


def test_a_session_with_many_contexts_does_not_crowd_out_one_with_few() -> None:
    scheduler = Scheduler()
    for number in range(32):
        scheduler.receive(window("greedy", 3.0, context=f"c{number}"))
    scheduler.receive(window("modest", 3.2))
    served = order(scheduler, 0.0)
    assert served.index("modest") == 1
    assert served.count("greedy") == 32


def test_a_session_with_many_contexts_has_the_machine_when_nobody_else_wants_it() -> None:
    scheduler = Scheduler()
    for number in range(5):
        scheduler.receive(window("greedy", 3.0, context=f"c{number}"))
    assert order(scheduler, 0.0) == ["greedy"] * 5


def test_fifo_serves_in_order_of_arrival_whatever_the_deadlines() -> None:
    scheduler = Scheduler(policy="fifo")
    for name, deadline in (("a", 9.0), ("b", -1.0), ("c", 5.0)):
        scheduler.receive(window(name, deadline, index=0, first=True))
    assert order(scheduler, 0.0) == ["a", "b", "c"]


def test_round_robin_gives_every_session_its_turn() -> None:
    scheduler = Scheduler(policy="round-robin")
    for context in ("1", "2", "3"):
        scheduler.receive(window("a", 1.0, context=context))
    scheduler.receive(window("b", 9.0, context="1"))
    scheduler.receive(window("b", 9.0, context="2"))
    assert order(scheduler, 0.0) == ["a", "b", "a", "b", "a"]
    scheduler.receive(window("c", 1.0))  # comes now, so it is not owed the turns before
    scheduler.receive(window("b", 1.0))
    assert order(scheduler, 0.0) == ["c", "b"]


def test_who_was_served_is_forgotten_in_the_end() -> None:
    scheduler = Scheduler()
    for number in range(SESSIONS_REMEMBERED_MAX + 50):
        scheduler.receive(window(f"s{number}", 1.0))
        scheduler.next_batch(0.0)
    assert len(scheduler._sessions) == SESSIONS_REMEMBERED_MAX
    assert len(scheduler) == 0


# ── not everything can be in time ──────────────────────────────────────────────────────────────


def test_what_cannot_be_in_time_any_more_is_served_last() -> None:
    scheduler = knowing((Stage.RENDER, 48, 1, 0.4))
    scheduler.receive(window("hopeless", 0.3))
    scheduler.receive(window("in time", 0.5))
    assert order(scheduler, 0.0) == ["in time", "hopeless"]


def test_first_audio_goes_first_while_the_others_can_wait() -> None:
    scheduler = knowing((Stage.RENDER, 48, 1, 0.4), (Stage.PLAN, 128, 1, 0.1))
    scheduler.receive(window("hearing", 1.0))
    scheduler.receive(plan("new", 0.15))
    assert order(scheduler, 0.0) == ["new", "hearing"]


def test_first_audio_waits_if_a_listener_would_hear_a_gap() -> None:
    scheduler = knowing((Stage.RENDER, 48, 1, 0.4), (Stage.PLAN, 128, 1, 0.1))
    scheduler.receive(window("hearing", 0.45))
    scheduler.receive(plan("new", 0.15))
    assert order(scheduler, 0.0) == ["hearing", "new"]


def test_first_audio_waits_if_not_all_who_listen_could_wait() -> None:
    """Each of the five could wait for it by itself, but they share a lane."""
    costs = CostModel()
    for _ in range(20):
        costs.receive(Stage.RENDER, None, 1, 0.1, 0.0)

    def served_first(lanes: int) -> str:
        scheduler = Scheduler(costs, lanes=lanes)
        for number in range(5):
            scheduler.receive(work(f"old{number}", 0.52 + number / 1000))
        scheduler.receive(work("new", 0.15, first=True))
        batch = scheduler.next_batch(0.0)
        assert batch is not None
        return batch.works[0].request.id.session

    assert served_first(lanes=1) == "old0"
    assert served_first(lanes=2) == "new"


def test_first_audio_keeps_its_share_even_when_everything_is_overdue() -> None:
    scheduler = Scheduler()
    for number in range(8):
        scheduler.receive(window(f"old{number}", 1.0 + number / 10))
    scheduler.receive(plan("new", 4.0))
    served = order(scheduler, now=9.0)
    assert served.index("new") == FIRST_AUDIO_EVERY - 1


# ── batches ────────────────────────────────────────────────────────────────────────────────────

GPU = (
    (Stage.RENDER, 48, 1, 0.010),
    (Stage.RENDER, 48, 2, 0.012),
    (Stage.RENDER, 48, 4, 0.016),
    (Stage.RENDER, 48, 8, 0.024),
)
CPU = (
    (Stage.RENDER, 48, 1, 0.40),
    (Stage.RENDER, 48, 2, 0.79),
    (Stage.RENDER, 48, 4, 1.65),
    (Stage.RENDER, 48, 8, 3.44),
)


def test_work_of_one_shape_shares_a_batch_in_order_of_urgency() -> None:
    scheduler = knowing(*GPU, batch_max=8)
    for name, deadline in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        scheduler.receive(window(name, deadline))
    scheduler.receive(window("other shape", 1.5, shape=28))
    assert batches(scheduler) == [["a", "b", "c"], ["other shape"]]


def test_a_batch_is_never_larger_than_the_engine_takes() -> None:
    scheduler = knowing(*GPU, batch_max=4)
    for number in range(10):
        scheduler.receive(window(f"s{number}", 5.0))
    assert [len(batch) for batch in batches(scheduler)] == [4, 4, 2]


def test_where_batching_gains_nothing_work_is_done_one_by_one() -> None:
    scheduler = knowing(*CPU, batch_max=8)
    for number in range(8):
        scheduler.receive(window(f"s{number}", 60.0))
    assert [len(batch) for batch in batches(scheduler)] == [1] * 8


def test_a_batch_grows_only_while_its_members_stay_in_time() -> None:
    scheduler = knowing(*GPU, batch_max=8)
    scheduler.receive(window("urgent", 0.0165))  # a batch of four takes 16 ms, of five 18
    for number in range(7):
        scheduler.receive(window(f"s{number}", 5.0))
    assert [len(batch) for batch in batches(scheduler)] == [4, 4]


def test_a_batch_grows_only_while_the_next_most_urgent_work_stays_in_time() -> None:
    scheduler = knowing(*GPU, (Stage.RENDER, 28, 1, 0.008), batch_max=8)
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.5))
    scheduler.receive(window("next", 0.52, shape=28))
    assert [len(batch) for batch in batches(scheduler)] == [8, 1]
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.03))
    scheduler.receive(window("next", 0.04, shape=28))  # 40 - 8 ms leave 32 for the batch
    assert [len(batch) for batch in batches(scheduler)] == [8, 1]
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.018))
    scheduler.receive(window("next", 0.0205, shape=28))  # 20.5 - 8 ms leave 12.5
    assert len(batches(scheduler)[0]) == 2


def test_who_can_wait_lets_a_full_batch_go_first() -> None:
    scheduler = knowing(*GPU, (Stage.RENDER, 28, 1, 0.008), batch_max=8)
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.5))
    scheduler.receive(window("patient", 0.033, shape=28))  # 24 ms for the batch, 8 for itself
    assert [len(batch) for batch in batches(scheduler)] == [8, 1]
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.5))
    scheduler.receive(window("hurried", 0.031, shape=28))
    assert [len(batch) for batch in batches(scheduler)] == [1, 8]
    for number in range(7):
        scheduler.receive(window(f"s{number}", 0.5))
    scheduler.receive(window("patient", 0.1, shape=28))  # …but there is no full batch
    assert [len(batch) for batch in batches(scheduler)] == [1, 7]


def test_where_batching_gains_nothing_nobody_waits_for_a_full_batch() -> None:
    scheduler = knowing(*CPU, (Stage.RENDER, 28, 1, 0.2), batch_max=8)
    for number in range(8):
        scheduler.receive(window(f"s{number}", 60.0))
    scheduler.receive(window("first", 30.0, shape=28))
    assert batches(scheduler)[0] == ["first"]


def test_who_is_late_anyway_does_not_keep_a_batch_small() -> None:
    scheduler = knowing(*GPU, batch_max=8)
    for number in range(8):
        scheduler.receive(window(f"s{number}", -0.1))
    assert [len(batch) for batch in batches(scheduler)] == [8]


def test_before_one_piece_was_measured_nothing_is_batched() -> None:
    scheduler = Scheduler(batch_max=8)
    for number in range(3):
        scheduler.receive(window(f"s{number}", 9.0))
    assert batches(scheduler) == [["s0"], ["s1"], ["s2"]]


def test_an_unmeasured_batch_is_tried_if_even_its_worst_case_is_in_time() -> None:
    patient = knowing((Stage.RENDER, 48, 1, 0.1), batch_max=8)
    hurried = knowing((Stage.RENDER, 48, 1, 0.1), batch_max=8)
    for number in range(4):
        patient.receive(window(f"s{number}", 9.0))
        hurried.receive(window(f"s{number}", 0.15))
    assert batches(patient) == [["s0", "s1"], ["s2", "s3"]]
    assert batches(hurried)[0] == ["s0"]


def test_policies_without_deadlines_batch_for_throughput() -> None:
    scheduler = knowing(*GPU, batch_max=8, policy="fifo")
    for number in range(8):
        scheduler.receive(window(f"s{number}", 0.001))
    assert [len(batch) for batch in batches(scheduler)] == [8]


def test_work_that_must_be_alone_shares_no_batch() -> None:
    scheduler = knowing(*GPU, batch_max=8)
    for number in range(4):
        item = window(f"s{number}", 5.0 + number)
        item.alone = number in (0, 2)
        scheduler.receive(item)
    assert batches(scheduler) == [["s0"], ["s1", "s3"], ["s2"]]


def test_a_batch_knows_its_stage_and_shape() -> None:
    scheduler = Scheduler()
    scheduler.receive(window("a", 1.0))
    batch = scheduler.next_batch(0.0)
    assert batch is not None
    assert (batch.stage, batch.shape, len(batch)) == (Stage.RENDER, 48, 1)


def test_withdrawing_from_a_long_queue_leaves_no_litter() -> None:
    scheduler = Scheduler()
    for number in range(1000):
        scheduler.receive(window(f"s{number}", 5.0, shape=number % 7))
    for number in range(990):
        assert scheduler.withdraw(f"s{number}", "c", 0) == 1
    assert len(scheduler._ongoing._all._entries) < 100
    assert order(scheduler, 0.0) == [f"s{number}" for number in range(990, 1000)]


def test_a_choice_among_ten_thousand_costs_little_more_than_among_a_hundred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0

    class Counted(float):
        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float.__lt__(self, other)

    def sort_key(item: Work, standing: Standing) -> tuple[float, ...]:
        return Counted(item.deadline + standing.arrival / 1e6), standing.arrival

    monkeypatch.setitem(POLICIES, "counted", Policy(sort_key, by_deadline=True))

    def comparisons_of_a_choice(waiting: int) -> float:
        nonlocal compared
        chance = random.Random(1)
        scheduler = Scheduler(policy="counted")
        for number in range(waiting):
            scheduler.receive(window(f"s{number}", 10 + 100 * chance.random(), shape=number % 20))
        compared = 0
        for _ in range(50):
            scheduler.next_batch(0.0)
        return compared / 50

    few, many = comparisons_of_a_choice(100), comparisons_of_a_choice(10_000)
    assert few < 40
    assert many < 80


def test_a_deadline_that_moves_moves_the_work() -> None:
    scheduler = Scheduler()
    for name, deadline in (("a", 10.0), ("b", 11.0), ("c", 12.0)):
        scheduler.receive(work(name, deadline))
    scheduler.shift("c", "c", 0, -3.0)
    scheduler.shift("a", "c", 0, 1.5)
    scheduler.shift("nobody", "c", 0, 5.0)
    assert order(scheduler, 0.0) == ["c", "b", "a"]


def test_work_that_was_late_is_served_in_its_turn_again_when_its_deadline_moves() -> None:
    scheduler = Scheduler()
    scheduler.receive(work("late", 1.0))
    scheduler.receive(work("x", 9.0))
    scheduler.receive(work("y", 20.0))
    assert [w.request.id.session for w in scheduler.next_batch(1.5).works] == ["x"]
    scheduler.shift("late", "c", 0, 10.0)
    assert order(scheduler, 1.5) == ["late", "y"]
    assert len(scheduler) == 0


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_shifting_loses_nothing(policy: str) -> None:
    chance = random.Random(policy)
    scheduler = Scheduler(policy=policy)
    for number in range(40):
        scheduler.receive(work(f"s{number % 7}", 10.0 + number, first=number % 3 == 0))
        scheduler.shift(f"s{chance.randrange(7)}", "c", 0, chance.uniform(-9, 9))
    assert len(scheduler) == 40
    assert len(order(scheduler, 12.0)) == 40
