import orjson
import pytest

from loadtest.capacity import search, summary, to_html, to_json
from loadtest.verdict import Result, judge, standard_limits

from .calls import answer, run


class Served:
    """A server that serves up to ``limit`` callers well, and notes what was tried."""

    def __init__(self, limit: int, late_above: int = 10**9, flaky: int = 0) -> None:
        self.limit, self.late_above, self.flaky = limit, late_above, flaky
        self.tried: list[tuple[int, int]] = []

    def __call__(self, sessions: int, attempt: int) -> Result:
        self.tried.append((sessions, attempt))
        disturbed = sessions == self.flaky and attempt == 0
        sound_s = 10.1 if sessions <= self.limit and not disturbed else 12.0
        late_s = 0.5 if sessions > self.late_above else 0.001
        return judge("", [run([[answer(first_sound_s=sound_s)]], [late_s])], standard_limits())


@pytest.mark.parametrize("limit", [3, 49, 50, 137, 400, 999])
def test_the_answer_is_within_a_tenth_of_the_truth(limit: int) -> None:
    found = search(Served(limit), 50, 2000)

    assert found.bounded_by == "server"
    assert limit - max(1, 0.1 * limit) <= found.sessions <= limit


def test_a_server_that_serves_nobody_has_no_capacity() -> None:
    assert search(Served(0), 8, 100).sessions == 0


def test_the_search_stops_at_the_greatest_load_allowed() -> None:
    found = search(Served(10_000), 50, 300)

    assert (found.sessions, found.bounded_by) == (300, "limit")


def test_one_miss_may_be_a_disturbance() -> None:
    served = Served(400, flaky=100)

    assert search(served, 50, 2000).sessions >= 360
    assert served.tried[:4] == [(50, 0), (100, 0), (100, 1), (200, 0)]


def test_a_late_generator_ends_the_search_with_a_lower_bound() -> None:
    found = search(Served(limit=150, late_above=150), 50, 2000)

    assert (found.sessions, found.bounded_by) == (100, "generator")


def test_every_load_that_was_tried_is_in_the_file() -> None:
    found = search(Served(150), 100, 200)
    written = orjson.loads(to_json(found, "here"))

    assert written["figures"]["capacity"]["value"] == found.sessions
    assert [probe["sessions"] for probe in written["probes"]][:3] == [100, 200, 200]
    assert "<svg" in to_html(found, "here")
    assert "MISSED p95 of first audible sample 2" in summary(found.probes[1].result)
