import orjson
import pytest

from loadtest.soak import Plan, Soak, growths, to_json, to_text

MIB = 2**20


def test_a_steady_server_does_not_grow() -> None:
    readings = [{"descriptors": value} for value in (40.0, 41.0, 40.0, 39.0, 41.0)]

    (growth,) = growths(readings)
    assert growth.held
    assert growth.grown == pytest.approx(0.0)


def test_a_leak_of_one_descriptor_a_round_is_found() -> None:
    (growth,) = growths([{"descriptors": 40.0 + number} for number in range(6)])

    assert growth.grown == pytest.approx(5.0)
    assert not growth.held


def test_one_odd_reading_is_no_growth() -> None:
    readings = [{"tasks": value} for value in (10.0, 10.0, 90.0, 10.0, 10.0)]

    assert growths(readings)[0].held


def test_memory_that_levelled_off_has_not_grown() -> None:
    mib = (111.2, 109.3, 121.6, 121.0, 109.3)  # a real soak's, after its warm-up

    assert growths([{"memory": value * MIB} for value in mib])[0].held


def test_memory_may_grow_by_a_twentieth() -> None:
    steady = [{"memory": (200 + number) * MIB} for number in range(6)]
    leaking = [{"memory": (200 + 4 * number) * MIB} for number in range(6)]

    assert growths(steady)[0].held
    assert not growths(leaking)[0].held


def test_a_short_soak_has_rounds_enough_for_a_slope() -> None:
    assert Plan(minutes=0.1).rounds == 6
    assert Plan(minutes=5.0).rounds == 6
    assert Plan(minutes=60.0).rounds == 72


def test_whoever_behaves_must_not_be_failed() -> None:
    steady = tuple(growths([{"tasks": 4.0}] * 3))
    good = Soak(Plan(1.0), steady, 100, 0, {}, {"sends_garbage": 3})
    bad = Soak(Plan(1.0), steady, 100, 1, {"no audio": 1}, {})

    assert good.held
    assert not bad.held
    assert orjson.loads(to_json(good, "here"))["growth"][0]["readings"] == [4.0, 4.0, 4.0]
    assert "sends_garbage 3" in to_text(good)
    assert "error   no audio: 1" in to_text(bad)
