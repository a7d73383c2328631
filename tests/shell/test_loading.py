"""Engines that load at different speeds, fail, or are not wanted; what clients see meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.app import EngineFactory, Gateway, create_app, engines_of
from gateway.engine.base import Voice
from gateway.errors import SetupError
from gateway.settings import EngineSettings, Settings
from tests.engine.scripted import ScriptedEngine
from tests.shell.asgi import Client


class Gated(ScriptedEngine):
    """Starts when ``gate`` opens; its voices are called after it."""

    def __init__(self, name: str, *, stand_in: bool = False) -> None:
        super().__init__(plans_ahead=False)
        self.loaded = threading.Event()
        voice = Voice(f"{name}-voice", name, "en-us", name)
        self.info = replace(
            self.info, name=name, voices=(voice,), default_voice=voice.id, stand_in=stand_in
        )

    def start(self) -> None:
        assert self.loaded.wait(10)


class Failing(ScriptedEngine):
    def __init__(self, error: Exception) -> None:
        super().__init__(plans_ahead=False)
        self.error = error

    def start(self) -> None:
        raise self.error


@asynccontextmanager
async def serving(
    settings: Settings | None = None, **engines: ScriptedEngine
) -> AsyncIterator[tuple[Any, Gateway, httpx.AsyncClient]]:
    def maker(engine: ScriptedEngine) -> EngineFactory:
        return lambda _: engine

    made = {name: maker(engine) for name, engine in engines.items()}
    app = create_app(settings or Settings(), made)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        try:
            yield app, app.state.gateway, client
        finally:
            for engine in engines.values():
                if isinstance(engine, Gated):
                    engine.loaded.set()


async def until(client: httpx.AsyncClient, engine: str, state: str) -> dict[str, Any]:
    """The answer of /readyz once an engine is in a state."""
    async with asyncio.timeout(5):
        while True:
            answer: dict[str, Any] = (await client.get("/readyz")).json()
            if answer["engines"][engine]["state"] == state:
                return answer
            await asyncio.sleep(0.005)


async def test_a_voice_is_ready_as_soon_as_its_engine_is() -> None:
    slow, fast = Gated("slow"), Gated("fast")
    async with serving(slow=slow, fast=fast) as (app, _, client):
        readiness = await client.get("/readyz")
        assert (readiness.status_code, readiness.json()["status"]) == (503, "loading")
        fast.loaded.set()
        answer = await until(client, "fast", "ready")
        assert answer["status"] == "ready"
        assert answer["engines"]["slow"]["state"] == "loading"
        assert (await client.get("/readyz?voice=fast-voice")).status_code == 200
        waiting = await client.get("/readyz?voice=slow-voice")
        assert waiting.status_code == 503
        assert waiting.json()["voice"]["ready"] is False
        assert "slow, which is still loading" in waiting.json()["voice"]["reason"]
        listing = (await client.get("/v1/voices")).json()
        assert listing["default"] == "fast-voice"
        assert listing["loading"] == ["slow"]

        client_1 = Client(app)
        assert (await client_1.open())["default_voice"] == "fast-voice"
        client_1.say(type="start", context="a", voice="slow-voice")
        told = await client_1.hear()
        assert (told["type"], told["code"], told["retry_after_s"]) == ("error", "unavailable", 1.0)
        assert "slow, which is still loading; try again in 1 s" in told["message"]

        slow.loaded.set()
        await until(client, "slow", "ready")
        client_1.say(type="start", context="a", voice="slow-voice")
        assert (await client_1.hear())["voice"] == "slow-voice"
        client_1.say(type="text", context="a", text="hello. ")
        client_1.say(type="end", context="a")
        _, payloads = await client_1.hear_until("done")
        assert payloads
        assert (await client.get("/readyz?voice=slow-voice")).status_code == 200
        listing = (await client.get("/v1/voices")).json()
        assert (listing["default"], listing["loading"]) == ("slow-voice", [])
        await client_1.end()
        metrics = (await client.get("/metrics")).text
        assert "voice_gateway_engines_ready 2.0" in metrics
        assert "voice_gateway_engines_loading 0.0" in metrics
    assert slow.warmed_up
    assert fast.warmed_up
    assert slow.closed
    assert fast.closed


async def test_a_model_that_fails_is_told_loudly_and_the_others_serve(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = Gated("espeak")
    good.loaded.set()
    broken = Failing(SetupError("model.onnx is cut short; get it again"))
    async with serving(ours=broken, espeak=good) as (_, gateway, client):
        await gateway.loaded()
        answer = await until(client, "ours", "failed")
        await until(client, "espeak", "ready")
        assert answer["engines"]["ours"]["reason"] == "model.onnx is cut short; get it again"
        assert answer["problems"] == {"ours": "model.onnx is cut short; get it again"}
        assert answer["engines"]["ours"]["seconds"] >= 0
        assert (await client.get("/readyz")).status_code == 200
        assert "engines_failed 1.0" in (await client.get("/metrics")).text
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [
        "engine ours is not available: model.onnx is cut short; get it again",
        "SERVING WITHOUT ours, which could not be loaded (see above)",
    ]
    assert broken.closed


async def test_our_own_mistake_in_an_engine_does_not_stop_the_others() -> None:
    good = Gated("good")
    good.loaded.set()
    async with serving(bad=Failing(ZeroDivisionError()), good=good) as (_, gateway, client):
        await gateway.loaded()
        answer = await until(client, "bad", "failed")
        assert "ZeroDivisionError" in answer["problems"]["bad"]
        assert gateway.catalogue.default_voice == "good-voice"


async def test_a_warm_up_that_fails_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    class Cold(Gated):
        def warm_up(self) -> None:
            raise ZeroDivisionError

    cold = Cold("cold")
    cold.loaded.set()
    async with serving(cold=cold) as (_, gateway, client):
        await gateway.loaded()
        assert (await client.get("/readyz")).status_code == 200
    assert "engine cold could not be warmed up" in caplog.text


async def test_a_session_without_a_voice_waits_for_the_default_that_the_settings_name() -> None:
    settings = Settings(engine=EngineSettings(default_voice="slow-voice"))
    slow, fast = Gated("slow"), Gated("fast")
    fast.loaded.set()
    async with serving(settings, slow=slow, fast=fast) as (app, _, client):
        assert (await until(client, "fast", "ready"))["status"] == "loading"
        waiting = Client(app)
        assert (await waiting.hear())["type"] == "websocket.accept"
        slow.loaded.set()
        ready = await waiting.hear()
        assert (ready["type"], ready["default_voice"]) == ("ready", "slow-voice")
        await waiting.end()


async def test_a_default_voice_that_nobody_has_is_a_problem_of_the_voices() -> None:
    settings = Settings(engine=EngineSettings(default_voice="nobody"))
    fast = Gated("fast")
    fast.loaded.set()
    async with serving(settings, fast=fast) as (_, _, client):
        listing = await client.get("/v1/voices")  # which waits for the end of loading
        assert listing.status_code == 503
        assert "'nobody'" in listing.json()["message"]
        answer = (await client.get("/readyz")).json()
        assert answer["status"] == "failed"
        assert "engine.default_voice" in answer["problems"]["voices"]


async def test_a_stand_in_does_not_speak_by_default() -> None:
    noise, espeak = Gated("noise", stand_in=True), Gated("espeak")
    noise.loaded.set()
    espeak.loaded.set()
    async with serving(noise=noise, espeak=espeak) as (_, gateway, client):
        await until(client, "noise", "ready")
        await until(client, "espeak", "ready")
        assert gateway.catalogue.default_voice == "espeak-voice"
        assert gateway.catalogue.resolve("noise-voice", None) == ("noise-voice", "en-us")


async def test_what_is_switched_off_is_said_to_be() -> None:
    engine = EngineSettings(models=("/nowhere/model",), espeak={"enabled": False})  # type: ignore[arg-type]
    app = create_app(Settings(engine=engine))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        answer = await until(client, "espeak", "off")
        assert answer["problems"]["espeak"] == "switched off by the settings"
        answer = await until(client, "model", "failed")
        assert answer["problems"]["model"].startswith("there is no model directory /nowhere/model")


def test_models_go_before_espeak_and_are_named_by_their_directories() -> None:
    engine = EngineSettings(models=("kokoro-v1.1-fp32", "/srv/ours/"))
    assert list(engines_of(Settings(engine=engine))) == ["kokoro-v1.1-fp32", "ours", "espeak"]
