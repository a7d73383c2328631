import orjson
import pytest
import typer

from loadtest.answers import LONG
from loadtest.load_commands import _weighted
from loadtest.targets import Target, _at_most, lone_script, to_json, to_markdown


def test_the_lone_caller_gets_each_text_whole_and_hears_only_its_beginning() -> None:
    script = lone_script(LONG, 8, seed=1)

    assert len(script.turns) == 8
    assert {turn.text for turn in script.turns} == set(LONG)
    for turn in script.turns:
        assert len(turn.tokens) == 1
        assert turn.clause_s == turn.tokens[0].at_s
        assert turn.barge_in_s == pytest.approx(turn.clause_s + 0.9)
    assert len({turn.speed for turn in script.turns}) == 8
    assert script.leave_s > script.turns[-1].clause_s + 1


def test_a_missed_target_says_why_and_a_kept_one_does_not() -> None:
    kept = _at_most("embedded", "hot restart", "s", 1.5, 2.0, "imports take it")
    missed = _at_most("model", "hot restart", "s", 2.5, 2.0, "imports take it")
    silent = _at_most("model", "first audible", "s", None, 1.0, "nothing was heard")

    table = to_markdown([kept, missed, silent, Target("x", "memory", "MiB", 120.0, None, True)])
    assert "| embedded | hot restart | 1.5 s | < 2 s | holds |" in table
    assert "| model | hot restart | 2.5 s | < 2 s | **missed**: imports take it |" in table
    assert "| model | first audible | – | < 1 s | **missed**: nothing was heard |" in table
    assert "| x | memory | 120 MiB | – |  |" in table
    assert orjson.loads(to_json([missed], "here"))["targets"][0]["held"] is False


def test_weights_are_read_from_the_command_line() -> None:
    assert _weighted("opus=8,pcm", "--codecs") == (("opus", 8.0), ("pcm", 1.0))
    for wrong in ("opus=many", "=2", "opus=0"):
        with pytest.raises(typer.BadParameter):
            _weighted(wrong, "--codecs")
