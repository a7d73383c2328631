"""A gateway on a real port in the test's own loop, with the engine that a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import uvicorn

from gateway import server as shell
from gateway.app import Gateway, create_app
from gateway.engine.base import Engine
from gateway.settings import Settings


@contextlib.asynccontextmanager
async def serving(settings: Settings, engine: Engine) -> AsyncIterator[tuple[str, Gateway]]:
    """Yields (``http://host:port``, the gateway) once it can speak."""
    app = create_app(settings, {engine.info.name: lambda _: engine})
    gateway: Gateway = app.state.gateway
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=shell._limited(shell.HttpProtocol, settings.limits),
        ws=shell._limited(shell.WebSocketProtocol, settings.limits),
        log_config=None,
        access_log=False,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.server.ping_interval_s,
        ws_ping_timeout=settings.server.ping_timeout_s,
        timeout_graceful_shutdown=2,
    )
    server = shell.Server(config, gateway)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not running.done(), running
            await asyncio.sleep(0.01)
        await gateway.loaded()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", gateway
    finally:
        server.should_exit = True
        await running
