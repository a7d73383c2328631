"""A TCP proxy on the loopback interface that does what networks do: delay, stall, cut, go silent.

    client ──► proxy ──► gateway          every fault hits both directions of all its connections

``cut`` resets the connections.  ``go_silent`` is the half-open case: both ends keep their
connection, but not a byte passes any more; connections that are made later work again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_READ_BYTES = 4096


class _Pipe:
    """One connection: two directions, one fate."""

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.silent = False

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class FaultyProxy:
    """Forwards to ``host:port``; ``delay_s`` is added to each direction."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._pipes: set[_Pipe] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.delay_s = 0.0
        self.refuses = False
        self.connections = 0
        self.url = ""

    def cut(self) -> None:
        """Reset everything that is connected."""
        for pipe in tuple(self._pipes):
            pipe.abort()

    def go_silent(self) -> None:
        """Forward nothing more of what is connected now, and close nothing."""
        for pipe in self._pipes:
            pipe.silent = True

    async def stall(self, duration_s: float) -> None:
        """Forward nothing for a while, and then all of it."""
        self._passes.clear()
        await asyncio.sleep(duration_s)
        self._passes.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy closes
        finally:
            self._handlers.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        pipe = _Pipe((writer, far_writer))
        self._pipes.add(pipe)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(pipe, reader, far_writer))
                directions.create_task(self._pump(pipe, far_reader, writer))
        finally:
            self._pipes.discard(pipe)
            pipe.abort()

    async def _pump(
        self, pipe: _Pipe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._passes.wait()
                if not pipe.silent:
                    writer.write(data)
                    await writer.drain()
        if not pipe.silent:
            writer.close()

    async def close(self) -> None:
        self.cut()
        for task in tuple(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)


@contextlib.asynccontextmanager
async def faulty_proxy(target_url: str) -> AsyncIterator[FaultyProxy]:
    """A proxy in front of ``http://host:port``."""
    host, port = target_url.removeprefix("http://").split(":")
    proxy = FaultyProxy(host, int(port))
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
