from pathlib import Path

import orjson
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.sensitivity import rates


def test_trials_are_judged_in_a_row_and_drawn_anew() -> None:
    slower = [(1.0, 1.2 + number / 1000) for number in range(40)]

    found = rates(slower, drawn=5, seed=1)

    assert (found.trials, found.worse, found.undecided) == (2, 1.0, 0.0)
    assert (found.drawn_trials, found.drawn_worse) == (5, 1.0)


def test_what_is_equal_is_never_worse() -> None:
    equal = [(1.0, 0.99 + number / 1000) for number in range(20)]

    assert rates(equal, drawn=5, seed=1).worse == 0.0


def test_a_real_gateway_that_sleeps_is_found(tmp_path: Path) -> None:
    """With a sleep as long as everything else, so that a busy machine can't hide it."""
    file = tmp_path / "s.json"
    options = ["--pairs", "20", "--turns", "3", "--drawn", "1", "--slowdown", "2"]

    CliRunner().invoke(app, ["sensitivity", *options, "--json", str(file)])

    result = orjson.loads(file.read_bytes())
    assert result["found"]["worse"] == 1.0
    assert result["change"] > 0.5
    assert result["alarms"]["trials"] == 1
