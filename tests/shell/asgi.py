"""A gateway and its clients in one process, without sockets: ASGI messages in queues."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.applications import Starlette

from gateway.app import Gateway, create_app
from gateway.session.socket import EXTENSION
from gateway.settings import Settings
from gateway.wire.audio_header import AudioHeader, unpack_message
from tests.engine.scripted import ScriptedEngine


class Client:
    """One WebSocket as the application sees it."""

    def __init__(self, app: Starlette, **scope: Any) -> None:
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()
        self.aborted = asyncio.Event()
        self.sent_by_gateway = 0
        self.send_delay_s = 0.0
        self._scope = {
            "type": "websocket",
            "path": "/v1/speak",
            "query_string": b"",
            "headers": [],
            "subprotocols": ["voice.v1"],
            "extensions": {EXTENSION: {"abort": self.abort}},
            **scope,
        }
        self._inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(self._scope, self._inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        if self.send_delay_s:
            await asyncio.sleep(self.send_delay_s)
        if self.aborted.is_set():
            raise OSError("the transport is gone")
        self.sent_by_gateway += 1
        self.received.put_nowait(message)

    def abort(self) -> None:
        self.aborted.set()
        self.disconnect(1006)

    def disconnect(self, code: int = 1005) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})

    def say(self, **message: object) -> None:
        self.say_text(orjson.dumps(message).decode())

    def say_text(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    def say_bytes(self, data: bytes) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": data})

    async def hear(self) -> Any:
        """The next message: a dict for JSON, (header, payloads) for audio, an int for a close."""
        message = await asyncio.wait_for(self.received.get(), 5)
        if message["type"] == "websocket.accept":
            return message
        if message["type"] == "websocket.close":
            return message["code"]
        if message.get("text") is not None:
            return orjson.loads(message["text"])
        return unpack_message(message["bytes"])

    async def hear_until(self, kind: str) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Messages up to the first of type ``kind``, and the payloads of the audio between."""
        messages: list[dict[str, Any]] = []
        payloads: list[bytes] = []
        while True:
            heard = await self.hear()
            if isinstance(heard, tuple):
                assert isinstance(heard[0], AudioHeader)
                payloads += heard[1]
                continue
            messages.append(heard)
            if heard["type"] == kind:
                return messages, payloads

    async def open(self) -> dict[str, Any]:
        """Swallow accept and ready; returns ready."""
        accept = await self.hear()
        assert accept["type"] == "websocket.accept"
        ready: dict[str, Any] = await self.hear()
        assert ready["type"] == "ready", ready
        return ready

    async def end(self) -> None:
        """Hang up, and wait until the application has noticed."""
        self.disconnect()
        await asyncio.wait_for(self.task, 5)


@contextlib.asynccontextmanager
async def running(
    settings: Settings | None = None, engine: ScriptedEngine | None = None
) -> AsyncIterator[tuple[Starlette, Gateway]]:
    """An application in its lifespan, with a scripted engine."""
    scripted = engine or ScriptedEngine(plans_ahead=False, lanes=2)
    app = create_app(settings or Settings(), {"scripted": lambda _: scripted})
    gateway: Gateway = app.state.gateway
    async with app.router.lifespan_context(app):
        await gateway.loaded()
        yield app, gateway
    assert scripted.closed
