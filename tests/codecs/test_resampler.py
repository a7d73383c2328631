"""The resampler loses, adds and shifts nothing."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.codecs.resampler import Resampler
from tests.codecs.signals import signal_to_noise_db, sine, voice

RATES = [
    (22_050, 24_000),
    (24_000, 48_000),
    (24_000, 16_000),
    (24_000, 12_000),
    (22_050, 8_000),
    (48_000, 8_000),
    (16_000, 24_000),
    (24_000, 22_050),
]


def convert(resampler: Resampler, samples: np.ndarray, block: int) -> np.ndarray:
    parts = [resampler.write(samples[i : i + block]) for i in range(0, len(samples), block)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 441, 2_205, 22_050, 30_001])
def test_the_output_has_the_exact_length(rate_in: int, rate_out: int, count: int) -> None:
    out = convert(Resampler(rate_in, rate_out), np.zeros(count, np.float32), 441)
    assert len(out) == int(count * rate_out / rate_in + 0.5)


def test_halves_are_rounded_up() -> None:
    assert Resampler(48_000, 24_000).scale(3) == 2
    assert len(convert(Resampler(48_000, 24_000), np.zeros(3, np.float32), 3)) == 2


def test_a_sample_that_soxr_leaves_out_is_made_up() -> None:
    """2,080 samples at 48 kHz are 955.5 at 22.05 kHz, of which soxr returns 955."""
    lengths = [160 * odd for odd in range(1, 80, 2)]
    for length in lengths:
        out = convert(Resampler(48_000, 22_050), np.full(length, 0.5, np.float32), 4_800)
        assert len(out) == (length * 147 + 160) // 320
        assert np.abs(out[-1]) < 1


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_blocks_of_any_size_give_the_same_samples(rate_in: int, rate_out: int) -> None:
    samples = voice(6_000, rate_in)
    whole = convert(Resampler(rate_in, rate_out), samples, 6_000)
    for block in (1, 97, 441, 4_096):
        assert np.array_equal(convert(Resampler(rate_in, rate_out), samples, block), whole)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_nothing_is_shifted(rate_in: int, rate_out: int) -> None:
    out = convert(Resampler(rate_in, rate_out), sine(440, rate_in, rate_in), 1_000)
    expected = sine(440, rate_out, rate_out)
    edge = rate_out // 20
    assert signal_to_noise_db(expected[edge:-edge], out[edge:-edge]) > 90


def test_equal_rates_pass_through_without_a_copy() -> None:
    resampler = Resampler(24_000, 24_000)
    samples = voice(100, 24_000)
    assert resampler.write(samples) is samples
    assert resampler.due_samples == 100
    assert len(resampler.finish()) == 0
    assert resampler.due_samples == 0


def test_finish_makes_it_as_new() -> None:
    resampler = Resampler(22_050, 24_000)
    samples = voice(5_000, 22_050)
    first = convert(resampler, samples, 500)
    assert np.array_equal(convert(resampler, samples, 500), first)


def test_finish_without_input_gives_nothing() -> None:
    resampler = Resampler(22_050, 24_000)
    assert len(resampler.finish()) == 0
    assert len(resampler.write(np.zeros(0, np.float32))) == 0
    assert len(resampler.finish()) == 0


def test_an_input_shorter_than_half_an_output_sample_gives_nothing() -> None:
    resampler = Resampler(48_000, 8_000)
    resampler.write(np.ones(2, np.float32))
    assert resampler.due_samples == 0
    assert len(resampler.finish()) == 0
    assert len(convert(resampler, np.ones(600, np.float32), 100)) == 100


def test_what_is_due_counts_what_is_still_inside() -> None:
    resampler = Resampler(22_050, 24_000)
    ready = resampler.write(np.zeros(2_205, np.float32))
    assert resampler.due_samples == 2_400
    assert len(ready) < 2_400
