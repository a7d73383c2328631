"""The engines of a gateway, from the start of the first to the end of the last.

    loading ──► ready       its voices join the catalogue, then it is warmed up beside its work
       └──────► failed      the reason is logged and told by /readyz; the others go on
    off                     not wanted by the settings

Each engine starts in a thread of its own, all at once; whoever is ready serves.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from gateway.engine.base import Engine
from gateway.engine.catalogue import Catalogue
from gateway.errors import SetupError
from gateway.phases import phase

logger = logging.getLogger(__name__)

T = TypeVar("T")

MakeEngine = Callable[[], Engine | None]
"""Makes an engine, or None if the settings switch it off; may raise SetupError.  Runs in a thread,
where it may import what is heavy."""


class State(StrEnum):
    """What has become of an engine."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Progress:
    """State of an engine, since when (seconds of the loop) it is so, and why if it is not ready."""

    state: State
    at: float
    reason: str = ""


class Engines:
    """Starts engines, and keeps them and their voices; made inside a running loop.

    ``named`` are those that the operator asked for by name: if one fails, that is an error, where
    it is a warning for others.  ``joined`` is called on the loop with each engine that is ready.
    """

    def __init__(
        self,
        makers: Mapping[str, MakeEngine],
        named: frozenset[str],
        default_voice: str,
        joined: Callable[[Engine], None],
    ) -> None:
        self.catalogue = Catalogue(list(makers), default_voice)
        self.problem = ""
        self._makers = makers
        self._named = named
        self._joined = joined
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._progress = dict.fromkeys(makers, Progress(State.LOADING, self._began_at))
        self._engines: list[Engine] = []
        self._usable: asyncio.Future[None] = self._loop.create_future()
        self._threads = ThreadPoolExecutor(max(1, len(makers)), thread_name_prefix="engine-start")
        self._loading = self._loop.create_task(self._load_all())

    @property
    def loading(self) -> bool:
        """Whether any engine has not started yet."""
        return not self._loading.done()

    @property
    def usable(self) -> asyncio.Future[None]:
        """Done once sessions can be served, or never will."""
        return self._usable

    @property
    def problems(self) -> dict[str, str]:
        """Why an engine does not speak, by its name; ``voices``: why nothing does."""
        found = {name: each.reason for name, each in self._progress.items() if each.reason}
        return found | ({"voices": self.problem} if self.problem else {})

    def facts(self) -> dict[str, dict[str, object]]:
        """For /readyz: of each engine its state, seconds that it took or has taken, and reason."""
        now = self._loop.time()
        return {
            name: {
                "state": each.state.value,
                "seconds": round(
                    (now if each.state is State.LOADING else each.at) - self._began_at, 3
                ),
                **({"reason": each.reason} if each.reason else {}),
            }
            for name, each in self._progress.items()
        }

    def count(self, state: State) -> int:
        """How many engines are in a state."""
        return sum(each.state is state for each in self._progress.values())

    async def settled(self) -> None:
        """Wait until no engine is starting any more: a start can't be called off."""
        await asyncio.wait((self._loading,))

    async def close(self) -> None:
        """End all engines, once they have settled; idempotent."""
        for engine in self._engines:
            await asyncio.to_thread(engine.close)
        self._engines.clear()
        self._threads.shutdown(wait=False)

    # ── parts of these ─────────────────────────────────────────────────────────────────────────

    async def _load_all(self) -> None:
        await asyncio.gather(*(self._load(name) for name in self._makers))
        try:
            self.catalogue.check()
        except SetupError as error:
            self.problem = error.message
            logger.error("%s", error.message)
        self._check_usable(settled=True)
        self._conclude()

    async def _load(self, name: str) -> None:
        try:
            engine = await self._in_thread(lambda: self._start(name))
        except SetupError as error:
            self._fail(name, error.message)
        except Exception as error:
            logger.exception("engine %s failed to start", name)
            self._fail(name, f"it failed in a way that it should not ({error!r}); see the log")
        else:
            if engine is None:
                self._note(name, State.OFF, "switched off by the settings")
                self.catalogue.give_up(name)
            else:
                await self._welcome(name, engine)
        self._check_usable(settled=False)

    def _start(self, name: str) -> Engine | None:
        """In a thread."""
        engine = self._makers[name]()
        if engine is None:
            return None
        try:
            engine.start()
        except BaseException:
            engine.close()
            raise
        return engine

    async def _welcome(self, name: str, engine: Engine) -> None:
        self._engines.append(engine)
        self._joined(engine)
        self.catalogue.add(name, engine)
        self._note(name, State.READY)
        voices = len(engine.info.voices)
        phase(logger, f"ready {name}", "engine %s is ready: %d voices", name, voices)
        self._check_usable(settled=False)
        try:
            await self._in_thread(engine.warm_up)
        except Exception:
            logger.exception("engine %s could not be warmed up", name)

    async def _in_thread(self, run: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, run)

    def _fail(self, name: str, reason: str) -> None:
        level = logging.ERROR if name in self._named else logging.WARNING
        logger.log(level, "engine %s is not available: %s", name, reason)
        self._note(name, State.FAILED, reason)
        self.catalogue.give_up(name)

    def _note(self, name: str, state: State, reason: str = "") -> None:
        self._progress[name] = Progress(state, self._loop.time(), reason)

    def _check_usable(self, *, settled: bool) -> None:
        if (settled or self.catalogue.usable) and not self._usable.done():
            # What is loaded stays; without this the collector walks it all for some 50 ms at a
            # time.  Once sessions are there it is too late: they would never be collected.
            gc.collect()
            gc.freeze()
            self._usable.set_result(None)

    def _conclude(self) -> None:
        """The last word on starting up: what was asked for and is not there."""
        missing = [name for name in self._named if self._progress[name].state is State.FAILED]
        if missing and self.catalogue.usable:
            names = ", ".join(sorted(missing))
            logger.error("SERVING WITHOUT %s, which could not be loaded (see above)", names)
        if self.catalogue.usable:
            voice = self.catalogue.default_voice
            phase(logger, "loaded", "all engines have loaded; the default voice is %s", voice)
