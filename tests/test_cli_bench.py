"""``voice-gateway bench`` on the tiny stand-in: each figure comes with its reference and ratio."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import main

TINY = Path(__file__).parent / "data" / "kokoro-tiny"


@pytest.mark.parametrize(
    "arguments",
    [("first-audio", "--tokens", "20"), ("throughput", "--sessions", "2")],
    ids=lambda arguments: arguments[0],
)
def test_a_figure_comes_with_its_reference_and_says_that_it_is_of_a_stand_in(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments, "--model", str(TINY), "--rounds", "1", "--json"])
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["stand_in"] is True
    for figure in printed["figures"]:
        assert figure["value"] > 0
        assert figure["ratio"] == pytest.approx(figure["value"] / figure["reference"])
