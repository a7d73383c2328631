"""The command line, in this process against a scripted server, and once for real."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from gateway import __version__
from gateway.cli import main
from gateway.codecs.opus import OpusEncoder
from tests.client.scripted_server import Peer, Script, honest, scripted

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def serving(script: Script = honest, **options: Any) -> Iterator[str]:
    """A scripted server in a thread, as commands run their own event loop."""
    urls: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with scripted(script, **options) as url:
            urls.append(url)
            ready.set()
            await stop.wait()

    def target() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=target)
    thread.start()
    assert ready.wait(5)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


# ── in general ─────────────────────────────────────────────────────────────────────────────────


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"voice-gateway {__version__}\n", "")


@pytest.mark.parametrize("command", ["serve", "say", "voices", "doctor"])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "Example" in out
    assert f"voice-gateway {command}" in out


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "say", "x", "--lowd")
    assert code == 2
    assert "--lowd" in err


def test_help_does_not_load_what_is_heavy() -> None:
    code = (
        "import sys; from gateway.cli import app; "
        "print([m for m in ('numpy', 'websockets', 'uvicorn', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ── serve ──────────────────────────────────────────────────────────────────────────────────────


def test_print_config_shows_the_settings_in_effect(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "serve", "--print-config", "--port", "9", "--host", "::1", "--set", "server.port=8"
    )
    assert code == 0
    assert 'host = "::1"' in out
    assert "\nport = 9\n" in out


def test_a_wrong_setting_is_one_line_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "serve", "--set", "limits.sessions_max=none")
    assert (code, out) == (1, "")
    assert err.startswith("error: setting limits.sessions_max = 'none'")
    assert err.count("\n") == 1


# ── say ────────────────────────────────────────────────────────────────────────────────────────


def test_say_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        code, out, err = run(capsys, "say", "Hello you", "--url", url, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert 0 < result.pop("first_audio_ms") < 5000
    assert 0 < result.pop("first_sound_ms") < 5000
    assert 0 < result.pop("wall_s") < 5
    assert result.pop("jitter_ms") >= 0
    assert result == {
        "voice": "tester",
        "language": "en",
        "codec": "pcm",
        "sample_rate": 8000,
        "audio_s": 0.1,
        "underruns": 0,
        "underrun_s": 0.0,
        "text_chars": 9,
        "chunks": 1,
        "frames": 5,
        "bytes": 1600,
        "out": None,
        "warnings": [],
        "errors": [],
    }


def test_say_prints_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        code, out, _ = run(capsys, "say", "Hello you", "--url", url)
    assert code == 0
    assert out.startswith("0.10 s of speech by tester (en), pcm 8 kHz\nfirst audio after ")
    assert out.endswith("no underruns; 1 chunks, 5 frames, 1.6 kB\n")


def test_say_writes_a_wav_with_every_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as url:
        code, out, _ = run(capsys, "say", "x" * 20, "--url", url, "--out", "a.wav")
    assert code == 0
    assert "→ a.wav" in out
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == 8000
        samples = np.frombuffer(file.readframes(10**6), "<i2")
    assert samples.tolist() == list(range(1600))


async def speak_opus(peer: Peer) -> None:
    """Five frames of Opus, of which the speech ends in the last one."""
    encoder = OpusEncoder(sample_rate=24_000)
    preskip = encoder.info.preskip_samples
    await peer.start(codec="opus", sample_rate=24_000, bitrate=32_000, preskip_samples=preskip)
    await peer.expect("text")
    await peer.expect("end")
    packet = encoder.encode(np.zeros(480, np.float32))
    await peer.send_audio(5, last=True, payload=lambda _: packet)
    await peer.send(
        "done", context="default", generation=0, duration_samples=4320, frames=5, text_offset=1
    )
    await peer.drain()


def test_say_writes_ogg_opus_that_others_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(speak_opus) as url:
        code, out, _ = run(capsys, "say", "x", "--url", url, "--out", "a.opus", "--json")
    assert code == 0
    assert json.loads(out)["audio_s"] == 0.09
    with av.open(str(tmp_path / "a.opus")) as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) == 4320


@pytest.mark.parametrize(
    ("out", "message"),
    [("a.mp3", "must be one of .wav, .opus, .ogg"), ("a.opus", "needs the codec opus, not pcm")],
)
def test_say_refuses_a_file_that_does_not_fit(
    out: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as url:
        code, _, err = run(capsys, "say", "x", "--url", url, "--out", out)
    assert code == 2
    assert message in err
    assert not (tmp_path / out).exists()


def test_say_tells_of_a_file_that_can_not_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        code, _, err = run(capsys, "say", "x", "--url", url, "--out", "no/such/a.wav")
    assert code == 1
    assert "No such file or directory" in err


def test_say_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Füße".encode())))
    with serving() as url:
        code, out, _ = run(capsys, "say", "-", "--url", url, "--json")
    assert code == 0
    assert json.loads(out)["text_chars"] == 4


def test_say_refuses_input_that_is_not_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    with serving() as url:
        code, _, err = run(capsys, "say", "-", "--url", url)
    assert (code, err) == (2, "error: text: standard input is not UTF-8: invalid start byte\n")


def test_say_sends_tokens_at_their_pace(capsys: pytest.CaptureFixture[str]) -> None:
    tokens: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.start()
        while (message := await peer.receive())["type"] == "text":
            tokens.append(message["text"])
        await peer.send_done()

    with serving(script) as url:
        start = time.monotonic()
        run(capsys, "say", "one two three", "--url", url, "--tokens-per-second", "20")
        elapsed = time.monotonic() - start
    assert tokens == ["one", " two", " three"]
    assert elapsed >= 0.1


def test_say_tells_of_no_gateway_with_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "say", "x", "--url", "ws://127.0.0.1:1")
    assert code == 3
    assert err == (
        "error: cannot connect to 127.0.0.1:1: Connection refused; is the gateway running?\n"
    )


def test_say_shows_what_the_gateway_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("start")
        await peer.send("error", code="invalid_value", message="voice: there is none", fatal=False)
        await peer.drain()

    with serving(script) as url:
        code, out, err = run(capsys, "say", "x", "--url", url, "--voice", "nobody")
    assert (code, out, err) == (2, "", "error: voice: there is none\n")


def test_say_fails_if_a_chunk_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.start()
        await peer.send("warning", code="w", message="careful", context="default")
        await peer.send("error", code="engine_crashed", message="chunk 0 died", context="default")
        await peer.send_done()
        await peer.drain()

    with serving(script) as url:
        code, out, err = run(capsys, "say", "x", "--url", url)
    assert code == 1
    assert "first audio after no audio" in out
    assert "warning: careful" in out
    assert err == "error: chunk 0 died\n"


def test_say_shows_its_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal

    async def slow(peer: Peer) -> None:
        await peer.start()
        await peer.send_audio(3)
        await asyncio.sleep(0.3)  # the line is drawn ten times a second
        await peer.send_done()
        await peer.drain()

    with serving(slow) as url:
        code, out, err = run(capsys, "say", "x", "--url", url)
    assert code == 0
    assert "tester: 0.1 s of audio, 0 chunks" in err
    assert "tester:" not in out


def test_say_takes_url_and_key_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []

    def look(_: ServerConnection, request: Request) -> None:
        shown.append(request.headers.get("Authorization"))

    with serving(refuse=look) as url:
        monkeypatch.setenv("VOICE_GATEWAY_URL", url)
        monkeypatch.setenv("VOICE_GATEWAY_API_KEY", "k1")
        assert run(capsys, "say", "x")[0] == 0
    assert shown == ["Bearer k1"]


# ── voices ─────────────────────────────────────────────────────────────────────────────────────

VOICES = {
    "default": "en-us",
    "voices": [
        {
            "id": "en-us",
            "name": "English",
            "language": "en-us",
            "engine": "espeak",
            "gender": "male",
            "description": "",
        },
        {
            "id": "enm",
            "name": "Middle English",
            "language": "enm",
            "engine": "espeak",
            "gender": "",
            "description": "",
        },
    ],
}


def answer(status: HTTPStatus, body: str) -> dict[str, Any]:
    def respond(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, body)

    return {"refuse": respond}


def test_voices_of_a_gateway_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(**answer(HTTPStatus.OK, json.dumps(VOICES))) as url:
        assert json.loads(run(capsys, "voices", "--url", url, "--json")[1]) == VOICES
        code, out, _ = run(capsys, "voices", "--url", url, "--language", "EN")
    assert code == 0
    assert "en-us *" in out
    assert "enm" not in out
    assert "1 voices; * is the default" in out


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (HTTPStatus.UNAUTHORIZED, "no", 1, "API key is missing"),
        (HTTPStatus.SERVICE_UNAVAILABLE, '{"message": "no voice"}', 3, "503 no voice"),
        (HTTPStatus.OK, "<html>", 3, "is not JSON; is it a voice-gateway?"),
    ],
)
def test_a_gateway_that_lists_no_voices_is_explained(
    status: HTTPStatus, body: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(**answer(status, body)) as url:
        found, _, err = run(capsys, "voices", "--url", url)
    assert found == code
    assert message in err


def test_voices_of_nobody_is_a_connection_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "voices", "--url", "127.0.0.1:1")
    assert code == 3
    assert "Connection refused; is the gateway running?" in err


def test_voices_of_this_machine_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "voices", "--json", "--language", "en-us")
    assert code == 0
    listing = json.loads(out)
    assert all(voice["language"].startswith("en-us") for voice in listing["voices"])
    assert listing["default"] in {voice["id"] for voice in listing["voices"]}


def test_without_an_engine_there_is_an_error_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "voices", "--set", "engine.espeak.enabled=false")
    assert (code, out) == (1, "")
    assert "error: no voice: no engine could be started" in err


def test_a_default_voice_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "voices", "--set", "engine.default_voice=nobody")
    assert (code, out) == (1, "")
    assert "error: engine.default_voice: voice: there is no voice 'nobody'" in err


# ── doctor ─────────────────────────────────────────────────────────────────────────────────────


def test_the_doctor_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--set", "server.port=0")
    assert code == 0
    assert "libopus" in out
    assert out.startswith("ok")


def test_the_doctor_fails_on_wrong_settings(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--json", "--set", "server.port=x")
    assert code == 1
    report = json.loads(out)
    assert report["ok"] is False
    assert report["checks"][-1]["status"] == "fail"


# ── for real ───────────────────────────────────────────────────────────────────────────────────


def test_say_with_a_gateway_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, "say", "--local", "One, two, three.", "--out", "real.wav", "--json"
    )
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["codec"] == "opus"
    assert result["underruns"] == 0
    with wave.open(str(tmp_path / "real.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(result["audio_s"], abs=1e-3)
        samples = np.frombuffer(file.readframes(10**7), "<i2")
    assert np.abs(samples).max() > 3000


def test_a_local_gateway_that_does_not_start_gives_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "voice-gateway.toml").write_text("[limits]\nsessions_max = 0\n")
    code, _, err = run(capsys, "say", "x", "--local")
    assert code == 1
    assert "the local gateway did not start: error: setting limits.sessions_max = 0" in err
