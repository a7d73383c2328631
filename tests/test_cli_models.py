"""``voice-gateway models``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.engine.kokoro import published
from tests.engine.kokoro.file_server import serving
from tests.engine.kokoro.model_files import write_release
from tests.test_cli import run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty place for data, and no settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_GATEWAY_ENGINE__MODELS_DIR", str(tmp_path / "models"))


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of files, and a table of releases that lists just these."""
    folder = tmp_path / "served"
    folder.mkdir()
    release = write_release(folder)
    table = tmp_path / "published.toml"
    lines = [
        'default = "tiny"',
        "[[release]]",
        *(f"{name} = {json.dumps(value)}" for name, value in release if isinstance(value, str)),
    ]
    for section, file in (("graphs.fp32", release.graphs["fp32"]), ("voices", release.voices)):
        lines.append(f"[release.{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in file]
    table.write_text("\n".join(lines))
    monkeypatch.setattr(published, "_TABLE", table)
    return folder


def test_a_model_is_fetched_and_listed(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models" / "kokoro-tiny-fp32"
    with serving(served) as server:
        code, out, err = run(capsys, "models", "get", "kokoro", "--url", server.url)
    assert (code, out) == (0, f"installed: {folder}\n")
    assert err == "tiny.onnx (0 MB)\nvoices.bin (2 MB)\n"

    code, out, _ = run(capsys, "models", "list", "--json")
    assert code == 0
    listing = json.loads(out)
    assert listing["models_dir"] == str(tmp_path / "models")
    (model,) = listing["models"]
    assert model.pop("bytes") > 2e6
    assert model == {
        "name": "kokoro-tiny-fp32",
        "directory": str(folder),
        "error": "",
        "architecture": "kokoro",
        "stand_in": False,
        "graphs": [{"role": "whole", "precision": "fp32", "file": "tiny.onnx"}],
        "variants": [],
        "voices": ["af_heart", "am_adam", "bf_emma", "jf_alpha"],
        "licence": "Apache-2.0",
        "source": "https://example.org/tiny",
    }


def test_a_directory_serves_instead_of_the_network(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("models", "get", "kokoro", "--from", str(served), "--out", "here")
    assert run(capsys, *arguments)[:2] == (0, "installed: here\n")
    assert run(capsys, *arguments)[:2] == (0, "already installed: here\n")
    assert (tmp_path / "here" / "manifest.json").is_file()


def test_no_network_is_one_line_that_says_what_to_do(
    served: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.engine.kokoro import download

    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    code, out, err = run(capsys, "models", "get", "kokoro")  # its base is a closed port
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: cannot fetch http://127.0.0.1:9/tiny.onnx")
    assert "--from DIR" in err


def test_a_dry_run_prints_checksums_and_places(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "get", "kokoro", "--dry-run", "--precision", "int8")
    assert code == 0
    graph, voices = (line.split() for line in out.splitlines())
    assert graph == [
        "ae315a79b623f244700e4afb9246c46a26066782e049ba174bf3ba433970ee9c",
        "114119327",
        "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.1/"
        "kokoro-v1.0.int8.onnx",
    ]
    assert voices[2].endswith("/voices-v1.0.bin")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("piper",), "model: there is no 'piper'; there is kokoro"),
        (("kokoro", "--precision", "int4"), "--precision: 'int4' is none of fp32, fp16, int8"),
        (("kokoro", "--release", "v9"), "release: there is no 'v9'"),
        (("kokoro", "--url", "file:///etc"), "--url: 'file:///etc' should begin with https://"),
    ],
)
def test_a_wrong_wish_is_a_usage_error(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "models", "get", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_a_damaged_model_is_listed_with_its_fault(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "models", "get", "kokoro", "--from", str(served))
    (tmp_path / "models" / "kokoro-tiny-fp32" / "voices.bin").unlink()
    code, out, _ = run(capsys, "models", "list", "--json")
    assert code == 0
    (model,) = json.loads(out)["models"]
    assert "voices.bin is missing" in model["error"]
    assert "voices" not in model
    code, out, _ = run(capsys, "models", "list")
    assert "voices.bin is missing" in " ".join(out.split())


def test_models_are_listed_as_a_table(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "models", "get", "kokoro", "--from", str(served))
    file = tmp_path / "models" / "kokoro-tiny-fp32" / "manifest.json"
    file.write_text(file.read_text().replace('"stand_in": false', '"stand_in": true'))
    _, out, _ = run(capsys, "models", "list")
    head, row = out.splitlines()[:2]
    assert head.split() == ["name", "state", "graphs", "voices", "size", "directory"]
    assert "stand-in: random weights" in row
    assert "whole fp32" in row


def test_no_models_say_how_to_get_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "models", "list")
    assert code == 0
    assert out == (
        f"no models in {tmp_path}/models; fetch one with: voice-gateway models get kokoro\n"
    )


@pytest.mark.parametrize("command", ["get", "list"])
def test_each_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "models", command, "--help")
    assert code == 0
    assert f"voice-gateway models {command}" in out
