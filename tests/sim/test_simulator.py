"""A swarm of seeds: 210 worlds, and that the same seed gives the same world."""

from __future__ import annotations

import pytest

from tests.sim.run import simulate
from tests.sim.scenario import SCENARIOS

SEEDS_PER_SCENARIO = 30


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_everything_holds_for_every_seed(name: str) -> None:
    for seed in range(SEEDS_PER_SCENARIO):
        try:
            result = simulate(seed, SCENARIOS[name])
        except AssertionError as error:
            raise AssertionError(f"python -m tests.sim {seed} --scenario {name}") from error
        assert result.frames > 0


def test_the_same_seed_gives_the_same_world() -> None:
    assert simulate(7, SCENARIOS["hostile"]) == simulate(7, SCENARIOS["hostile"])


def test_a_calm_world_has_no_underrun() -> None:
    underruns = [simulate(seed, SCENARIOS["calm"]).underruns for seed in range(20)]
    assert underruns == [0] * 20
