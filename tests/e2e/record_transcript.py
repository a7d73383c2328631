"""Hold a conversation with a real gateway and write it into docs/protocol.md.

python -m tests.e2e.record_transcript
"""

from __future__ import annotations

import asyncio

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.cli.local import local_gateway
from gateway.client import JitterBuffer
from gateway.client.address import parse_address
from gateway.client.wire import parse_audio
from tests.e2e.transcript import Line, put_into_document

FIRST_TOKENS = ("Your", " train", " leaves", " at 10", ":15", " p.m.", " from", " platform")
MORE_TOKENS = (" four", ". It", " is", " usually", " on time", ", but", " it may be late", ".")
INTERRUPTED_AFTER_S = 2.4
REPORT_INTERVAL_S = 1.0


class Recorder:
    """A client that writes down what passes, and plays what it hears in a virtual jitter buffer."""

    def __init__(self, socket: ClientConnection) -> None:
        self.lines: list[Line] = []
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._player = JitterBuffer(0)
        self._kinds: asyncio.Queue[str] = asyncio.Queue()

    def _note(self, from_client: bool, message: str | bytes | int) -> None:
        self.lines.append(Line(self._loop.time() - self._began, from_client, message))

    async def say(self, **message: object) -> None:
        """Send one message."""
        text = orjson.dumps(message).decode()
        self._note(True, text)
        await self._socket.send(text)

    async def stream(self, tokens: tuple[str, ...]) -> None:
        """Send text as a language model would."""
        for token in tokens:
            await self.say(type="text", text=token)
            await asyncio.sleep(0.04)

    async def report(self) -> None:
        """Tell once a second what was heard."""
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            report = self._player.report(self._loop.time())
            if report.depth_samples:
                await self.say(
                    type="report",
                    generation=report.generation,
                    played_samples=report.played_samples,
                    depth_samples=report.depth_samples,
                    underruns=report.underruns,
                    jitter_samples=report.jitter_samples,
                )

    async def listen(self) -> None:
        """Note and play all that comes, until the gateway closes."""
        try:
            while True:
                message = await self._socket.recv()
                self._note(False, message)
                if isinstance(message, bytes):
                    self._play(message)
                else:
                    self._receive(orjson.loads(message))
        except ConnectionClosed:
            assert self._socket.close_code is not None
            self._note(False, self._socket.close_code)

    def _play(self, message: bytes) -> None:
        audio = parse_audio(message)
        self._player.receive_frame(
            audio.timestamp,
            audio.duration_samples,
            self._loop.time(),
            audio.marker,
            audio.last,
            frames=len(audio.frames),
            generation=audio.generation,
        )

    def _receive(self, message: dict[str, int | str]) -> None:
        match message:
            case {"type": "ready", "prebuffer_samples": int(prebuffer)}:
                self._player = JitterBuffer(prebuffer, preskip_samples=312)
            case {"type": "started"}:
                assert message["preskip_samples"] == 312
        self._kinds.put_nowait(str(message["type"]))

    async def until(self, kind: str) -> None:
        """Wait for a message of the gateway."""
        while await self._kinds.get() != kind:
            pass

    async def interrupt(self) -> None:
        """The user begins to speak: silence, and say how far playout was."""
        played = self._player.cancel(self._loop.time())
        await self.say(type="cancel", context="default", played_samples=played)


async def converse(recorder: Recorder) -> None:
    """The conversation."""
    await recorder.until("ready")
    await recorder.say(type="start", voice="en-us")
    await recorder.until("started")
    await recorder.stream(FIRST_TOKENS + MORE_TOKENS)
    await asyncio.sleep(INTERRUPTED_AFTER_S)
    await recorder.interrupt()
    await recorder.until("cancelled")
    await recorder.stream(("Sorry", "? Platform", " four."))
    await recorder.say(type="end")
    await recorder.until("done")
    await recorder.say(type="close")


async def record(url: str) -> list[Line]:
    """All messages of one session with the gateway at ``url``."""
    async with connect(
        parse_address(url).websocket_url, subprotocols=[Subprotocol("voice.v1")], compression=None
    ) as socket:
        recorder = Recorder(socket)
        listening = asyncio.create_task(recorder.listen())
        reporting = asyncio.create_task(recorder.report())
        await converse(recorder)
        await listening
        reporting.cancel()
        return recorder.lines


def main() -> None:
    """Record, and replace what the document shows."""
    with local_gateway() as url:
        put_into_document(asyncio.run(record(url)))


if __name__ == "__main__":
    main()
