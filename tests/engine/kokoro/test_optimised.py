"""Optimised graphs on disk, on a graph of the tiny stand-in."""

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.kokoro import optimised
from gateway.engine.kokoro.checksums import sha256_of
from gateway.engine.kokoro.optimised import (
    cache_folders,
    forget,
    open_optimised,
    processor,
    user_cache,
)
from gateway.engine.kokoro.runtime import running_options
from gateway.errors import SetupError

SOURCE = Path(__file__).parents[2] / "data" / "kokoro-tiny" / "plan.onnx"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    (tmp_path / "model").mkdir()
    return Path(shutil.copy(SOURCE, tmp_path / "model" / "plan.onnx"))


def opened(file: Path):
    return open_optimised(file, sha256_of(file), partial(running_options, 1))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.d"))


def durations(session) -> np.ndarray:
    feed = {
        "input_ids": np.array([[0, 50, 60, 70, 0]], np.int64),
        "lengths": np.array([5], np.int64),
        "style": np.full((1, 256), 0.1, np.float32),
        "speed": np.ones(1, np.float32),
    }
    return np.concatenate([np.ravel(each) for each in session.run(("durations", "asr"), feed)])


def test_the_second_start_takes_what_the_first_one_left(file):
    first, from_cache = opened(file)
    assert not from_cache
    (entry,) = entries(file.parent / ".optimised")
    assert {each.name for each in entry.iterdir()} == {"graph.onnx", "weights", "seal.json"}
    second, from_cache = opened(file)
    assert from_cache
    assert np.array_equal(durations(first), durations(second))


def spoil_weights(entry: Path) -> None:
    data = (entry / "weights").read_bytes()
    (entry / "weights").write_bytes(data[:-1])


def spoil_graph(entry: Path) -> None:
    stat = (entry / "graph.onnx").stat()
    (entry / "graph.onnx").write_bytes(b"x" * stat.st_size)
    os.utime(entry / "graph.onnx", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def spoil_seal(entry: Path) -> None:
    (entry / "seal.json").write_text("{")


def lose_weights(entry: Path) -> None:
    (entry / "weights").unlink()


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_graph, spoil_seal, lose_weights])
def test_a_damaged_entry_is_made_again(file, spoil):
    first, _ = opened(file)
    (entry,) = entries(file.parent / ".optimised")
    spoil(entry)
    again, from_cache = opened(file)
    assert not from_cache
    assert np.array_equal(durations(first), durations(again))
    assert opened(file)[1]


def test_another_content_is_another_entry_and_the_oldest_go(file):
    for digest in ("1", "2", "3"):
        open_optimised(file, digest, partial(running_options, 1))
        for place, entry in enumerate(entries(file.parent / ".optimised")):
            os.utime(entry, ns=(0, entry.stat().st_mtime_ns - 10**9 * (place + 1)))
    kept = entries(file.parent / ".optimised")
    assert len(kept) == 2
    assert open_optimised(file, "3", partial(running_options, 1))[1]


def test_what_a_killed_process_left_is_cleared_away_in_time(file):
    old, new = (file.parent / ".optimised" / f"part-{name}" for name in ("old", "new"))
    for part in (old, new):
        part.mkdir(parents=True)
    os.utime(old, (0, 0))
    opened(file)
    assert not old.exists()
    assert new.exists()


def test_where_the_model_can_not_be_written_the_users_cache_is_taken(file):
    (file.parent / ".optimised").write_text("in the way, so that even root can't write")
    assert not opened(file)[1]
    (entry,) = entries(cache_folders(file.parent)[1])
    assert entry.is_relative_to(user_cache())
    assert opened(file)[1]


def test_where_nothing_can_be_written_the_graph_is_optimised_each_time(file):
    (file.parent / ".optimised").write_text("")
    cache_folders(file.parent)[1].parent.mkdir(parents=True)
    cache_folders(file.parent)[1].write_text("")
    for _ in range(2):
        session, from_cache = opened(file)
        assert not from_cache
        assert len(durations(session))


def test_a_graph_that_does_not_open_leaves_nothing(file):
    file.write_bytes(b"no graph")
    with pytest.raises(SetupError, match="can't open"):
        opened(file)
    assert list((file.parent / ".optimised").iterdir()) == []


def test_everything_can_be_forgotten(file):
    opened(file)
    forget(file.parent)
    assert not (file.parent / ".optimised").exists()
    assert not opened(file)[1]


def test_processors_are_told_apart_by_their_instructions(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: sse2 avx2 avx\n")
    assert optimised.processor.__wrapped__(cpuinfo) == "avx avx2 sse2"
    cpuinfo.write_text("CPU part\t: 0xd0c\nFeatures\t: fp asimd\n")
    assert optimised.processor.__wrapped__(cpuinfo) == "asimd fp"
    assert isinstance(optimised.processor.__wrapped__(tmp_path / "none"), str)
    assert processor() == processor()


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, "/home/somebody/.cache/voice-gateway/optimised"),
        ("linux", {"XDG_CACHE_HOME": "/cache"}, "/cache/voice-gateway/optimised"),
        ("darwin", {}, "/home/somebody/Library/Caches/voice-gateway/optimised"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/voice-gateway/optimised"),
    ],
)
def test_the_users_cache_lies_where_the_system_keeps_such(platform, environ, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user_cache(platform, environ) == Path(expected)
