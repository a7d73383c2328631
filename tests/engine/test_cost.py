from __future__ import annotations

import random

import pytest

from gateway.engine.cost import FIGURES_MAX, SAMPLES_WANTED, STALE_S, CostModel
from gateway.engine.work import Stage

PLAN, RENDER = Stage.PLAN, Stage.RENDER


def learned(*samples: tuple[Stage, object, int, float]) -> CostModel:
    model = CostModel()
    for stage, shape, batch, duration_s in samples:
        model.receive(stage, shape, batch, duration_s, 0.0)
    return model


def mean(model: CostModel, stage: Stage, shape: object, batch: int) -> float:
    estimate = model.estimate(stage, shape, batch)
    assert estimate is not None
    return estimate.mean_s


def test_it_says_when_it_knows_nothing() -> None:
    model = CostModel()
    assert model.estimate(RENDER, 48, 1) is None
    assert model.least_s(RENDER, 48) is None
    model.receive(PLAN, 48, 1, 0.1, 0.0)
    assert model.estimate(RENDER, 48, 1) is None
    assert len(model) == 1


def test_one_sample_is_believed_with_a_wide_margin() -> None:
    estimate = learned((RENDER, 48, 1, 0.4)).estimate(RENDER, 48, 1)
    assert estimate is not None
    assert (estimate.mean_s, estimate.measured) == (0.4, True)
    assert estimate.upper_s == pytest.approx(0.7)


def test_equal_samples_close_the_margin() -> None:
    estimate = learned(*[(RENDER, 48, 1, 0.4)] * 30).estimate(RENDER, 48, 1)
    assert estimate is not None
    assert estimate.mean_s == pytest.approx(0.4)
    assert estimate.upper_s < 0.401


def test_the_upper_bound_is_rarely_passed() -> None:
    chance = random.Random(1)
    model = CostModel()
    passed = 0
    for number in range(3000):
        duration_s = chance.gauss(0.1, 0.01)
        estimate = model.estimate(RENDER, 48, 1)
        if number > 100:
            assert estimate is not None
            passed += duration_s > estimate.upper_s
        model.receive(RENDER, 48, 1, duration_s, 0.0)
    assert passed / 2900 < 0.03


def test_one_stall_hardly_moves_the_mean_but_a_slower_machine_is_believed() -> None:
    model = learned(*[(RENDER, 48, 1, 0.1)] * 30)
    model.receive(RENDER, 48, 1, 5.0, 0.0)
    assert mean(model, RENDER, 48, 1) < 0.11
    for _ in range(20):
        model.receive(RENDER, 48, 1, 0.3, 0.0)
    assert mean(model, RENDER, 48, 1) == pytest.approx(0.3, rel=0.1)


def test_shapes_between_measured_ones_are_interpolated() -> None:
    model = learned((RENDER, 20, 1, 0.2), (RENDER, 40, 1, 0.4), (RENDER, 100, 1, 0.7))
    assert mean(model, RENDER, 30, 1) == pytest.approx(0.3)
    assert mean(model, RENDER, 70, 1) == pytest.approx(0.55)
    estimate = model.estimate(RENDER, 30, 1)
    assert estimate is not None
    assert not estimate.measured


def test_beyond_the_measured_shapes_it_errs_upwards() -> None:
    model = learned((RENDER, 20, 1, 0.2), (RENDER, 40, 1, 0.3))
    assert mean(model, RENDER, 80, 1) == pytest.approx(0.6)
    assert mean(model, RENDER, 10, 1) == pytest.approx(0.2)


def test_batches_are_inferred_from_other_batches() -> None:
    model = learned((RENDER, 48, 2, 0.2), (RENDER, 48, 8, 0.5))
    assert mean(model, RENDER, 48, 4) == pytest.approx(0.3)
    assert mean(model, RENDER, 48, 16) == pytest.approx(1.0)
    assert mean(model, RENDER, 48, 1) == pytest.approx(0.2)


def test_a_batch_of_a_new_shape_is_inferred_from_both() -> None:
    model = learned((RENDER, 20, 1, 0.2), (RENDER, 40, 1, 0.4))
    assert mean(model, RENDER, 30, 2) == pytest.approx(0.6)


def test_shapes_that_are_no_numbers_are_like_themselves_alone() -> None:
    model = learned((RENDER, None, 1, 0.2), (RENDER, "a", 1, 0.4), (RENDER, (20, "x"), 1, 0.1))
    assert mean(model, RENDER, None, 1) == pytest.approx(0.2)
    assert mean(model, RENDER, "a", 3) == pytest.approx(1.2)
    assert model.estimate(RENDER, "b", 1) is None
    assert mean(model, RENDER, (40, "x"), 1) == pytest.approx(0.2)
    assert model.estimate(RENDER, (40, "y"), 1) is None


def test_a_prior_counts_until_it_was_measured() -> None:
    model = CostModel({(RENDER, 48, 1): 1.0})
    assert mean(model, RENDER, 48, 1) == 1.0
    assert model.unsure(RENDER, 48, 1, 0.0)
    for _ in range(12):
        model.receive(RENDER, 48, 1, 0.2, 0.0)
    assert mean(model, RENDER, 48, 1) == pytest.approx(0.2, rel=0.3)


def test_it_is_unsure_of_few_and_of_old_samples() -> None:
    model = CostModel()
    for _ in range(SAMPLES_WANTED):
        assert model.unsure(RENDER, 48, 2, 10.0)
        model.receive(RENDER, 48, 2, 0.1, 10.0)
    assert not model.unsure(RENDER, 48, 2, 10.0 + STALE_S)
    assert model.unsure(RENDER, 48, 2, 11.0 + STALE_S)


def test_the_least_for_one_piece_is_that_of_the_batch_that_pays_best() -> None:
    model = learned((RENDER, 48, 1, 0.1), (RENDER, 48, 4, 0.2), (RENDER, 48, 8, 0.8))
    assert model.least_s(RENDER, 48) == pytest.approx(0.05)
    assert model.least_s(RENDER, 28) is None


def test_memory_is_bounded() -> None:
    model = CostModel()
    for size in range(FIGURES_MAX + 10):
        model.receive(RENDER, size, 1, 0.1, 0.0)
        model.receive(PLAN, ("kept",), 1, 0.1, 0.0)
    assert len(model) == FIGURES_MAX
    assert mean(model, PLAN, ("kept",), 1) == pytest.approx(0.1)
    for number in range(FIGURES_MAX):
        model.receive(PLAN, str(number), 1, 0.1, 0.0)
    assert model.estimate(RENDER, FIGURES_MAX + 9, 1) is None
