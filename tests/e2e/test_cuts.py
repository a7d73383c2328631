"""A minute of speech over a network that fails: nothing is lost, and nothing is doubled."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.cuts import FAULTS, compare
from tests.e2e.fast_loop import fast_loop

SPEED = 6.0


@pytest.mark.timeout(110)
def test_playback_is_bit_equal_whatever_the_network_does() -> None:
    with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
        plain, runs = runner.run(compare(60.0, list(FAULTS)))
    assert len(plain.frames) >= 2950
    assert plain.resumes == 0
    for name, heard in runs.items():
        assert heard.speech == plain.speech, name
        assert heard.resumes >= 3, name
        assert heard.renewals == 0, name
