"""What a desk learns from a call, and from one that had the engine to itself."""

import pytest

from gateway.engine.base import EngineInfo
from gateway.engine.desk import Desk
from gateway.engine.work import Batch, Stage, Work
from gateway.synthesis import RequestId, SynthesisRequest, TextChunk, Window

NAME = RequestId("s", "c", 0, 0)
REQUEST = SynthesisRequest(NAME, TextChunk("a", 0, 1, "a", ()), "", "", 1.0, 0.0, True)
WINDOW = Window(NAME, index=0, final=True, shape=48, state=None)
BATCH = Batch((Work(REQUEST, 0.0, 0.0, WINDOW),))


def desk() -> Desk:
    return Desk(EngineInfo("e", "1", 24_000, (), "v", 2, 1, True, lanes_alone=2))


def test_a_call_in_company_says_what_such_a_batch_costs():
    one = desk()
    one.receive_call(BATCH, 0.3, 1.0, 10.0, whole=True)
    estimate = one.costs.estimate(Stage.RENDER, 48, 1)
    assert estimate is not None
    assert estimate.mean_s == pytest.approx(0.3)
    assert one.admission.utilisation(10.0) == pytest.approx(0.3 / 2 / 3, rel=0.1)


def test_a_call_that_spread_over_two_lanes_took_the_time_of_both_and_teaches_no_cost():
    one = desk()
    one.receive_call(BATCH, 0.2, 1.0, 10.0, whole=True, width=2)
    assert one.costs.estimate(Stage.RENDER, 48, 1) is None
    assert one.admission.utilisation(10.0) == pytest.approx(0.4 / 2 / 3, rel=0.1)
