"""``--model``: of serve, voices and say, on the tiny stand-in."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.cli.local import serve_command
from gateway.cli.options import model_overrides
from gateway.phases import phase
from gateway.server import _JsonLines
from gateway.settings import load

TINY = str(Path(__file__).parent / "data" / "kokoro-tiny")

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


def test_models_of_the_command_line_replace_those_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "voice-gateway.toml"
    file.write_text('[engine]\nmodels = ["old"]\n')
    assert load(file).engine.models == ("old",)
    flags = ["--model", "/srv/a, b", "--model", 'say "hi"']
    code, out, _ = run(capsys, "serve", *flags, "--print-config")
    assert code == 0
    assert 'models = ["/srv/a, b", "say \\"hi\\""]' in out
    assert model_overrides(None) == []


def test_more_models_than_a_process_should_hold_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [part for number in range(17) for part in ("--model", f"m{number}")]
    code, _, err = run(capsys, "serve", *flags)
    assert code == 1
    assert "engine.models" in err
    assert "16" in err


def test_the_voices_of_models_are_listed_and_what_fails_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ("--model", TINY, "--model", "/nowhere/ours")
    code, out, err = run(capsys, "voices", *flags, "--json")
    assert code == 0
    listing = json.loads(out)
    voices = {voice["id"]: voice for voice in listing["voices"]}
    assert voices["af_alpha"]["engine"] == "kokoro-tiny"
    assert "random weights" in voices["af_alpha"]["description"]
    assert listing["default"] == "en-us"  # never a stand-in, unless it is chosen
    assert "warning: ours: there is no model directory /nowhere/ours" in err


def test_a_stand_in_speaks_by_default_if_it_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--model", TINY, "--set", "engine.default_voice=am_gamma")
    code, out, _ = run(capsys, "voices", *flags, "--json")
    assert (code, json.loads(out)["default"]) == (0, "am_gamma")


def test_say_speaks_with_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--model", TINY, "--voice", "af_alpha", "--out", "a.wav", "--json")
    code, out, err = run(capsys, "say", "One, two, three.", *flags)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["voice"] == "af_alpha"
    assert result["audio_s"] > 0.3
    assert (tmp_path / "a.wav").stat().st_size > 10_000


def test_a_gateway_for_a_command_gets_models_and_settings() -> None:
    assert serve_command("1234", ["a", "b"], "log.json_lines=true")[1:] == [
        *("-m", "gateway", "serve", "--host", "127.0.0.1", "--port", "1234"),
        *("--model", "a", "--model", "b", "--set", "log.json_lines=true"),
    ]


def test_phases_of_starting_are_a_field_of_the_log() -> None:
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.Logger("starting")
    logger.addHandler(Keeping())
    phase(logger, "verify", "model %s is sound", "ours")
    logger.info("something else")
    first, second = (json.loads(_JsonLines().format(record)) for record in records)
    assert (first["phase"], first["message"]) == ("verify", "model ours is sound")
    assert "phase" not in second
