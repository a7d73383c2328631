"""Placement of a model on this machine: measured, remembered, and given to the engine."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.hardware import Hardware
from gateway.engine.kokoro.engine import KokoroEngine, RenderOptions, kokoro_engine, place
from gateway.engine.kokoro.manifest import Variant, read_manifest, write_manifest
from gateway.engine.kokoro.placement_store import (
    ENTRIES_MAX,
    FILE,
    Measured,
    PlacementStore,
    cache_folder,
    placement_key,
)
from gateway.engine.kokoro.placing import Machine, Placer, this_machine
from gateway.engine.kokoro.store import open_model
from gateway.engine.placement import CPU, STAGES, Choice, Placement, Timing, Trial, Way
from gateway.errors import SetupError
from gateway.settings import Settings
from tests.engine.kokoro.spelling import SpellingReader
from tests.engine.speaking import audio, speak

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"
ONE_CORE = Machine(Hardware("Linux", "x86_64", "test", 1, 1), "1.32.0", (CPU,))
GPU = Machine(Hardware("Linux", "x86_64", "test", 1, 1, ("NVIDIA H100, 570.1",)), "1.32.0", (CPU,))

FAKE_PYTHON = """#!{python}
import json, os, sys
job = json.load(open(sys.argv[3]))
stage = (job["way"] or {{}}).get("stage")
if stage == "plan":
    os.kill(os.getpid(), 11)
if stage == "front":
    sys.exit(0)
if stage == "source":
    timing = {{"frames": 300, "batch": 1, "lanes": 1, "wait_s": 1e-6, "rate": 1e9}}
    with open(job["report"], "w") as report:
        for facts in ({{"error": 7.5}}, {{"timing": timing}}, {{"end": True}}):
            report.write(json.dumps(facts) + "\\n")
    sys.exit(0)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""
"""Children of plan crash, of front say nothing, of source give wrong numbers very fast."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return shutil.copytree(TINY, tmp_path / "model")


def settings(**placement: object) -> Settings:
    return Settings.model_validate({"engine": {"placement": placement}})


def placer(model: Path, machine: Machine = ONE_CORE, **placement: object) -> Placer:
    return Placer(open_model(model), settings(**placement).engine, machine)


def nobody(done: int, count: int, label: str) -> None:
    """No progress is shown."""


def good(stage: str, file: str = "", rate: float = 100.0, **way: object) -> Trial:
    chosen = Way(stage, file or f"{stage}.onnx", **way)  # type: ignore[arg-type]
    return Trial(chosen, (Timing(48, 1, 1, 48 / rate, rate),), error=0.01, memory_bytes=2**27)


def remember(placed: Placer, *trials: Trial, load: float = 0.0) -> None:
    placed._store.write(Measured("2026-11-23 17:00 UTC", load, ONE_CORE.hardware, "1.32.0", trials))


# ── measuring ──────────────────────────────────────────────────────────────────────────────────


def test_children_that_crash_are_silent_or_err_lose_and_the_rest_is_remembered(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(FAKE_PYTHON.format(python=sys.executable))
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    told: list[tuple[int, int, str]] = []
    placed = placer(model, time_limit_s=600, trial_timeout_s=300)
    placement = placed.measure(lambda *progress: told.append(progress))
    reasons = {each.trial.way.stage: (each.won, each.reason) for each in placement.verdicts}
    assert reasons["plan"] == (False, "crashed (SIGSEGV)")
    assert reasons["front"] == (False, "ended without a report")
    assert reasons["source"] == (
        False,
        "differs from fp32 on the CPU by 750.0%; 2% may be",
    )
    assert reasons["generator"] == (True, "fastest")
    assert placement.choices["plan"] == placed.start.choices["plan"]
    assert [progress[:2] for progress in told] == [(0, 4), (0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    again = placer(model).remembered()
    assert again is not None
    assert again.choices == placement.choices
    assert placer(model, GPU).remembered() is None


def test_when_the_time_is_over_the_rest_is_not_tried(model: Path) -> None:
    placement = placer(model, time_limit_s=0.001).measure(nobody)
    assert {verdict.reason for verdict in placement.verdicts} == {
        "not tried: the time limit of 0.001 s was over"
    }
    assert placement.choices == placer(model).start.choices


def test_a_model_that_does_not_run_on_the_cpu_can_not_be_measured(model: Path) -> None:
    with pytest.raises(SetupError, match=r"can't be measured: was not done after 0\.01 s"):
        placer(model, trial_timeout_s=0.01).measure(nobody)


# ── what is served with ────────────────────────────────────────────────────────────────────────


def test_a_first_start_serves_by_the_profile_at_once(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        placement = placer(model).resolve()
    assert placement.source == "profile generic: nothing was measured here"
    assert f"voice-gateway models place {model}" in caplog.text


@pytest.mark.parametrize(("mode", "machine"), [("measure", ONE_CORE), ("auto", GPU)])
def test_a_first_start_measures_if_told_or_if_there_is_an_accelerator(
    mode: str, machine: Machine, model: Path
) -> None:
    placed = placer(model, machine, mode=mode, time_limit_s=0.001)
    assert "not tried" in placed.resolve().verdicts[0].reason
    assert (model / FILE).is_file()


def test_what_was_measured_overrides_the_profile_unless_that_is_wanted(model: Path) -> None:
    remember(placer(model), good("plan", threads=3))
    assert placer(model).resolve().choices["plan"].way.threads == 3
    assert placer(model, mode="profile").resolve().choices["plan"].way.threads == 1


def test_the_decision_follows_the_settings_not_those_of_the_measurement(model: Path) -> None:
    int8 = good("generator", "generator.int8.onnx", 250.0, precision="int8", distance_db=0.3)
    remember(placer(model), good("generator"), int8)
    near = Settings.model_validate({"engine": {"kokoro": {"distance_max_db": 0.1}}})
    for engine, precision in ((settings().engine, "int8"), (near.engine, "fp32")):
        found = Placer(open_model(model), engine, ONE_CORE).remembered()
        assert found is not None
        assert found.choices["generator"].way.precision == precision


def test_providers_that_are_not_allowed_do_not_serve(model: Path) -> None:
    gpu = good("generator", rate=9000.0, provider="CUDAExecutionProvider")
    remember(placer(model), good("generator"), gpu)
    found = placer(model).remembered()
    assert found is not None
    assert found.choices["generator"].way.provider == CPU
    assert len(found.verdicts) == 1


def test_a_measurement_on_a_busy_machine_says_so(model: Path) -> None:
    remember(placer(model), good("plan"), load=3.4)
    found = placer(model).remembered()
    assert found is not None
    assert "on a busy machine (load 3.4)" in found.source


def test_a_provider_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SetupError, match=r"has no RocmExecutionProvider, but .*CPUExecution"):
        this_machine(["RocmExecutionProvider"])
    assert this_machine([CPU]).providers == (CPU,)


def test_variants_of_the_manifest_are_tried(model: Path) -> None:
    manifest = read_manifest(model)
    stored = manifest.graphs[3].model_dump(include={"bytes", "sha256"})
    shutil.copy(model / "generator.onnx", model / "generator.int8.onnx")
    variant = Variant(file="generator.int8.onnx", precision="int8", distance_db=0.2, **stored)
    write_manifest(model, manifest.model_copy(update={"variants": {"generator": (variant,)}}))
    ways = [way for way in placer(model).ways() if way.precision == "int8"]
    assert [(way.file, way.distance_db) for way in ways] == [("generator.int8.onnx", 0.2)]
    (model / "generator.int8.onnx").write_bytes(b"cut")
    with pytest.raises(SetupError, match=r"generator\.int8\.onnx has 3 bytes"):
        open_model(model)


# ── the engine ─────────────────────────────────────────────────────────────────────────────────


def choice(**way: object) -> Placement:
    choices = {stage: Choice(Way(stage, f"{stage}.onnx")) for stage in STAGES}
    choices["generator"] = Choice(Way("generator", "generator.onnx", **way), 3, 4)  # type: ignore[arg-type]
    return Placement(choices, "test")


def test_the_engine_gets_lanes_batch_and_threads_from_placement() -> None:
    placed = RenderOptions().placed(choice(threads=2), Settings().engine.kokoro)
    assert (placed.lanes, placed.batch_max, placed.render_threads) == (3, 4, 2)
    assert not placed.sizes.equal
    assert RenderOptions().placed(choice(static=True), Settings().engine.kokoro).sizes.equal


def test_lanes_and_threads_that_are_set_stay_as_set() -> None:
    kokoro = Settings.model_validate({"engine": {"kokoro": {"lanes": 7, "plan_threads": 2}}})
    placed = RenderOptions().placed(choice(), kokoro.engine.kokoro)
    assert (placed.lanes, placed.plan_threads) == (7, 2)
    assert {stage: way.threads for stage, way in placed.ways.items()} == {
        "plan": 2, "front": 2, "source": 2, "generator": 1,
    }  # fmt: skip


def started(model: Path, placed: Callable[[object], RenderOptions]) -> KokoroEngine:
    engine = KokoroEngine(model, SpellingReader(), place=placed)
    engine.start()
    return engine


def test_an_engine_starts_as_it_was_placed(model: Path) -> None:
    base = RenderOptions()
    engine = started(model, lambda _: base.placed(choice(static=True), Settings().engine.kokoro))
    assert (engine.info.lanes, engine.info.batch_max) == (3, 4)
    plain = KokoroEngine(model, SpellingReader())
    plain.start()
    heard, expected = (audio(speak(each, "hello there")) for each in (engine, plain))
    engine.close()
    plain.close()
    assert np.abs(heard - expected).max() < 1e-4


def test_what_does_not_open_any_more_is_run_on_the_cpu(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    way = Way("generator", "generator.int8.onnx", precision="int8")
    engine = started(model, lambda _: RenderOptions(lanes=5, ways={"generator": way}))
    assert engine.info.lanes == 1
    assert len(audio(speak(engine, "hello"))) > 0
    engine.close()
    assert "so all runs on the CPU" in caplog.text


def test_a_model_of_ours_is_placed_by_its_settings(model: Path) -> None:
    options = place(open_model(model), settings(mode="profile").engine, RenderOptions())
    assert options.ways["generator"].file == "generator.onnx"
    assert kokoro_engine(model, settings(mode="profile").engine) is not None


# ── remembering ────────────────────────────────────────────────────────────────────────────────


def measured(*trials: Trial) -> Measured:
    return Measured("now", 0.5, ONE_CORE.hardware, "1.32.0", trials)


def test_what_is_remembered_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = measured(good("plan"), Trial(Way("front", "f"), fault="crashed (SIGSEGV)"))
    assert PlacementStore(tmp_path, "a", tmp_path / "cache").write(kept) == tmp_path / FILE
    assert PlacementStore(tmp_path, "a", tmp_path / "cache").read() == kept
    assert PlacementStore(tmp_path, "b", tmp_path / "cache").read() is None


def test_a_read_only_model_is_remembered_in_the_users_cache(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.write_text("a file, so nothing can be written below it, even by root")
    store = PlacementStore(folder, "a", tmp_path / "cache")
    assert store.write(measured()) == store.files[1]
    assert store.read() == measured()
    nowhere = PlacementStore(folder, "a", folder / "cache")
    assert nowhere.write(measured()) is None
    assert nowhere.read() is None


def test_machines_that_share_a_model_keep_their_own_the_latest_of_them(tmp_path: Path) -> None:
    for i in range(ENTRIES_MAX + 2):
        PlacementStore(tmp_path, f"machine {i}", tmp_path).write(measured(good("plan", rate=i + 1)))
    kept = json.loads((tmp_path / FILE).read_text())["measured"]
    assert list(kept) == [f"machine {i}" for i in range(2, ENTRIES_MAX + 2)]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "placement/0", "measured": {}}'])
def test_a_file_that_can_not_be_read_counts_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    store = PlacementStore(tmp_path, "a", tmp_path / "cache")
    assert store.read() is None
    assert store.write(measured()) is not None
    assert store.read() == measured()


def test_the_key_changes_with_whatever_a_measurement_depends_on() -> None:
    hardware = ONE_CORE.hardware
    driver = Hardware("Linux", "x86_64", "test", 1, 1, ("NVIDIA H100, 571.0",))
    keys = {
        placement_key(hardware, "1.32.0", [CPU], ["ab"]),
        placement_key(GPU.hardware, "1.32.0", [CPU], ["ab"]),
        placement_key(driver, "1.32.0", [CPU], ["ab"]),
        placement_key(hardware, "1.33.0", [CPU], ["ab"]),
        placement_key(hardware, "1.32.0", [CPU, "CUDAExecutionProvider"], ["ab"]),
        placement_key(hardware, "1.32.0", [CPU], ["ac"]),
    }
    assert len(keys) == 6
    assert placement_key(hardware, "1.32.0", [CPU], ["ab"]) in keys


def test_the_cache_lies_where_each_system_keeps_such(tmp_path: Path) -> None:
    linux = cache_folder("linux", {"XDG_CACHE_HOME": "/var/cache/me"})
    assert linux == Path("/var/cache/me/voice-gateway/placement")
    assert cache_folder("linux", {"XDG_CACHE_HOME": "relative"}).parts[-3] == ".cache"
    assert cache_folder("darwin", {}).parts[-4:-2] == ("Library", "Caches")
    assert cache_folder("win32", {"LOCALAPPDATA": "/local"}).parts[:2] == ("/", "local")
