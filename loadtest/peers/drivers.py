"""One function for each protocol: tokens in, PCM out.  16 bit, mono, 24 kHz unless it says so.

Protocols that take text as it is made (voice.v1, ElevenLabs, Cartesia, Deepgram) get each token at
once.  Those of requests (OpenAI, Piper) get a sentence as soon as its last token is there, one
request at a time in order, on a connection that is kept: what an application would do that has
only such a server.  Nothing waits for the listener.

A driver raises ConnectionError for a server that refuses, breaks off or answers nonsense.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from gateway.client.client import Session
from gateway.client.wire import Audio, ServerError
from gateway.errors import GatewayError

RATE = 24_000
SENTENCES_MAX = 64
_MESSAGE_BYTES_MAX = 1 << 24
_REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server: ``url`` is ``http://host:port``, with nothing behind the port but a base path."""

    url: str
    voice: str
    model: str = "tts-1"
    api_key: str = ""

    def socket_url(self, path: str, **query: str) -> str:
        """The address of a WebSocket."""
        scheme, _, rest = self.url.rstrip("/").partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}?{urlencode(query)}"


Tokens = AsyncIterator[str]
Hear = Callable[[bytes, int], None]
"""PCM and its rate."""
Driver = Callable[[Target, Tokens, Hear, httpx.AsyncClient], Awaitable[None]]


# ── text as it is made ─────────────────────────────────────────────────────────────────────────


async def voice_v1(target: Target, tokens: Tokens, hear: Hear, _: httpx.AsyncClient) -> None:
    """Our own protocol, by our own client, which reports what it plays."""
    session = await Session.open(target.url, api_key=target.api_key or None)
    try:
        context = await session.start(voice=target.voice, codec="pcm", sample_rate=RATE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.speak(tokens))
            async for event in context:
                if isinstance(event, Audio):
                    hear(b"".join(event.frames), RATE)
                elif isinstance(event, ServerError):
                    raise ConnectionError(f"{event.code}: {event.message}")
    finally:
        await session.close()


async def elevenlabs(target: Target, tokens: Tokens, hear: Hear, _: httpx.AsyncClient) -> None:
    """``stream-input``; ``auto_mode`` is off: tokens are no phrases."""
    url = target.socket_url(
        f"/v1/text-to-speech/{quote(target.voice, safe='')}/stream-input",
        output_format=f"pcm_{RATE}", model_id=target.model,
    )  # fmt: skip
    async with _socket(url, {"xi-api-key": target.api_key}) as socket:
        await socket.send(json.dumps({"text": " "}))
        sender = asyncio.create_task(
            _send(socket, tokens, lambda token: {"text": token}, {"text": ""})
        )
        async with _cancelled_at_the_end(sender):
            async for message in _objects(socket):
                if message.get("audio"):
                    hear(base64.b64decode(message["audio"]), RATE)
                if message.get("isFinal"):
                    return
                if "error" in message:
                    raise ConnectionError(f"{message['error']}: {message.get('message')}")
    raise ConnectionError("the socket closed before the last audio")


async def cartesia(target: Target, tokens: Tokens, hear: Hear, _: httpx.AsyncClient) -> None:
    """One context on a socket of its own."""
    common = {
        "model_id": target.model,
        "context_id": "answer",
        "voice": {"mode": "id", "id": target.voice},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE},
    }
    url = target.socket_url("/tts/websocket", cartesia_version="2025-04-16")
    async with _socket(url, {"X-API-Key": target.api_key}) as socket:
        sender = asyncio.create_task(
            _send(
                socket,
                tokens,
                lambda token: {**common, "transcript": token, "continue": True},
                {**common, "transcript": "", "continue": False},
            )
        )
        async with _cancelled_at_the_end(sender):
            async for message in _objects(socket):
                match message.get("type"):
                    case "chunk":
                        hear(base64.b64decode(message["data"]), RATE)
                    case "done":
                        return
                    case "error":
                        raise ConnectionError(f"the server answered {message}")
    raise ConnectionError("the socket closed before the last audio")


async def deepgram(target: Target, tokens: Tokens, hear: Hear, _: httpx.AsyncClient) -> None:
    """``/v1/speak``; one flush, after the last token."""
    url = target.socket_url(
        "/v1/speak", model=target.voice, encoding="linear16", sample_rate=str(RATE)
    )
    async with _socket(url, {"Authorization": f"Token {target.api_key or 'none'}"}) as socket:
        sender = asyncio.create_task(
            _send(socket, tokens, lambda token: {"type": "Speak", "text": token}, {"type": "Flush"})
        )
        async with _cancelled_at_the_end(sender):
            async for data in socket:
                if isinstance(data, bytes):
                    hear(data, RATE)
                    continue
                message = json.loads(data)
                if message["type"] == "Flushed":
                    return
                if message["type"] == "Error":
                    raise ConnectionError(f"the server answered {message}")
    raise ConnectionError("the socket closed before the last audio")


def _socket(url: str, headers: Mapping[str, str]) -> connect:
    given = {name: value for name, value in headers.items() if value}
    return connect(
        url, additional_headers=given, compression=None, max_size=_MESSAGE_BYTES_MAX, proxy=None
    )


async def _send(
    socket: ClientConnection, tokens: Tokens, message: Callable[[str], object], last: object
) -> None:
    async for token in tokens:
        await socket.send(json.dumps(message(token)))
    await socket.send(json.dumps(last))


async def _objects(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    async for data in socket:
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ConnectionError(f"the server sent {data[:100]!r}, not an object")
        yield message


class _cancelled_at_the_end:  # noqa: N801 - reads as a statement
    """The reader decides when the answer is over; what the sender met is raised if it broke it."""

    def __init__(self, sender: asyncio.Task[None]) -> None:
        self._sender = sender

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        self._sender.cancel()
        await asyncio.wait([self._sender])
        if not self._sender.cancelled():
            self._sender.exception()  # a broken socket is the reader's to report


# ── a request for each sentence ────────────────────────────────────────────────────────────────


async def openai(target: Target, tokens: Tokens, hear: Hear, client: httpx.AsyncClient) -> None:
    """``/v1/audio/speech``, PCM as it comes."""
    url = f"{target.url.rstrip('/')}/v1/audio/speech"
    headers = {"Authorization": f"Bearer {target.api_key}"} if target.api_key else {}

    async def speak(sentence: str) -> None:
        body = {
            "model": target.model, "voice": target.voice, "input": sentence,
            "response_format": "pcm",
        }  # fmt: skip
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            await _check(answer)
            async for data in answer.aiter_bytes():
                hear(data, RATE)

    await _by_sentence(tokens, speak)


async def piper(target: Target, tokens: Tokens, hear: Hear, client: httpx.AsyncClient) -> None:
    """Piper's HTTP server: a whole WAV file for each sentence, at the voice's own rate."""

    async def speak(sentence: str) -> None:
        answer = await client.post(f"{target.url.rstrip('/')}/synthesize", json={"text": sentence})
        await _check(answer)
        with wave.open(io.BytesIO(answer.content)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ConnectionError("the server's WAV file is not 16 bit mono")
            hear(file.readframes(file.getnframes()), file.getframerate())

    await _by_sentence(tokens, speak)


async def _by_sentence(tokens: Tokens, speak: Callable[[str], Awaitable[None]]) -> None:
    """Speak each sentence once it is complete, one after the other, while the next is made."""
    complete: asyncio.Queue[str | None] = asyncio.Queue(SENTENCES_MAX)

    async def cut() -> None:
        text = ""
        async for token in tokens:
            text += token
            if ends_sentence(token):
                await complete.put(text.strip())
                text = ""
        if text.strip():
            await complete.put(text.strip())
        await complete.put(None)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        while (sentence := await complete.get()) is not None:
            await speak(sentence)


def ends_sentence(token: str) -> bool:
    """Whether a sentence ends here; the texts have no abbreviations, so no look ahead is needed."""
    return token.rstrip().endswith((".", "!", "?"))


async def _check(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        text = (await answer.aread())[:200].decode(errors="replace")
        raise ConnectionError(f"status {answer.status_code}: {text}")


def http_client() -> httpx.AsyncClient:
    """The client that all sessions of a load share; it opens as many connections as they need."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        timeout=_REQUEST_TIMEOUT_S,
        trust_env=False,
    )


FAILURES = (
    OSError, GatewayError, WebSocketException, httpx.HTTPError, wave.Error, EOFError, ValueError,
)  # fmt: skip
"""What a server can do to a driver; ConnectionError and TimeoutError are among them."""

DRIVERS: Mapping[str, Driver] = {
    "voice.v1": voice_v1,
    "elevenlabs": elevenlabs,
    "cartesia": cartesia,
    "deepgram": deepgram,
    "openai": openai,
    "piper": piper,
}
