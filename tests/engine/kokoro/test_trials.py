"""Children that try a way: what they measure, and what becomes of those that misbehave."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.hardware import memory_of
from gateway.engine.kokoro.cases import error_of, make_cases, read_cases, write_cases
from gateway.engine.kokoro.device import Device
from gateway.engine.kokoro.placing import in_turns, trial_of
from gateway.engine.kokoro.runtime import open_session, running_options
from gateway.engine.kokoro.shares import provider_shares, shares_of
from gateway.engine.kokoro.stages import BoundStage
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.trial_process import isolate
from gateway.engine.kokoro.trial_work import Job, feed_for, main
from gateway.engine.kokoro.windows import WindowSizes
from gateway.engine.placement import CPU, STAGES, Share, Timing, Trial, Way

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"
MIB = 2**20


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, make_cases(open_model(TINY), 1, WindowSizes()))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shutil.copytree(TINY, tmp_path / "model")


def tried(cases: Path, way: Way, model: Path = TINY, **changes: object) -> Trial:
    """Do a trial's work in this process."""
    report = cases / "report"
    report.unlink(missing_ok=True)
    facts = {
        "model": model,
        "folder": cases,
        "report": report,
        "timeout_s": 600,
        "measure_s": 0.001,
    }
    job = Job(kind="trial", way=way, **(facts | changes))  # type: ignore[arg-type]
    (cases / "job.json").write_text(job.model_dump_json())
    assert main([str(cases / "job.json")]) == 0
    return trial_of(way, "", report)


# ── what is measured ───────────────────────────────────────────────────────────────────────────


def test_cases_are_what_the_stages_really_get(cases: Path) -> None:
    assert [case.frames for case in read_cases(cases, "generator")] == [16, 48]
    short, long = read_cases(cases, "plan")
    assert short.feed["input_ids"].shape[1] == 21
    assert long.expected["durations"].sum() == long.frames > 3 * short.frames
    assert read_cases(cases, "generator")[0].feed["features"].shape[2] == 32


def test_the_work_of_a_child_writes_cases_too(tmp_path: Path) -> None:
    job = Job(kind="cases", model=TINY, folder=tmp_path, report=tmp_path / "report", timeout_s=60)
    (tmp_path / "job").write_text(job.model_dump_json())
    assert main([str(tmp_path / "job")]) == 0
    assert sorted(file.stem for file in tmp_path.glob("*.npz")) == sorted(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_way_on_the_cpu_is_right_and_takes_time(stage: str, cases: Path) -> None:
    trial = tried(cases, Way(stage, f"{stage}.onnx"))
    assert trial.fault == ""
    assert trial.error is not None
    assert trial.error < 1e-3
    assert all(timing.wait_s > 0 and timing.rate > 0 for timing in trial.timings)
    assert trial.memory_bytes > 10 * MIB


def test_the_longest_window_is_measured_with_all_batches_and_lanes(cases: Path) -> None:
    way = Way("generator", "generator.onnx", lanes=(1, 2), batches=(1, 2))
    loads = [(each.frames, each.batch, each.lanes) for each in tried(cases, way).timings]
    assert loads == [(16, 1, 1), (48, 1, 1), (48, 1, 2), (48, 2, 1), (48, 2, 2)]


def test_on_a_device_windows_are_cut_from_what_lies_there(cases: Path) -> None:
    session = open_session(TINY / "generator.onnx", running_options(1))
    stage = BoundStage(session, Device("cpu", CPU))
    case = read_cases(cases, "generator")[0]
    outputs = stage.run(["audio"], feed_for(stage, case, 2))
    assert outputs[0].shape == (2, 9600)
    assert error_of("generator", {"audio": outputs[0][:1]}, case.expected) < 1e-3


# ── what is wrong ──────────────────────────────────────────────────────────────────────────────


def test_damaged_weights_compute_something_else(cases: Path, model: Path) -> None:
    file = model / "generator.onnx"
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4 * 4
    data[middle : middle + 40_000] = np.full(10_000, 0.5, "<f4").tobytes()
    file.write_bytes(data)
    trial = tried(cases, Way("generator", "generator.onnx"), model)
    assert trial.fault or trial.error is None or trial.error > 1


def test_a_graph_of_another_stage_is_refused(cases: Path) -> None:
    trial = tried(cases, Way("generator", "front.onnx"))
    assert "is not the graph 'generator'" in trial.fault


def test_a_graph_that_does_not_open_says_why(cases: Path, model: Path) -> None:
    (model / "generator.onnx").write_bytes(b"nothing")
    assert "onnxruntime can't open" in tried(cases, Way("generator", "generator.onnx"), model).fault


def test_whatever_is_raised_is_the_ways_fault(cases: Path, tmp_path: Path) -> None:
    fault = tried(cases, Way("plan", "plan.onnx"), folder=tmp_path).fault
    assert fault.startswith("FileNotFoundError: ")


@pytest.mark.parametrize(
    ("stage", "name", "change", "low", "high"),
    [
        ("generator", "audio", lambda a: a * 10, 5.0, 21.0),
        ("generator", "audio", lambda a: a[:, :-1], np.inf, np.inf),
        ("generator", "audio", lambda a: a * np.nan, np.inf, np.inf),
        ("front", "features", lambda a: a * 1.1, 0.099, 0.101),
        ("front", "features", lambda a: a[..., 1:], np.inf, np.inf),
        ("source", "harmonics", lambda a: a * 1.1, 0.099, 0.101),
        ("plan", "f0", lambda a: a * 1.1, 0.099, 0.101),
        ("plan", "durations", lambda a: a + (np.arange(a.shape[1]) == 3), 0.001, 0.1),
    ],
)
def test_each_stages_error_is_seen(stage, name, change, low, high, cases) -> None:
    case = read_cases(cases, stage)[0]
    assert error_of(stage, case.expected, case.expected) == 0
    wrong = dict(case.expected) | {name: change(case.expected[name])}
    assert low <= error_of(stage, wrong, case.expected) <= high


def test_angles_of_a_silent_source_mean_nothing(cases: Path) -> None:
    case = read_cases(cases, "source")[0]
    turned = case.expected["harmonics"].copy()
    turned[:, 11:] += 2 * np.pi
    assert error_of("source", dict(case.expected) | {"harmonics": turned}, case.expected) == 0


# ── children that misbehave ────────────────────────────────────────────────────────────────────


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_child_that_ends_well_has_no_fault() -> None:
    assert isolate(child("print('fine')"), 30, 512 * MIB) == ""


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed (SIGSEGV)"),
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("import sys; print('no driver'); sys.exit(3)", "ended with status 3: …no driver"),
        ("raise RuntimeError('x' * 5000)", "ended with status 1: …x"),
        ("import os; os.kill(os.getpid(), 14)", "hung and ended itself"),
    ],
)
def test_a_child_that_crashes_is_told_of(code: str, fault: str) -> None:
    found = isolate(child(code), 30, 512 * MIB)
    assert found.startswith(fault)
    assert len(found) < 300


def test_a_child_that_hangs_is_ended() -> None:
    began = time.monotonic()
    assert isolate(child("import time; time.sleep(60)"), 0.3, 512 * MIB) == (
        "was not done after 0.3 s"
    )
    assert time.monotonic() - began < 10


def test_a_child_that_takes_too_much_memory_is_ended() -> None:
    fault = isolate(child("x = b'1' * (400 << 20); import time; time.sleep(60)"), 30, 200 * MIB)
    assert "MiB of memory; 200 may be" in fault


def test_a_child_that_ignores_signals_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"p = subprocess.Popen(['sleep', '60']); open({str(tmp_path / 'pid')!r}, 'w').write("
        "str(p.pid)); time.sleep(60)"
    )
    assert "was not done" in isolate(child(code), 1.5, 512 * MIB)
    grandchild = int((tmp_path / "pid").read_text())
    ends = time.monotonic() + 5
    while is_alive(grandchild) and time.monotonic() < ends:
        time.sleep(0.01)  # the signal is sent; the system needs a moment
    assert not is_alive(grandchild)


def is_alive(pid: int) -> bool:
    """Running, not merely unreaped, which has no memory any more."""
    return memory_of(pid) > 0


def test_a_child_gets_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_GATEWAY_API_KEY", "secret")
    code = "import os; assert 'VOICE_GATEWAY_API_KEY' not in os.environ"
    assert isolate(child(code), 30, 512 * MIB) == ""


def test_a_child_that_can_not_be_started_is_told_of() -> None:
    assert isolate(["/no/such/python"], 1, MIB).startswith("can't be started")


def test_what_a_child_found_before_it_crashed_is_kept(tmp_path: Path) -> None:
    report = tmp_path / "report"
    timing = {"frames": 16, "batch": 1, "lanes": 1, "wait_s": 0.1, "rate": 160.0}
    report.write_text(json.dumps({"error": 0.1}) + "\n" + json.dumps({"timing": timing}) + '\n{"ti')
    trial = trial_of(Way("plan", "plan.onnx"), "crashed (SIGSEGV)", report)
    assert (trial.error, trial.fault) == (0.1, "crashed (SIGSEGV)")
    assert trial.timings == (Timing(**timing),)  # type: ignore[arg-type]


def test_a_child_without_a_report_or_with_no_numbers_is_at_fault(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert trial_of(Way("plan", "p"), "", report).fault == "ended without a report"
    report.write_text('{"error": NaN}\n{"end": true}\n')
    trial = trial_of(Way("plan", "p"), "", report)
    assert "no numbers" in trial.fault
    assert trial.error is None


def test_ways_are_tried_in_turns_the_generator_first() -> None:
    ways = [Way(stage, "f", threads=n) for stage in ("plan", "generator") for n in (1, 2)]
    turns = [(way.stage, way.threads) for way in in_turns([*ways, Way("plan", "f", threads=4)])]
    assert turns == [("generator", 1), ("plan", 1), ("generator", 2), ("plan", 2), ("plan", 4)]


# ── which provider ran what ────────────────────────────────────────────────────────────────────


def test_shares_are_counted_by_nodes_and_time() -> None:
    def node(name: str, provider: str, dur: int) -> dict:
        return {
            "cat": "Node",
            "name": f"{name}_kernel_time",
            "dur": dur,
            "args": {"provider": provider},
        }

    events = [
        {"cat": "Session", "name": "model_run", "dur": 999},
        node("part_0", "CoreMLExecutionProvider", 5000),
        node("cast", CPU, 700),
        node("part_0", "CoreMLExecutionProvider", 900),
        node("cast", CPU, 60),
        node("pad", CPU, 40),
        {"cat": "Node", "name": "pad_fence_before", "dur": 3, "args": {}},
    ]
    assert shares_of(events) == [Share("CoreMLExecutionProvider", 1, 0.9), Share(CPU, 2, 0.1)]
    assert shares_of([]) == []


def test_on_this_machine_the_cpu_runs_all_of_it(cases: Path) -> None:
    (share,) = provider_shares(
        TINY / "generator.onnx",
        Way("generator", "generator.onnx"),
        read_cases(cases, "generator")[0],
        cases,
    )
    assert (share.provider, share.time) == (CPU, 1.0)
    assert share.nodes > 100
    assert not list(cases.glob("*.json")) or [f.name for f in cases.glob("*.json")] == ["job.json"]


def test_a_trial_reports_shares_if_asked(cases: Path) -> None:
    trial = tried(cases, Way("front", "front.onnx"), shares=True)
    assert [share.provider for share in trial.shares] == [CPU]
