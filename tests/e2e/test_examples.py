"""The programs in examples/ run as they stand, against a real gateway."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import GatewayProcess

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.timeout(60)


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_a_sentence_is_spoken(gateway: GatewayProcess) -> None:
    said = run("say.py", "Hello there.", gateway.websocket_url)
    assert 0.4 < float(said.split()[0]) < 3.0


def test_the_agent_remembers_what_was_heard(gateway: GatewayProcess) -> None:
    lines = run("agent.py", gateway.websocket_url).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["user", "assistant"] * 2
    interrupted, whole = lines[1], lines[3]
    assert interrupted.startswith("assistant: You")
    assert not re.search("beginning", interrupted)
    assert whole.startswith("assistant: You asked: Was that all?")
    assert whole.rstrip().endswith("from the beginning.")
