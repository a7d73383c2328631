from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from gateway.app import create_app
from gateway.errors import SetupError, SynthesisError
from gateway.settings import Settings
from tests.engine.scripted import ScriptedEngine
from tests.shell.asgi import Client, running

LOCKED = Settings(server={"api_keys": (SecretStr("k"),)})  # type: ignore[arg-type]


async def refusal(client: Client) -> tuple[dict[str, Any], int]:
    assert (await client.hear())["type"] == "websocket.accept"
    error = await client.hear()
    code = await client.hear()
    await asyncio.wait_for(client.task, 5)
    return error, code


@pytest.mark.parametrize(
    ("scope", "code", "close_code"),
    [
        ({"headers": []}, "unauthorized", 4401),
        ({"headers": [(b"authorization", b"Bearer nonsense")]}, "unauthorized", 4401),
        (
            {"headers": [(b"origin", b"https://evil.example"), (b"host", b"localhost")]},
            "forbidden_origin",
            4403,
        ),
        (
            {"headers": [(b"x-api-key", b"k")], "subprotocols": ["chat"]},
            "protocol_violation",
            1002,
        ),
    ],
)
async def test_a_refused_client_is_told_why(
    scope: dict[str, Any], code: str, close_code: int
) -> None:
    async with running(LOCKED) as (app, gateway):
        error, closed_with = await refusal(Client(app, **scope))
        assert (error["type"], error["code"], error["fatal"]) == ("error", code, True)
        assert closed_with == close_code
        assert len(gateway.registry) == 0
        assert f'refused_total{{code="{code}"}} 1.0' in gateway.metrics.exposition().decode()


@pytest.mark.parametrize(
    "scope",
    [
        {"headers": [(b"authorization", b"Bearer k")]},
        {"query_string": b"api_key=k"},
        {"subprotocols": ["voice.v1", "bearer.k"]},
        {"headers": [(b"x-api-key", b"k")], "subprotocols": []},
    ],
)
async def test_the_right_key_opens_wherever_it_is_shown(scope: dict[str, Any]) -> None:
    async with running(LOCKED) as (app, _):
        client = Client(app, **scope)
        await client.open()
        await client.end()


async def test_the_limit_of_sessions_is_named() -> None:
    settings = Settings(limits={"sessions_max": 1})  # type: ignore[arg-type]
    async with running(settings) as (app, _):
        first = Client(app)
        await first.open()
        error, code = await refusal(Client(app))
        assert (error["code"], error["limit"], code) == ("overloaded", 1, 1013)
        await first.end()
        again = Client(app)
        await again.open()
        await again.end()


def http(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


async def test_health_readiness_voices_and_metrics() -> None:
    async with running() as (app, gateway), http(app) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        readiness = (await client.get("/readyz")).json()
        assert readiness.pop("engines")["scripted"]["state"] == "ready"
        assert readiness == {"status": "ready", "sessions": 0, "problems": {}}
        voices = (await client.get("/v1/voices")).json()
        assert voices["default"] == "v"
        assert [voice["id"] for voice in voices["voices"]] == ["v", "w"]
        metrics = await client.get("/metrics")
        assert "voice_gateway_sessions_open 0.0" in metrics.text
        gateway.begin_drain()
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "draining")


async def test_the_demo_page_is_served_and_asked_for_anew() -> None:
    async with running() as (app, _), http(app) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert "<title>" in page.text
        assert page.headers["cache-control"] == "no-cache"


async def test_the_demo_can_be_left_out() -> None:
    settings = Settings(server={"demo": False})  # type: ignore[arg-type]
    async with running(settings) as (app, _), http(app) as client:
        assert (await client.get("/")).status_code == 404


async def test_other_pages_may_read_the_voices_only_if_allowed() -> None:
    settings = Settings(server={"allowed_origins": ("https://app.example",)})  # type: ignore[arg-type]
    async with running(settings) as (app, _), http(app) as client:
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            answer = await client.get("/v1/voices", headers={"origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is allowed


async def test_a_client_that_waits_for_the_engines_is_told_of_a_drain() -> None:
    loading = threading.Event()

    class SlowEngine(ScriptedEngine):
        def start(self) -> None:
            assert loading.wait(10)

    app = create_app(Settings(), {"slow": lambda _: SlowEngine(plans_ahead=False)})
    async with app.router.lifespan_context(app), http(app) as client:
        waiting = Client(app)
        assert (await waiting.hear())["type"] == "websocket.accept"
        assert (await client.get("/readyz")).json()["status"] == "loading"
        app.state.gateway.begin_drain()
        assert (await waiting.hear())["code"] == "draining"
        assert await waiting.hear() == 1012
        loading.set()


class MuteEngine(ScriptedEngine):
    def start(self) -> None:
        raise SetupError("this engine is not installed")


async def test_without_any_voice_the_gateway_says_what_is_wrong() -> None:
    app = create_app(Settings(), {"mute": lambda _: MuteEngine(plans_ahead=False)})
    async with app.router.lifespan_context(app), http(app) as client:
        response = await client.get("/v1/voices")
        assert response.status_code == 503
        assert "this engine is not installed" in response.json()["message"]
        readiness = await client.get("/readyz")
        assert (readiness.status_code, readiness.json()["status"]) == (503, "failed")
        error, code = await refusal(Client(app))
        assert (error["code"], code) == ("unavailable", 1013)


async def test_an_idle_time_of_its_own_needs_a_key() -> None:
    path = {"path": "/v1/text-to-speech/v/stream-input", "subprotocols": []}
    async with running(LOCKED) as (app, gateway):
        keyless = Client(app, **path, query_string=b"inactivity_timeout=180")
        await keyless.hear()
        known = Client(app, **path, query_string=b"inactivity_timeout=180&authorization=k")
        await known.hear()
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        one, other = gateway.registry.members
        limits_s = [round(each.session.next_timer(now) - now) for each in (one, other)]  # type: ignore[attr-defined]
        assert limits_s == [LOCKED.limits.start_timeout_s, 180]
        await keyless.end()
        await known.end()


async def test_an_adapter_may_hang_up_while_more_is_to_be_said() -> None:
    engine = ScriptedEngine(plans_ahead=False, lanes=2)

    def fail(text: str) -> None:
        if "One" in text:
            raise SynthesisError("no sound came")

    engine.on_text = fail
    async with running(engine=engine) as (app, gateway):
        path = "/v1/text-to-speech/v/stream-input"
        client = Client(app, path=path, query_string=b"auto_mode=true", subprotocols=[])
        await client.hear()
        client.say(text="One is said. And then there is another sentence. ", flush=True)
        client.say(text="")
        assert (await client.hear())["error"] == "synthesis_failed"
        assert await client.hear() == 1008
        await client.end()
        assert len(gateway.registry) == 0
