"""Which call of an engine is the only one."""

import pytest

from gateway.engine.kokoro.calls import Calls


def test_a_call_is_alone_unless_another_runs():
    calls = Calls()
    with calls.enter() as first, calls.enter() as second:
        assert (first, second, len(calls)) == (True, False, 2)
    with calls.enter() as third:
        assert third


def test_a_call_that_fails_is_over():
    calls = Calls()
    with pytest.raises(ValueError, match="no sound"), calls.enter():
        raise ValueError("no sound")
    assert len(calls) == 0
