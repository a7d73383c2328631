"""A ``voice.v1`` server that does what a test tells it: real sockets, no gateway behind.

    async def script(peer: Peer) -> None:          # runs once for each connection
        await peer.expect("start")
        await peer.send("started", **STARTED)
        await peer.send_audio(frames=3, last=True)

    async with scripted(script) as url: …

``honest`` is a script that behaves like a gateway: 10 ms of 8 kHz PCM for each character of text,
sent at once, with the sample's value telling its position, so that a test can see what is missing.
An exception in a script fails the test when the server ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from gateway.wire.audio_header import AudioHeader, pack_message

READY: dict[str, Any] = {
    "protocol": "voice.v1",
    "session": "s1",
    "server": "scripted",
    "prebuffer_samples": 2880,
    "default_voice": "",
    "limits": {"pending_text_chars_max": 100_000},
}
STARTED: dict[str, Any] = {
    "context": "default",
    "context_number": 1,
    "generation": 0,
    "voice": "tester",
    "language": "en",
    "speed": 1.0,
    "codec": "pcm",
    "sample_rate": 8000,
    "channels": 1,
    "frame_duration_ms": 20,
    "bitrate": None,
    "preskip_samples": 0,
}
FRAME_SAMPLES = 960
SAMPLES_PER_FRAME = 160


def ramp_frame(sequence_number: int) -> bytes:
    """A frame of PCM whose samples count up through the whole stream (modulo 2**15)."""
    start = sequence_number * SAMPLES_PER_FRAME
    return (np.arange(start, start + SAMPLES_PER_FRAME) % 32_768).astype("<i2").tobytes()


class Peer:
    """One connected client, as the script sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.sequence_number = 0

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a JSON message."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> dict[str, Any]:
        """The next message; reports are skipped, and kept in ``received`` like all others."""
        while True:
            message = json.loads(await self.socket.recv())
            self.received.append(message)
            if message["type"] != "report":
                return message

    async def expect(self, kind: str) -> dict[str, Any]:
        """The next message, which must be of this type."""
        message = await self.receive()
        assert message["type"] == kind, message
        return message

    async def start(self, **changes: Any) -> None:
        """Wait for ``start`` and answer it."""
        message = await self.expect("start")
        await self.send("started", **{**STARTED, "context": message["context"], **changes})

    async def send_audio(
        self,
        frames: int = 1,
        *,
        context_number: int = 1,
        generation: int = 0,
        last: bool = False,
        sequence_number: int | None = None,
        payload: Callable[[int], bytes] = ramp_frame,
    ) -> None:
        """Send one message of contiguous 20 ms frames."""
        first = self.sequence_number if sequence_number is None else sequence_number
        self.sequence_number = first + frames
        header = AudioHeader(
            context_number,
            generation,
            FRAME_SAMPLES,
            first,
            first * FRAME_SAMPLES,
            first == 0,
            last,
        )
        payloads = [payload(first + index) for index in range(frames)]
        await self.socket.send(pack_message(header, payloads))

    async def send_done(self, text_offset: int = 0, generation: int = 0) -> None:
        """Say that everything was sent."""
        await self.send(
            "done",
            context="default",
            generation=generation,
            duration_samples=self.sequence_number * FRAME_SAMPLES,
            frames=self.sequence_number,
            text_offset=text_offset,
        )

    async def drain(self) -> None:
        """Read until the client is gone."""
        while True:
            await self.receive()


Script = Callable[[Peer], Awaitable[None]]


async def honest(peer: Peer) -> None:
    """A gateway in small: one context at a time, speaks at ``end``, obeys ``cancel``."""
    while True:
        await peer.start()
        peer.sequence_number = 0
        text = ""
        while (message := await peer.receive())["type"] != "end":
            if message["type"] == "text":
                text += message["text"]
        words = [
            {
                "text": text[start : start + 2],
                "start": start,
                "end": start + 2,
                "timestamp": start * 480,
                "duration": 960,
            }
            for start in range(0, len(text), 2)
        ]
        if text:
            chunk = {"context": "default", "generation": 0, "chunk": 0, "timestamp": 0}
            await peer.send("chunk", **chunk, text=text, start=0, end=len(text), words=words)
        frames = (len(text) + 1) // 2
        for index in range(frames):
            await peer.send_audio(last=index == frames - 1)
        await peer.send_done(len(text))


@asynccontextmanager
async def scripted(
    script: Script = honest,
    *,
    ready: dict[str, Any] | None = READY,
    subprotocols: list[str] | None = ["voice.v1"],  # noqa: B006 - never changed
    refuse: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    """A server on a free port of the loopback interface; yields its URL."""
    failures: list[BaseException] = []

    async def handle(socket: ServerConnection) -> None:
        peer = Peer(socket)
        try:
            if ready is not None:
                await peer.send("ready", **ready)
            await script(peer)
        except ConnectionClosed:
            pass
        except BaseException as error:
            failures.append(error)
            raise

    async with serve(
        handle,
        "127.0.0.1",
        0,
        subprotocols=subprotocols,  # type: ignore[arg-type]
        process_request=refuse,
        compression=None,
        close_timeout=1,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)
    if failures:
        raise failures[0]
