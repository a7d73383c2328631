"""Whatever is asked in whatever order: nothing is lost, doubled or starved."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.cost import CostModel
from gateway.engine.scheduler import LATE_WAIT_MAX_S, POLICIES, Scheduler
from gateway.engine.work import Stage, Work
from gateway.synthesis import RequestId, SynthesisRequest, TextChunk, Window

CHUNK = TextChunk("x", 0, 1, "x", ())

steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.floats(-1.0, 3.0), st.booleans()),
        st.tuples(st.just("serve"), st.just(0.0), st.just(False)),
        st.tuples(st.just("withdraw"), st.floats(0, 1), st.just(False)),
        st.tuples(st.just("wait"), st.floats(0.0, 0.5), st.just(False)),
    ),
    max_size=60,
)


@given(steps)
def test_everything_asked_is_served_once_or_withdrawn(
    script: list[tuple[str, float, bool]],
) -> None:
    scheduler = Scheduler()
    now = 0.0
    waiting: dict[str, Work] = {}
    for number, (what, value, first) in enumerate(script):
        if what == "ask":
            request_id = RequestId(f"s{number}", "c", 0, 0)
            request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, now + value, first)
            item = Work(request, now + value, now, Window(request_id, 0, final=True))
            waiting[f"s{number}"] = item
            scheduler.receive(item)
        elif what == "serve":
            batch = scheduler.next_batch(now)
            assert (batch is None) == (not waiting)
            if batch is not None:
                (served,) = batch.works
                assert waiting.pop(served.request.id.session) is served
        elif what == "withdraw" and waiting:
            name = sorted(waiting)[int(value * (len(waiting) - 1))]
            assert scheduler.withdraw(name, "c", 0) == 1
            del waiting[name]
        elif what == "wait":
            now += value
        assert len(scheduler) == len(waiting)


batch_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"),
            st.floats(-1.0, 3.0),
            st.sampled_from((16, 28, 48, None)),
            st.integers(0, 4),
            st.booleans(),
        ),
        st.tuples(st.just("serve"), st.just(0.0), st.none(), st.just(0), st.just(False)),
        st.tuples(st.just("withdraw"), st.floats(0, 1), st.none(), st.just(0), st.just(False)),
        st.tuples(st.just("wait"), st.floats(0.0, 0.5), st.none(), st.just(0), st.just(False)),
    ),
    max_size=60,
)


@given(batch_steps, st.sampled_from(sorted(POLICIES)), st.floats(0.1, 1.2))
def test_in_batches_too_everything_is_served_once_or_withdrawn(
    script: list[tuple[str, float, int | None, int, bool]], policy: str, gain: float
) -> None:
    costs = CostModel()
    for shape in (16, 28, 48):
        costs.receive(Stage.RENDER, shape, 1, shape / 1000, 0.0)
        costs.receive(Stage.RENDER, shape, 4, 4 * gain * shape / 1000, 0.0)
    scheduler = Scheduler(costs, batch_max=4, policy=policy)
    now = 0.0
    waiting: dict[tuple[str, str], Work] = {}
    for number, (what, value, shape, session, flag) in enumerate(script):
        if what == "ask":
            request_id = RequestId(f"s{session}", f"c{number}", 0, 0)
            request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, now + value, flag)
            window = None if shape is None else Window(request_id, 0, True, shape)
            item = Work(request, now + value, now, window, alone=session == 4)
            waiting[f"s{session}", f"c{number}"] = item
            scheduler.receive(item)
        elif what == "serve":
            batch = scheduler.next_batch(now)
            assert (batch is None) == (not waiting)
            if batch is not None:
                assert 1 <= len(batch) <= 4
                assert len({work.kind for work in batch.works}) == 1
                assert len(batch) == 1 or not any(work.alone for work in batch.works)
                for work in batch.works:
                    assert waiting.pop((work.request.id.session, work.request.id.context)) is work
        elif what == "withdraw" and waiting:
            name = sorted(waiting)[int(value * (len(waiting) - 1))]
            assert scheduler.withdraw(*name, 0) == 1
            del waiting[name]
        elif what == "wait":
            now += value
        assert len(scheduler) == len(waiting)


@given(st.integers(1, 40), st.integers(0, 39))
def test_a_session_with_one_context_is_served_among_the_first_whoever_crowds(
    crowd: int, arrives: int
) -> None:
    scheduler = Scheduler()

    def ask(session: str, context: int) -> None:
        request_id = RequestId(session, str(context), 0, 0)
        request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, 3.0, False)
        scheduler.receive(Work(request, 3.0, 0.0, Window(request_id, 1, True)))

    for context in range(crowd):
        if context == arrives:
            ask("modest", 0)
        ask("greedy", context)
    if arrives >= crowd:
        ask("modest", 0)
    order = []
    while (batch := scheduler.next_batch(0.0)) is not None:
        order.append(batch.works[0].request.id.session)
    assert order.index("modest") <= 1
    assert len(order) == crowd + 1


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_late_work_is_served_though_urgent_work_keeps_coming(gaps: list[float]) -> None:
    scheduler = Scheduler()

    def ask(name: str, deadline: float, now: float) -> None:
        request_id = RequestId(name, "c", 0, 0)
        request = SynthesisRequest(request_id, CHUNK, "v", "en", 1.0, deadline, False)
        scheduler.receive(Work(request, deadline, now, Window(request_id, 0, final=True)))

    ask("patient", 0.0, 0.0)
    now = 0.01
    for number, gap in enumerate([*gaps, LATE_WAIT_MAX_S]):
        now += gap
        ask(f"urgent{number}", now + 1.0, now)
        batch = scheduler.next_batch(now)
        assert batch is not None
        if batch.works[0].request.id.session == "patient":
            return
    raise AssertionError("the late work starved")
