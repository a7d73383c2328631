"""The server shell: uvicorn with what it lacks.

* It drains.  uvicorn closes every WebSocket at once on SIGTERM; here running speech may finish
  within ``server.drain_timeout_s``, nobody new is let in, and the exit status is 0.  A second
  signal ends at once.
* It can cut a transport.  A client that does not read takes no close frame either, so the ASGI
  scope gets a function that aborts the TCP connection.
"""

from __future__ import annotations

import asyncio
import logging
import logging.config
import signal
import sys
from types import FrameType

import orjson
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.app import Gateway, create_app
from gateway.session.endpoint import ABORT_EXTENSION
from gateway.settings import LogSettings, Settings

logger = logging.getLogger("gateway.server")

HARD_MESSAGE_FACTOR = 4
"""Up to this many times ``message_bytes_max`` a message is answered with an error; beyond it the
connection is closed with 1009 before the message is held in memory."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which tells the application how to cut it."""

    async def run_asgi(self) -> None:
        """Run the application with the extension in its scope."""
        extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
        extensions[ABORT_EXTENSION] = self.transport.abort
        await super().run_asgi()


class Server(uvicorn.Server):
    """uvicorn's server, but it drains."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and say where."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                logger.info("listening on http://%s:%d", shown, port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once.  Runs in the signal handler."""
        if self._loop is None or self._draining is not None or self.should_exit:
            self.should_exit = True
            self.force_exit = True
            return
        self._loop.call_soon_threadsafe(self._begin_drain, signal.Signals(sig).name)

    def _begin_drain(self, reason: str) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(reason))

    async def _drain(self, reason: str) -> None:
        registry = self._gateway.registry
        timeout_s = self._gateway.settings.server.drain_timeout_s
        logger.info("%s: draining %d sessions, at most %g s", reason, len(registry), timeout_s)
        empty = asyncio.Event()
        registry.when_empty(empty.set)
        self._gateway.begin_drain()
        try:
            async with asyncio.timeout(timeout_s):
                await empty.wait()
        except TimeoutError:
            logger.warning("%d sessions did not finish in time and are cut off", len(registry))
        self.should_exit = True


class _JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, object] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure_logging(settings: LogSettings) -> None:
    """Log to standard error, so that standard output stays for data."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonLines()
        if settings.json_lines
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    # Its line for each connection, and for each start-up step, says nothing that we do not say.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def make_server(settings: Settings) -> Server:
    """A server that is ready to ``serve``."""
    app = create_app(settings)
    server, limits = settings.server, settings.limits
    config = uvicorn.Config(
        app,
        host=server.host,
        port=server.port,
        ws=WebSocketProtocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        # Speech does not compress; deflate costs 6 to 11 µs a message and 33 KB a connection.
        ws_per_message_deflate=False,
        ws_max_size=limits.message_bytes_max * HARD_MESSAGE_FACTOR,
        ws_ping_interval=server.ping_interval_s,
        ws_ping_timeout=server.ping_timeout_s,
        timeout_graceful_shutdown=5,
    )
    return Server(config, app.state.gateway)


def serve(settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit status."""
    configure_logging(settings.log)
    server = make_server(settings)
    try:
        server.run()
    except SystemExit:
        # uvicorn's way to say that it could not listen; it has logged why.
        return 1
    return 0 if server.started else 1
