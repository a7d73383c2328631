"""What this machine is, and what others would say of themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gateway.engine.hardware import (
    Hardware,
    ask,
    detect,
    load_average,
    memory_of,
    peak_memory_bytes,
    processor_name,
    usable_cores,
)


def test_this_machine_has_cores_and_a_name() -> None:
    found = detect(["CPUExecutionProvider"])
    assert 1 <= found.fast_cores <= found.cores
    assert found.accelerators == ()
    assert f"{found.cores} cores" in found.summary


def test_accelerators_are_asked_for_only_if_one_could_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 570.1, 81559 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert detect(["CUDAExecutionProvider"]).accelerators == ("NVIDIA H100, 570.1, 81559 MiB",)
    assert detect(["CPUExecutionProvider"]).accelerators == ()


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000", 1), ("max 100000", None)])
def test_a_containers_quota_narrows_the_cores(
    quota: str, cores: int | None, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    without = usable_cores(tmp_path / "none")
    assert usable_cores(tmp_path / "cpu.max") == (cores or without)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor : 0\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd40\n", "Neoverse V1 (Graviton3)"),
        ("CPU part\t: 0xfff\n", "Arm part 0xfff"),
    ],
)
def test_processors_are_named_as_the_system_knows_them(
    text: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_name(tmp_path / "cpuinfo") == name


def test_a_tool_that_fails_says_nothing() -> None:
    assert ask(("no-such-tool",)) == ""
    assert ask(("false",)) == ""


def test_memory_is_that_of_the_process() -> None:
    own = memory_of(os.getpid())
    assert 2**20 < own <= peak_memory_bytes() * 1.1
    assert memory_of(2**22 + 1) == 0
    assert load_average() >= 0


def test_hardware_sums_itself_up() -> None:
    assert Hardware("Linux", "riscv64", "", 4, 4).summary == "riscv64, 4 cores"
