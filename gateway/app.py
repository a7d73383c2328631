"""The composition root: everything is made here, and handed to whoever needs it.

    /              the demo page                /healthz   the process lives
    /v1/…, /v2/…   what clients speak           /readyz    it can speak
                   (gateway/wire/table.py)      /metrics   for Prometheus

Sessions, engines and codecs do not know one another; this file lends each what it needs as plain
callables.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gateway import __version__
from gateway.aliases import Aliases
from gateway.codecs.catalog import make_codec
from gateway.codecs.track import Track
from gateway.engine.base import Engine
from gateway.engine.cache import ChunkCache
from gateway.engine.catalogue import Catalogue
from gateway.engine.dispatcher import Dispatcher
from gateway.engine.espeak import EspeakEngine
from gateway.engine.job import Job
from gateway.engine.kokoro.naming import Naming, name_models
from gateway.errors import InvalidValue, Unavailable
from gateway.loading import Engines, State
from gateway.ops.metrics import Metrics
from gateway.phases import phase
from gateway.session.conversation import Conversation
from gateway.session.endpoint import SpeakEndpoint
from gateway.session.events import CodecOptions
from gateway.session.http import ListingEndpoint, SpeechEndpoint
from gateway.session.parking import LocalParkingLot, ParkingLot
from gateway.session.protocol import Capabilities, Resolved
from gateway.session.registry import Member, Registry
from gateway.session.runner import Services
from gateway.session.stream import listen
from gateway.session.ticker import Ticker
from gateway.settings import Settings
from gateway.text import numbers
from gateway.text.chunker import Chunker
from gateway.wire.base import ListingRoute, SocketRoute, SpeechRoute, Voices
from gateway.wire.table import ROUTES

logger = logging.getLogger(__name__)

EngineFactory = Callable[[Settings], Engine | None]
"""Makes an engine, or None if the settings switch it off; may raise SetupError."""


def engines_of(settings: Settings) -> dict[str, EngineFactory]:
    """The engines that the settings ask for, the models first: their voices go before espeak's."""
    engine = settings.engine
    namings = name_models(engine.models, taken=("espeak",))
    models = {naming.engine: _model_factory(model, naming) for model, naming in namings.items()}
    return {**models, "espeak": _make_espeak}


def _make_espeak(settings: Settings) -> Engine | None:
    return EspeakEngine(settings.engine.espeak) if settings.engine.espeak.enabled else None


def _model_factory(model: str, naming: Naming) -> EngineFactory:
    def make(settings: Settings) -> Engine:
        # onnxruntime is a large library: who serves no model need not load it.
        from gateway.engine.kokoro.serving import model_engine

        phase(logger, "onnxruntime", "what runs models is loaded")
        return model_engine(model, settings.engine, naming)

    return make


class Gateway:
    """One process's gateway: made once, started inside a running loop."""

    def __init__(
        self, settings: Settings, engines: Mapping[str, EngineFactory] | None = None
    ) -> None:
        self.settings = settings
        self._factories = engines_of(settings) if engines is None else engines
        self.metrics = Metrics()
        self.registry: Registry[Member] = Registry(settings.limits.sessions_max, self._check_load)
        self.lot: ParkingLot[Conversation] = LocalParkingLot(settings.limits.parked_sessions_max)
        self._engines: Engines | None = None
        self._dispatcher: Dispatcher | None = None
        self._ticker: Ticker | None = None

    # ── life ───────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to load the engines; the port may answer meanwhile."""
        self._ticker = Ticker(self.settings.server.tick_s, self.metrics.lateness)
        self._drain_began = asyncio.get_running_loop().create_future()
        settings = self.settings.engine
        self._dispatcher = Dispatcher(
            (),
            lambda voice: self.catalogue.engine_of(voice),
            ChunkCache(settings.cache_bytes_max),
            self.metrics,
            queue_max=settings.queue_max,
            retries_max=settings.espeak.retries_max,
            utilisation_max=settings.utilisation_max,
        )
        self._engines = Engines(
            {name: partial(make, self.settings) for name, make in self._factories.items()},
            named=frozenset(self._factories) - {"espeak"},
            default_voice=settings.default_voice,
            joined=self._dispatcher.add,
        )
        self._make_gauges(self._engines, self._dispatcher)
        self._preparing = asyncio.create_task(asyncio.to_thread(numbers.prepare))

    def _make_gauges(self, engines: Engines, dispatcher: Dispatcher) -> None:
        gauge = self.metrics.gauge
        gauge("sessions_open", "Sessions open now", lambda: len(self.registry))
        gauge("sessions_parked", "Of those, without their client", lambda: self.lot.parked)
        gauge("work_queued", "Pieces of work that wait for a lane", lambda: dispatcher.queued)
        gauge(
            "lane_utilisation",
            "Share of its lanes' time that the busiest engine spent in the last half minute",
            dispatcher.utilisation,
        )
        loop = asyncio.get_running_loop()
        gauge("event_loop_tasks", "Tasks that have not ended", lambda: len(asyncio.all_tasks(loop)))
        for state in (State.LOADING, State.READY, State.FAILED):
            text = f"Engines whose state is {state}"
            gauge(f"engines_{state}", text, partial(engines.count, state))

    async def loaded(self) -> None:
        """Wait until sessions can be served; raises Unavailable if there is no voice at all.

        Raises Draining if the gateway shuts down meanwhile.
        """
        assert self._engines is not None
        if not self._engines.usable.done():
            await asyncio.wait(
                (self._engines.usable, self._drain_began), return_when=asyncio.FIRST_COMPLETED
            )
            self.registry.check_room()
        if not self.catalogue.usable:
            raise Unavailable(f"no voice could be loaded: {'; '.join(self.problems.values())}")

    async def close(self) -> None:
        """End everything; idempotent."""
        if self._ticker is not None:
            self._ticker.close()
        if self._engines is None or self._dispatcher is None:
            return
        await asyncio.gather(self._engines.settled(), self._preparing)
        await self._dispatcher.close()
        await self._engines.close()

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
        return self.status == "ready"

    @property
    def status(self) -> str:
        """``loading``, ``ready``, ``failed`` (nothing to speak with) or ``draining``."""
        if self.registry.draining:
            return "draining"
        if self._engines is None:
            return "loading"
        if self._engines.catalogue.usable:
            return "ready"
        return "loading" if self._engines.loading else "failed"

    @property
    def problems(self) -> dict[str, str]:
        """Why an engine does not speak, by its name; ``voices``: why nothing does."""
        return {} if self._engines is None else self._engines.problems

    @property
    def engine_facts(self) -> dict[str, dict[str, object]]:
        """State, seconds and reason of each engine."""
        return {} if self._engines is None else self._engines.facts()

    @property
    def catalogue(self) -> Catalogue:
        """The voices so far; there is a default one once ``loaded`` has returned."""
        assert self._engines is not None
        return self._engines.catalogue

    def voices(self) -> Voices:
        """What listings may tell; there is a default voice once ``loaded`` has returned."""
        catalogue = self.catalogue
        return Voices(catalogue.voices, catalogue.default_voice, tuple(catalogue.loading))

    def services(self) -> Services:
        """What connections are lent; valid once ``start`` was called."""
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
            reschedule=dispatcher.reschedule,
        )

    def capabilities(self) -> Capabilities:
        """What sessions are lent; voices are looked up in the catalogue as it is then."""
        aliases = Aliases(
            self.settings.voices, self.catalogue.resolve, lambda: self.catalogue.voices
        )
        return Capabilities(
            resolve_voice=lambda voice, language: Resolved(*aliases.resolve(voice, language)),
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
    """Readiness of the gateway; with ``?voice=``, of that voice as well."""
    gateway: Gateway = request.app.state.gateway
    voice = request.query_params.get("voice")
    ready, answer = gateway.ready, readiness(gateway)
    if voice is not None:
        missing = _why_missing(gateway, voice)
        ready = ready and not missing
        answer["voice"] = {"id": voice, "ready": ready, **({"reason": missing} if missing else {})}
    return JSONResponse(answer, status_code=200 if ready else 503)


def readiness(gateway: Gateway) -> dict[str, object]:
    """What /readyz answers."""
    return {
        "status": gateway.status,
        "sessions": len(gateway.registry),
        "engines": gateway.engine_facts,
        "problems": gateway.problems,
    }


def _why_missing(gateway: Gateway, voice: str) -> str:
    """Why nobody can speak with ``voice`` now; "" if one can."""
    try:
        gateway.catalogue.resolve(voice, None)
    except (InvalidValue, Unavailable) as error:
        return error.message
    return ""


async def _metrics(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    text = await asyncio.to_thread(gateway.metrics.exposition)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


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


def create_app(settings: Settings, engines: Mapping[str, EngineFactory] | None = None) -> Starlette:
    """The ASGI application; its engines load when its lifespan begins."""
    gateway = Gateway(settings, engines)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gateway.start()
        wires = settings.wires
        wyoming = None
        try:
            if wires.wyoming_port is not None:
                wyoming = await listen(gateway, wires.wyoming_host, wires.wyoming_port)
            yield
        finally:
            if wyoming is not None:
                wyoming.close()
            await gateway.close()

    routes: list[BaseRoute] = [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
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
