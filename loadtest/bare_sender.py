"""The plain server that the gateway is compared with: ``websockets`` and uvloop, a task a session.

It sends messages that were recorded from a gateway, with the same bytes at the same times, and does
nothing else: no synthesis, no encoding, no pacing decisions, no metrics.  This is what one would
write by hand, so it is not tuned; what would slow it down without need (deflate) is off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from multiprocessing.connection import Connection

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from loadtest.processes import HOST

Recording = Sequence[tuple[float, bytes]]
"""Messages of one session: when each is due, in seconds after the first, and its bytes."""


def run(pipe: Connection, recordings: Sequence[Recording]) -> None:
    """Serve ``recordings[i]`` at path /i until the pipe closes; says its port when it listens."""
    uvloop.run(_serve(pipe, recordings))


async def _serve(pipe: Connection, recordings: Sequence[Recording]) -> None:
    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        recording = recordings[int(connection.request.path[1:])]
        try:
            await _play(connection, recording)
        except ConnectionClosed:
            return  # the listener has heard enough

    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
    async with serve(handle, HOST, 0, compression=None) as server:
        pipe.send(next(iter(server.sockets)).getsockname()[1])
        await closed.wait()


async def _play(connection: ServerConnection, recording: Recording) -> None:
    """Wait for the listener's first message, then send everything when it is due."""
    await connection.recv()
    reports = asyncio.create_task(_ignore_reports(connection))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        for offset_s, message in recording:
            delay_s = begin + offset_s - loop.time()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            await connection.send(message)
        await connection.wait_closed()
    finally:
        reports.cancel()


async def _ignore_reports(connection: ServerConnection) -> None:
    async for _ in connection:
        pass
