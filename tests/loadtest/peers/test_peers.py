"""Drivers against real servers: ours by every protocol, and a peer where it can be made."""

import io
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.peers import environments
from loadtest.peers.drivers import DRIVERS, Target, ends_sentence, piper
from loadtest.peers.environments import environment_folder, python_of
from loadtest.peers.load import Load, run_step
from loadtest.peers.servers import PROTOCOLS, Running, Wish, contender
from loadtest.processes import gateway
from tests.engine.kokoro.onnx_bytes import speaking_graph


async def tokens(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        yield part


def test_our_gateway_is_heard_by_every_protocol() -> None:
    lengths = []
    with gateway() as server:
        running = Running(Target(f"http://127.0.0.1:{server.port}", "en-us"), server.pid)
        for driver in PROTOCOLS:
            step = run_step(driver, running, Load(1, 0.5, 20, 1, settle_s=0.0))
            (outcome,) = step.outcomes
            assert outcome.problem == ""
            assert outcome.first_audio_s is not None
            lengths.append(outcome.speech_s)

    # The same text by each; a protocol may end with a frame of padding more or less.
    assert min(lengths) > 1.0
    assert max(lengths) - min(lengths) < 0.2


def test_a_server_that_is_not_there_is_an_error() -> None:
    result = CliRunner().invoke(
        app, ["peer", "openai", "--url", "http://127.0.0.1:9", "--beside", "", "--loads", "1"]
    )

    assert isinstance(result.exception, ConnectionError)
    assert "does not speak" in str(result.exception)


async def test_piper_gets_a_sentence_at_a_time_and_gives_its_own_rate() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(orjson.loads(request.content)["text"])
        body = io.BytesIO()
        with wave.open(body, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(22_050)
            file.writeframes(bytes(100))
        return httpx.Response(200, content=body.getvalue())

    heard: list[tuple[bytes, int]] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await piper(
            Target("http://piper", ""), tokens("One", " two.", " Three", " four"),
            lambda pcm, rate: heard.append((pcm, rate)), client,
        )  # fmt: skip

    assert asked == ["One two.", "Three four"]
    assert heard == [(bytes(100), 22_050)] * 2


async def test_a_refusal_is_told_with_its_status() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(503, text="busy"))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ExceptionGroup) as caught:
            await DRIVERS["openai"](
                Target("http://x", "v"), tokens("Hello."), lambda *_: None, client
            )

    assert caught.group_contains(ConnectionError, match="status 503: busy")


def test_sentences_end_at_their_marks() -> None:
    assert [ends_sentence(token) for token in ("a", " b,", " c. ", " d?")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_addresses_of_sockets_follow_the_scheme() -> None:
    assert Target("https://a.b/base/", "v").socket_url("/p", x="1 2") == "wss://a.b/base/p?x=1+2"
    assert Target("http://a:1", "v").socket_url("/p").startswith("ws://a:1/p")


@pytest.mark.parametrize(
    ("name", "wish", "says"),
    [
        ("festival", Wish(), "'festival' is no peer"),
        ("kokoro-onnx", Wish(), "give the folder of a model with whole.onnx"),
        ("piper", Wish(), "piper needs the .onnx file of a voice"),
    ],
)
def test_what_a_peer_lacks_is_said(name: str, wish: Wish, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.")):
        contender(name, wish)


@pytest.mark.parametrize("loads", ["", "2,1", "0,1", "1,1", "a"])
def test_loads_rise(loads: str) -> None:
    result = CliRunner().invoke(app, ["peer", "voice.v1", "--loads", loads])

    assert result.exit_code == 2


def test_another_pin_is_another_environment(tmp_path: Path) -> None:
    one = environment_folder("p", b"a==1", tmp_path)

    assert one.parent == tmp_path
    assert one != environment_folder("p", b"a==2", tmp_path)


def test_pins_are_exact() -> None:
    for peer in ("kokoro-onnx", "piper"):
        lines = environments.requirements_of(peer).read_text().split()
        assert all("==" in line for line in lines)


def test_an_installer_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(ChildProcessError, match="failed:\nno wheel"):
        environments._run([sys.executable, "-c", "import sys; sys.exit('no wheel')"])


def test_kokoro_onnx_speaks_beside_us(tmp_path: Path) -> None:
    try:
        python_of("kokoro-onnx")
    except ChildProcessError as error:
        pytest.skip(f"no environment for kokoro-onnx: {error}")
    (tmp_path / "whole.onnx").write_bytes(speaking_graph())
    with (tmp_path / "voices.npz").open("wb") as file:
        np.savez(file, af_test=np.zeros((510, 1, 256), np.float32))

    with contender("kokoro-onnx", Wish(tmp_path, "af_test")).server() as server:
        step = run_step("openai", server, Load(1, 0.5, 20, 1, settle_s=0.0))

    assert [outcome.problem for outcome in step.outcomes] == [""]
    assert step.outcomes[0].speech_s > 0.1
