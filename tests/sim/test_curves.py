"""Measuring a model's stages; the tiny stand-in, so that the figures mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.curves import BATCHES, TOKENS, main
from tests.sim.hardware import read_hardware

TINY = Path(__file__).parents[1] / "data" / "kokoro-tiny"


def test_what_was_measured_can_be_simulated(tmp_path: Path) -> None:
    file = tmp_path / "curves.json"
    arguments = ["--model", str(TINY), "--lanes", "2", "--calls", "1", "--out", str(file)]
    assert main(arguments) == 0
    hardware = read_hardware(file)
    assert (hardware.name, hardware.lanes) == ("2 x 1 thread", 2)
    assert [size for size, _ in hardware.plan.points] == list(TOKENS)
    assert [batch for batch, _ in hardware.render_batch.points] == list(BATCHES)
    frames = [size for size, _ in hardware.render.points]
    assert frames == sorted(frames)
    assert 200 < frames[-1] < 600
    assert hardware.render_s(frames[-1]) > hardware.render_s(frames[0]) > 0
    assert len(hardware.spread) == 2 * 120
    assert hardware.spread[120] == pytest.approx(1.0, abs=0.1)
