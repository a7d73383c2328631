"""Whatever is asked in whatever order: nothing is lost, doubled or starved."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.scheduler import LATE_WAIT_MAX_S, Scheduler, Work
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
            served = scheduler.next_work(now)
            assert (served is None) == (not waiting)
            if served is not None:
                assert waiting.pop(served.request.id.session) is served
        elif what == "withdraw" and waiting:
            name = sorted(waiting)[int(value * (len(waiting) - 1))]
            assert scheduler.withdraw(name, "c", 0) == 1
            del waiting[name]
        elif what == "wait":
            now += value
        assert len(scheduler) == len(waiting)


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
        served = scheduler.next_work(now)
        assert served is not None
        if served.request.id.session == "patient":
            return
    raise AssertionError("the late work starved")
