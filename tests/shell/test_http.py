from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpx
import numpy as np
import orjson
import pytest

from gateway import app as app_module
from gateway.app import Gateway
from gateway.codecs.pcm import PcmDecoder
from gateway.errors import GatewayError, InvalidValue, SynthesisError
from gateway.session import events
from gateway.session.exchange import Exchange
from gateway.session.protocol import Session
from gateway.settings import Settings
from gateway.wire.base import (
    Handshake,
    ListingRoute,
    Order,
    Refusal,
    SpeechRoute,
    Voices,
    WireRoute,
)
from gateway.wire.table import ROUTES
from tests.engine.scripted import ScriptedEngine, speech
from tests.shell.asgi import running


class PlainPcm:
    media_type = "audio/pcm"

    def send(self, event: events.ServerEvent) -> Iterable[bytes]:
        return event.payloads if isinstance(event, events.Audio) else ()


def read(handshake: Handshake, body: bytes, _: Settings) -> Order:
    voice = handshake.parameters["voice"]
    start = events.Start("c", voice=None if voice == "any" else voice, codec="pcm", lead_s=np.inf)
    if not body:
        raise InvalidValue("body: there is no text", field="body")
    return Order(start, body.decode(), PlainPcm())


def refuse(error: GatewayError) -> Refusal:
    return Refusal(error.http_status, orjson.dumps({"code": error.code, "field": error.field}))


def answer(_: Handshake, voices: Voices) -> object:
    return {"voices": [voice.id for voice in voices.listed], "default": voices.default}


def is_ours(handshake: Handshake) -> bool:
    return handshake.headers.get("x-wire") == "plain"


PLAIN: tuple[WireRoute, ...] = (
    *ROUTES,
    SpeechRoute("/plain/{voice}", read, refuse, is_ours),
    ListingRoute("/plain", answer, refuse),
)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "ROUTES", PLAIN)


@asynccontextmanager
async def browsing(
    settings: Settings | None = None, engine: ScriptedEngine | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, Gateway]]:
    async with running(settings, engine) as (app, gateway):
        transport = httpx.ASGITransport(app)
        headers = {"x-wire": "plain"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=headers
        ) as client:
            yield client, gateway


async def test_a_request_is_answered_with_all_its_speech_and_faster_than_it_sounds() -> None:
    text = "A first sentence. " + "And then another one, which is longer. " * 20
    async with browsing() as (client, gateway):
        began = asyncio.get_running_loop().time()
        reply = await client.post("/plain/any", content=text)
        took_s = asyncio.get_running_loop().time() - began
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "audio/pcm"
        heard = PcmDecoder("pcm", 24_000).decode(reply.content)
        opening = speech("A first sentence.")
        assert np.abs(heard[: len(opening)] - opening).max() < 1e-4
        assert len(heard) / 24_000 > 10 * took_s
        assert len(gateway.registry) == 0


async def test_what_is_wrong_with_a_request_has_its_own_status() -> None:
    async with browsing() as (client, gateway):
        reply = await client.post("/plain/nobody", content="Hello.")
        assert (reply.status_code, reply.json()["field"]) == (422, "voice")
        reply = await client.post("/plain/any", content="")
        assert (reply.status_code, reply.json()["field"]) == (422, "body")
        reply = await client.post("/plain/any", content="Hello.", headers={"x-wire": "other"})
        assert reply.status_code == 404
        assert len(gateway.registry) == 0


async def test_a_request_that_is_too_long_is_refused() -> None:
    settings = Settings(limits={"request_bytes_max": 1024})  # type: ignore[arg-type]
    async with browsing(settings) as (client, _):
        reply = await client.post("/plain/any", content="x" * 1025)
        assert (reply.status_code, reply.json()["field"]) == (413, "request_bytes_max")


async def test_a_wrong_key_is_refused() -> None:
    settings = Settings(server={"api_keys": ["right"]})  # type: ignore[arg-type]
    async with browsing(settings) as (client, _):
        assert (await client.post("/plain/any", content="Hello.")).status_code == 401
        assert (await client.get("/plain")).status_code == 401
        right = {"authorization": "Bearer right"}
        assert (await client.post("/plain/any", content="Hi.", headers=right)).status_code == 200


async def test_a_listing_tells_of_the_voices() -> None:
    async with browsing() as (client, gateway):
        reply = await client.get("/plain")
        assert reply.json()["default"] == gateway.catalogue.default_voice
        assert gateway.catalogue.default_voice in reply.json()["voices"]


def fail(_: int) -> None:
    raise SynthesisError("no sound came")


async def test_a_failure_before_any_audio_is_an_error() -> None:
    engine = ScriptedEngine(plans_ahead=False, lanes=2)
    engine.on_render = fail
    async with browsing(engine=engine) as (client, gateway):
        reply = await client.post("/plain/any", content="Hello there.")
        assert (reply.status_code, reply.json()["code"]) == (500, "synthesis_failed")
        assert len(gateway.registry) == 0


async def test_a_slow_reader_holds_back_the_synthesis_of_its_own_speech() -> None:
    text = "This sentence is said again and again, as often as it takes. " * 100
    engine = ScriptedEngine(plans_ahead=False, lanes=2)
    uncached = Settings(engine={"cache_bytes_max": 0})  # type: ignore[arg-type]
    async with running(uncached, engine) as (_, gateway):
        session = Session("s", Settings(), gateway.capabilities(), 0.0)
        exchange = Exchange(session, gateway.services())
        exchange.begin(events.Start("c", codec="pcm", lead_s=np.inf), text)
        stream = exchange.answer()
        taken = 0
        while taken < 10_000:
            taken += payload_bytes(await anext(stream))
        await asyncio.sleep(0.3)
        held_back = len(engine.rendered)
        await asyncio.sleep(0.1)
        assert len(engine.rendered) == held_back
        async for event in stream:
            taken += payload_bytes(event)
        assert len(engine.rendered) > 2 * held_back
        assert taken >= 2 * len(speech(text.strip())) * 0.95
        exchange.close()


def payload_bytes(event: events.ServerEvent) -> int:
    return sum(map(len, event.payloads)) if isinstance(event, events.Audio) else 0
