"""The README's two clients, as they are printed there."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.browser_page import chromium
from tests.e2e.conftest import GatewayProcess

README = (Path(__file__).parents[2] / "README.md").read_text()


def snippet(language: str, gateway: GatewayProcess) -> str:
    """The first code block of ``language``, pointed at the gateway under test."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.S)
    assert found is not None
    return found[1].replace("127.0.0.1:8000", gateway.url.removeprefix("http://"))


def test_the_python_client_hears_a_sentence(gateway: GatewayProcess) -> None:
    code = snippet("python", gateway)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    samples = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert 24_000 < sum(samples) < 96_000  # 1 to 4 s at 24 kHz
    assert done.stderr == ""


def test_the_browser_client_plays_a_sentence(gateway: GatewayProcess) -> None:
    frames_before = gateway.metric("audio_frames_total")
    faults: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{gateway.url}/healthz")  # any document of the gateway's origin
        page.set_content(snippet("html", gateway))
        page.click("button")
        deadline = time.monotonic() + 15
        # 60 frames are 1.2 s: more than is sent ahead, so the player has reported progress.
        while gateway.metric("audio_frames_total") - frames_before < 60:
            assert time.monotonic() < deadline, faults
            time.sleep(0.1)
    assert faults == []
