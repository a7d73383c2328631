"""Model directories: manifests, verification, and published files as they are."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gateway.engine.kokoro.checksums import CACHE_FILE, ChecksumCache
from gateway.engine.kokoro.install import Order, install
from gateway.engine.kokoro.manifest import MANIFEST_FILE, read_manifest
from gateway.engine.kokoro.store import default_models_dir, model_folders, open_model
from gateway.errors import SetupError
from tests.engine.kokoro.model_files import write_archive, write_release
from tests.engine.kokoro.onnx_bytes import graph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installed model."""
    source = tmp_path / "published"
    source.mkdir()
    release = write_release(source)
    target = tmp_path / "models" / "tiny"
    assert install(Order(release, "fp32", target, source), lambda file: lambda done: None)
    return target


def change(folder: Path, **changes: object) -> None:
    file = folder / MANIFEST_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_model_is_opened_with_all_that_it_holds(folder):
    model = open_model(folder)
    (whole,) = model.graphs("whole")
    assert (whole.precision, whole.details) == ("fp32", {"durations": True})
    assert model.path(whole) == folder / "tiny.onnx"
    assert model.voices.names == ("af_heart", "am_adam", "bf_emma", "jf_alpha")
    assert model.manifest.stand_in is False
    assert model.manifest.source == "https://example.org/tiny"


def test_a_role_that_is_not_there_is_refused(folder):
    with pytest.raises(SetupError, match="has no graph for 'generator'; it has whole"):
        open_model(folder).graphs("generator")


def test_a_missing_file_is_named(folder):
    (folder / "voices.bin").unlink()
    with pytest.raises(SetupError, match=r"voices.bin is missing.*models get kokoro"):
        open_model(folder)


def test_a_file_cut_short_is_told_by_its_size(folder):
    file = folder / "voices.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SetupError, match=r"voices.bin has 2089969 bytes instead of 2089970"):
        open_model(folder)


def test_a_changed_file_is_told_by_its_checksum(folder):
    file = folder / "tiny.onnx"
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    with pytest.raises(SetupError, match=r"tiny.onnx is damaged .* SHA-256 is .* instead of"):
        open_model(folder)


def test_a_checksum_is_remembered_until_the_file_changes(folder):
    open_model(folder)
    cache = folder / CACHE_FILE
    known = json.loads(cache.read_text())
    assert set(known) == {"tiny.onnx", "voices.bin"}
    known["tiny.onnx"][2] = "0" * 64
    cache.write_text(json.dumps(known))
    with pytest.raises(SetupError, match="SHA-256 is 0000"):  # believed, as nothing changed
        open_model(folder)
    os.utime(folder / "tiny.onnx")
    open_model(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"tiny.onnx": 1}', '{"tiny.onnx": [1, 2]}'])
def test_a_damaged_cache_of_checksums_is_ignored(folder, content):
    (folder / CACHE_FILE).write_text(content)
    assert open_model(folder).manifest.name == "tiny"


def test_a_folder_that_can_not_be_written_is_verified_all_the_same(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / f"{CACHE_FILE}.part").mkdir()  # so that no cache can be written, even by root
    digest = ChecksumCache(tmp_path).sha256("file")
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_that_is_a_directory_is_named(folder):
    size = (folder / "voices.bin").stat().st_size
    (folder / "voices.bin").unlink()
    (folder / "voices.bin").mkdir()
    assert size != (folder / "voices.bin").stat().st_size
    with pytest.raises(SetupError, match=r"voices.bin has \d+ bytes instead of"):
        open_model(folder)


def test_no_directory_says_how_to_get_one(tmp_path):
    with pytest.raises(SetupError, match=r"there is no model directory .*models get kokoro"):
        open_model(tmp_path / "none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "voice-gateway-model/2"}, "format 'voice-gateway-model/2' is not"),
        ({"sample_rate": 22_050}, "manifest.json: sample_rate: input should be 24000"),
        ({"graphs": []}, "manifest.json: graphs: "),
        ({"surprise": 1}, "manifest.json: surprise: extra inputs"),
        ({"architecture": "piper"}, "manifest.json: architecture: input should be 'kokoro'"),
        (
            {"voices": [{"file": "../secret", "bytes": 1, "sha256": "0" * 64}]},
            r"voices.0.file: value error, should be a path within",
        ),
        ({"voices": [{"file": "a", "bytes": 1, "sha256": "xyz"}]}, r"voices.0.sha256: "),
        ({"voices": [{"file": "a", "bytes": 0, "sha256": "0" * 64}]}, r"voices.0.bytes: "),
    ],
)
def test_a_wrong_manifest_is_named_with_the_field(folder, changes, message):
    change(folder, **changes)
    with pytest.raises(SetupError, match=message):
        open_model(folder)


def test_a_manifest_that_is_no_json_is_named(folder):
    (folder / MANIFEST_FILE).write_text("{")
    with pytest.raises(SetupError, match=r"manifest.json: the file: invalid JSON"):
        read_manifest(folder)
    (folder / MANIFEST_FILE).unlink()
    with pytest.raises(SetupError, match=r"cannot read .*manifest.json: No such file"):
        read_manifest(folder)


# ── published files as they are ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("kokoro-v1.0.onnx", "fp32"),
        ("kokoro-v1.0.int8.onnx", "int8"),
        ("model_quantized.onnx", "int8"),
        ("model_fp16.onnx", "fp16"),
    ],
)
def test_published_files_need_no_manifest(tmp_path, name, precision):
    (tmp_path / name).write_bytes(graph(tokens="tokens", speech="audio"))
    write_archive(tmp_path / "voices-v1.0.bin")
    model = open_model(tmp_path)
    (whole,) = model.graphs("whole")
    assert (whole.file, whole.precision) == (name, precision)
    assert model.manifest.source == "files without a manifest"
    assert model.voices.default == "af_heart"


def test_the_layout_of_the_hub_is_taken_too(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "voices").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(graph())
    write_archive(tmp_path / "voices" / "all.npz", ("bf_emma",))
    model = open_model(tmp_path)
    assert model.manifest.graphs[0].file == "onnx/model.onnx"
    assert model.voices.names == ("bf_emma",)


def test_a_directory_of_something_else_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(SetupError, match=r"is no model: .* but nothing"):
        open_model(tmp_path)
    (tmp_path / "a.onnx").write_bytes(graph())
    (tmp_path / "b.onnx").write_bytes(graph())
    with pytest.raises(SetupError, match=r"not one .onnx file with voices .*but a.onnx, b.onnx"):
        open_model(tmp_path)


def test_a_model_of_another_contract_is_refused(tmp_path):
    (tmp_path / "piper.onnx").write_bytes(graph(tokens="input"))
    write_archive(tmp_path / "voices.bin")
    with pytest.raises(SetupError, match=r"piper.onnx is not a whole Kokoro graph"):
        open_model(tmp_path)


def test_who_runs_some_graphs_has_only_those_verified(tmp_path, folder):
    (folder / "tiny.onnx").write_bytes(b"damaged")
    assert open_model(folder, roles=("generator",)).manifest.name == "tiny"
    with pytest.raises(SetupError, match=r"tiny.onnx has 7 bytes"):
        open_model(folder, roles=("whole",))
    (folder / "voices.bin").unlink()
    with pytest.raises(SetupError, match=r"voices.bin is missing"):
        open_model(folder, roles=("generator",))


# ── where they lie ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, "HOME/.local/share/voice-gateway/models"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/voice-gateway/models"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "HOME/.local/share/voice-gateway/models"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "HOME/Library/Application Support/voice-gateway/"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/voice-gateway/models"),
    ],
)
def test_models_lie_where_the_system_keeps_data(platform, environ, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    found = default_models_dir(platform, environ)
    assert found.is_relative_to(expected.replace("HOME", "/home/somebody"))
    assert found.name == "models"


def test_only_complete_models_are_found(folder):
    models = folder.parent
    shutil.copytree(folder, models / "b")
    (models / "half-fetched").mkdir()
    (models / "note.txt").write_text("")
    assert [each.name for each in model_folders(models)] == ["b", "tiny"]
    assert model_folders(models / "none") == []
