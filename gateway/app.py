"""The composition root: everything is made here, and handed to whoever needs it.

    /              the demo page                /healthz   the process lives
    /v1/speak      WebSocket, voice.v1          /readyz    it can speak
    /v1/voices     voices as JSON               /metrics   for Prometheus

Sessions, engines and codecs do not know one another; this file lends each what it needs as plain
callables.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gateway import __version__
from gateway.codecs.catalog import make_codec
from gateway.codecs.track import Track
from gateway.engine.base import Engine
from gateway.engine.cache import ChunkCache
from gateway.engine.catalogue import Catalogue
from gateway.engine.dispatcher import Dispatcher
from gateway.engine.espeak import EspeakEngine
from gateway.engine.job import Job
from gateway.errors import SetupError, Unavailable
from gateway.ops.metrics import Metrics
from gateway.session.conversation import Conversation
from gateway.session.endpoint import SpeakEndpoint
from gateway.session.events import CodecOptions
from gateway.session.http import ListingEndpoint, SpeechEndpoint
from gateway.session.parking import LocalParkingLot, ParkingLot
from gateway.session.protocol import Capabilities, Resolved
from gateway.session.registry import Member, Registry
from gateway.session.runner import Services
from gateway.session.ticker import Ticker
from gateway.settings import Settings
from gateway.text.chunker import Chunker
from gateway.wire.base import ListingRoute, SocketRoute, SpeechRoute, Voices
from gateway.wire.table import ROUTES

logger = logging.getLogger(__name__)

EngineFactory = Callable[[Settings], Engine | None]
"""Makes an engine, or None if the settings switch it off."""

ENGINES: dict[str, EngineFactory] = {
    "espeak": lambda settings: (
        EspeakEngine(settings.engine.espeak) if settings.engine.espeak.enabled else None
    ),
}
"""The engines that can be loaded; an engine that cannot start here is reported and left out."""


class Gateway:
    """One process's gateway: made once, started inside a running loop."""

    def __init__(self, settings: Settings, engines: Mapping[str, EngineFactory] = ENGINES) -> None:
        self.settings = settings
        self._factories = engines
        self.metrics = Metrics()
        self.registry: Registry[Member] = Registry(settings.limits.sessions_max, self._check_load)
        self.lot: ParkingLot[Conversation] = LocalParkingLot(settings.limits.parked_sessions_max)
        self.problems: dict[str, str] = {}
        self._catalogue: Catalogue | None = None
        self._dispatcher: Dispatcher | None = None
        self._engines: tuple[Engine, ...] = ()
        self._loading: asyncio.Task[None] | None = None
        self._ticker: Ticker | None = None

    # ── life ───────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to load the engines; the port may answer meanwhile."""
        self._ticker = Ticker(self.settings.server.tick_s, self.metrics.lateness)
        self._loading = asyncio.create_task(self._load())
        self._drain_began = asyncio.get_running_loop().create_future()
        self.metrics.gauge("sessions_open", "Sessions open now", lambda: len(self.registry))
        self.metrics.gauge(
            "sessions_parked", "Of those, sessions that lost their client", lambda: self.lot.parked
        )
        self.metrics.gauge(
            "work_queued", "Pieces of work that wait for a lane", lambda: self.queued_work
        )
        self.metrics.gauge(
            "lane_utilisation",
            "Share of its lanes' time that the busiest engine spent in the last half minute",
            lambda: 0.0 if self._dispatcher is None else self._dispatcher.utilisation(),
        )

    async def _load(self) -> None:
        engines = await asyncio.gather(*(self._start_engine(name) for name in self._factories))
        self._engines = tuple(engine for engine in engines if engine is not None)
        try:
            catalogue = Catalogue(self._engines, self.settings.engine.default_voice)
        except SetupError as error:
            self.problems["voices"] = error.message
            logger.error("%s", error.message)
            return
        engine_settings = self.settings.engine
        self._dispatcher = Dispatcher(
            self._engines,
            catalogue.engine_of,
            ChunkCache(engine_settings.cache_bytes_max),
            self.metrics,
            queue_max=engine_settings.queue_max,
            retries_max=engine_settings.espeak.retries_max,
            utilisation_max=engine_settings.utilisation_max,
        )
        self._catalogue = catalogue
        # What is loaded stays; without this the collector walks it all for some 50 ms at a time.
        gc.collect()
        gc.freeze()

    async def _start_engine(self, name: str) -> Engine | None:
        engine = self._factories[name](self.settings)
        if engine is None:
            self.problems[name] = "switched off by the settings"
            return None
        try:
            await asyncio.to_thread(engine.start)
        except SetupError as error:
            self.problems[name] = error.message
            logger.warning("engine %s is not available: %s", name, error.message)
            return None
        return engine

    async def loaded(self) -> None:
        """Wait until the engines are loaded; raises Unavailable if there is no voice at all.

        Raises Draining if the gateway shuts down meanwhile.
        """
        assert self._loading is not None
        if not self._loading.done():
            await asyncio.wait(
                (self._loading, self._drain_began), return_when=asyncio.FIRST_COMPLETED
            )
            self.registry.check_room()
        if self._catalogue is None:
            raise Unavailable(f"no voice could be loaded: {'; '.join(self.problems.values())}")

    async def close(self) -> None:
        """End everything; idempotent."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        if self._ticker is not None:
            self._ticker.close()
        if self._dispatcher is not None:
            await self._dispatcher.close()
        for engine in self._engines:
            await asyncio.to_thread(engine.close)

    def begin_drain(self) -> None:
        """Let nobody in, and let everybody finish their speech."""
        self.registry.draining = True
        if not self._drain_began.done():
            self._drain_began.set_result(None)
        for connection in self.registry.members:
            connection.drain()

    def _check_load(self, sessions: int) -> None:
        if self._dispatcher is not None:
            self._dispatcher.check_load(sessions)

    # ── what others read ───────────────────────────────────────────────────────────────────────

    @property
    def ready(self) -> bool:
        """Whether a session that comes now can be served."""
        return self._catalogue is not None and not self.registry.draining

    @property
    def status(self) -> str:
        """``loading``, ``ready``, ``failed`` (nothing to speak with) or ``draining``."""
        if self.registry.draining:
            return "draining"
        if self._catalogue is not None:
            return "ready"
        return "failed" if self._loading is not None and self._loading.done() else "loading"

    @property
    def catalogue(self) -> Catalogue:
        """The voices; valid once ``loaded`` has returned."""
        assert self._catalogue is not None
        return self._catalogue

    def voices(self) -> Voices:
        """What listings may tell; valid once ``loaded`` has returned."""
        return Voices(self.catalogue.voices, self.catalogue.default_voice)

    @property
    def queued_work(self) -> int:
        """Pieces of work that wait for a lane."""
        return 0 if self._dispatcher is None else self._dispatcher.queued

    def services(self) -> Services:
        """What connections are lent; valid once ``loaded`` has returned."""
        dispatcher = self._dispatcher
        assert dispatcher is not None
        assert self._ticker is not None
        return Services(
            settings=self.settings,
            metrics=self.metrics,
            ticker=self._ticker,
            open_track=self._open_track,
            submit=lambda request, track, deliver, fail: dispatcher.submit(
                Job(request, track, deliver, fail)
            ),
            withdraw=dispatcher.withdraw,
        )

    def capabilities(self) -> Capabilities:
        """What sessions are lent; valid once ``loaded`` has returned."""
        return Capabilities(
            resolve_voice=lambda voice, language: Resolved(
                *self.catalogue.resolve(voice, language)
            ),
            check_codec=_preskip_of(self.settings),
            make_chunker=lambda language, text: Chunker(text, language),
        )

    def _open_track(self, options: CodecOptions) -> Track:
        return Track(
            make_codec(
                options.name,
                sample_rate=options.sample_rate,
                frame_duration_ms=options.frame_duration_ms,
                bitrate=options.bitrate,
                settings=self.settings.audio,
            )
        )


def _preskip_of(settings: Settings) -> Callable[[CodecOptions], int]:
    @lru_cache(maxsize=256)
    def preskip_samples(options: CodecOptions) -> int:
        codec = make_codec(
            options.name,
            sample_rate=options.sample_rate,
            frame_duration_ms=options.frame_duration_ms,
            bitrate=options.bitrate,
            settings=settings.audio,
        )
        return codec.info.preskip_samples

    return preskip_samples


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────


def demo_directory() -> Path | None:
    """The demo page: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    for candidate in (package / "_demo", package.parent / "web" / "demo"):
        if (candidate / "index.html").is_file():
            return candidate
    return None


class _FreshFiles(StaticFiles):
    """Static files that a browser asks about every time, so that an upgrade shows at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__})


async def _readyz(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    return JSONResponse(
        {"status": gateway.status, "sessions": len(gateway.registry), "problems": gateway.problems},
        status_code=200 if gateway.ready else 503,
    )


async def _metrics(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    text = await asyncio.to_thread(gateway.metrics.exposition)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _voices(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    try:
        await gateway.loaded()
    except Unavailable as error:
        return JSONResponse({"code": error.code, "message": error.message}, status_code=503)
    catalogue = gateway.catalogue
    return JSONResponse(
        {
            "default": catalogue.default_voice,
            "voices": [asdict(voice) for voice in catalogue.voices],
        }
    )


def _wire_routes(gateway: Gateway) -> Iterator[BaseRoute]:
    """One endpoint for each path and kind, with the protocols that share it."""
    for path in dict.fromkeys(route.path for route in ROUTES):
        there = [route for route in ROUTES if route.path == path]
        if sockets := [route for route in there if isinstance(route, SocketRoute)]:
            yield WebSocketRoute(path, SpeakEndpoint(gateway, sockets))
        if speeches := [route for route in there if isinstance(route, SpeechRoute)]:
            yield Route(path, SpeechEndpoint(gateway, speeches).answer, methods=["POST"])
        if listings := [route for route in there if isinstance(route, ListingRoute)]:
            yield Route(path, ListingEndpoint(gateway, listings).answer, methods=["GET"])


def create_app(settings: Settings, engines: Mapping[str, EngineFactory] = ENGINES) -> Starlette:
    """The ASGI application; its engines load when its lifespan begins."""
    gateway = Gateway(settings, engines)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gateway.start()
        try:
            yield
        finally:
            await gateway.close()

    routes: list[BaseRoute] = [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
        Route("/v1/voices", _voices),
        *_wire_routes(gateway),
    ]
    demo = demo_directory()
    if settings.server.demo and demo is not None:
        routes.append(Mount("/", _FreshFiles(directory=demo, html=True)))
    middleware = []
    if settings.server.allowed_origins:
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=list(settings.server.allowed_origins))
        )
    app = Starlette(routes=routes, lifespan=lifespan, middleware=middleware)
    app.state.gateway = gateway
    return app
