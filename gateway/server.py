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
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import State

from gateway import __version__
from gateway.app import Gateway, create_app
from gateway.phases import phase
from gateway.session.rate import TokenBucket
from gateway.session.socket import EXTENSION
from gateway.settings import LimitSettings, LogSettings, Settings

logger = logging.getLogger("gateway.server")

_SWITCH_INTERVAL_S = 0.0005

HARD_MESSAGE_FACTOR = 4
"""Up to this many times ``message_bytes_max`` a message is answered with an error; beyond it the
connection is closed with 1009 before the message is held in memory."""


_PING_BURST_S = 10.0
"""A client may save up pings for so long."""


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which waits for a request no longer than it should."""

    limits = LimitSettings()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected: it must ask for something."""
        super().connection_made(transport)
        self.loop.call_later(self.limits.handshake_timeout_s, self._check_request)

    def _check_request(self) -> None:
        upgraded = self.transport.get_protocol() is not self
        if self.cycle is None and not upgraded:
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which tells the application how to cut it.

    It also withstands what uvicorn does not: pings from a peer that takes no pongs, messages in
    endless fragments, and peers that a close would wait for as they take no byte any more.
    """

    limits = LimitSettings()
    _last_resort: asyncio.TimerHandle | None = None
    _pings: TokenBucket | None = None

    async def run_asgi(self) -> None:
        """Run the application with the extension in its scope."""
        extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
        extensions[EXTENSION] = {"abort": self.transport.abort, "write": self.write}
        await super().run_asgi()
        if self.disconnected:
            return
        # What the peer has not taken by then holds the connection open for nothing.
        self._last_resort = self.loop.call_later(self.close_timeout, self.transport.abort)

    def write(self, message: str | bytes) -> bool:
        """Send a message now, or return False if one must wait for the socket: use ``send`` then.

        ASGI's ``send`` costs a coroutine and a dict for each message.
        """
        if not self.writable.is_set() or self.disconnected or self.close_sent:
            return False
        if self.conn.state is not State.OPEN:  # the peer's close frame came, and is not yet told
            return False
        if isinstance(message, bytes):
            self.conn.send_binary(message)
        else:
            self.conn.send_text(message.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone; without a close frame that is 1006 (RFC 6455, section 7.1.5)."""
        if self.handshake_complete and self.conn.close_rcvd is None and not self.disconnected:
            sent = self.conn.close_sent
            code = CloseCode.ABNORMAL_CLOSURE if sent is None else sent.code
            self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code)})
        if self._last_resort is not None:
            self._last_resort.cancel()
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answer; more than ``pings_per_s_max`` for long end the connection with 1008.

        Their answers leave whether or not the peer reads, so they could pile up for ever.
        """
        if self.close_sent:
            return
        rate = self.limits.pings_per_s_max
        if self._pings is None:
            self._pings = TokenBucket(rate, rate * _PING_BURST_S, self.loop.time())
        if self._pings.take(self.loop.time()) > 0:
            self.conn.fail(CloseCode.POLICY_VIOLATION, f"more than {rate:g} pings a second")
            self.handle_parser_exception()
            return
        super().handle_ping()

    def keepalive_timeout(self) -> None:
        """The peer answers no pings: whatever it has not taken, it will not take."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        """A further fragment; too many of them end the connection with 1009."""
        if self.close_sent:
            return
        if len(self.frames) >= self.limits.fragments_max:
            reason = f"more than {self.limits.fragments_max} fragments"
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, reason)
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A message is complete; text that is not UTF-8 ends the connection with 1007."""
        if self.curr_msg_data_type == "text":
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


class Server(uvicorn.Server):
    """uvicorn's server, but it drains."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._at_once = False

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """End; after a second signal without any goodbye, but the engines are still closed."""
        if self._at_once:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        await super().shutdown(sockets)  # type: ignore[arg-type]

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and say where."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                phase(logger, "listening", "listening on http://%s:%d", shown, port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once.  Runs in the signal handler."""
        if self._loop is None or self._draining is not None or self.should_exit:
            self._at_once = self.should_exit = True
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
        if (name := getattr(record, "phase", None)) is not None:
            line["phase"] = name
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


def _limited(protocol: type[asyncio.Protocol], limits: LimitSettings) -> type[asyncio.Protocol]:
    """uvicorn makes the protocols itself, so what they need to know is part of their class."""
    return type(protocol.__name__, (protocol,), {"limits": limits})


def make_server(settings: Settings) -> Server:
    """A server that is ready to ``serve``."""
    app = create_app(settings)
    server, limits = settings.server, settings.limits
    config = uvicorn.Config(
        app,
        host=server.host,
        port=server.port,
        http=_limited(HttpProtocol, limits),
        ws=_limited(WebSocketProtocol, limits),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        # Speech does not compress; deflate costs 6 to 11 µs a message and 33 KB a connection.
        ws_per_message_deflate=False,
        ws_max_size=limits.message_bytes_max * HARD_MESSAGE_FACTOR,
        ws_ping_interval=server.ping_interval_s,
        ws_ping_timeout=server.ping_timeout_s,
        timeout_graceful_shutdown=2,
    )
    return Server(config, app.state.gateway)


def serve(settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit status."""
    configure_logging(settings.log)
    phase(logger, "imports", "voice-gateway %s starts", __version__)
    # Lane threads give the interpreter back to the loop after this long; by default after 5 ms.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    server = make_server(settings)
    try:
        server.run()
    except SystemExit:
        # uvicorn's way to say that it could not listen; it has logged why.
        return 1
    return 0 if server.started else 1
