"""How much later the first audio comes through others' protocols than through our own.

    client   ── text and its end ──►│     gateway, one process, one engine
             ◄─── first audio ──────│     the same for each protocol, in turn

A turn says a text of its own through every protocol; the order rotates with each turn, so that all
meet the same load.  Contexts are open, and sockets connected, before the clock starts, where the
protocol has such a thing; an HTTP request has none, so its whole head is in its time.  All ask for
16 bit PCM at 24 kHz.  ``voice.v1`` is there twice: what lies between its two rows is noise.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from loadtest import websocket
from loadtest.cpu import ForeignCpu
from loadtest.processes import HOST, Gateway, gateway
from loadtest.statistics import Spread, spread
from loadtest.texts import opening

GOAL_P50_S = 0.002
REFERENCE = "voice.v1"

_TIMEOUT_S = 10.0
_PAUSE_S = 0.01
_WARM_UP_TURNS = 5
_RECEIVE_BYTES = 65_536

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wire:
    """One protocol: seconds to its first audio, and how much later than ``voice.v1`` that is.

    ``later_p50_s`` is the median over the turns of the difference within each turn.
    """

    name: str
    first_audio_s: Spread
    later_p50_s: float

    @property
    def met(self) -> bool:
        """Whether it is within the goal."""
        return self.later_p50_s <= GOAL_P50_S


@dataclass(frozen=True, slots=True)
class Wires:
    """Results in seconds; the first wire is ``voice.v1``."""

    turns: int
    wires: tuple[Wire, ...]
    foreign_cpu_share: float


class _Speaker(Protocol):
    def first_audio_s(self, text: str) -> float:
        """Seconds from sending the text to its first audio; hears it out, too."""
        ...


def measure(turns: int, seed: int, progress: Progress) -> Wires:
    """Run the benchmark: about 0.3 s a turn.  Raises ChildProcessError if the gateway fails."""
    with gateway(["wires.wyoming_port=0"]) as server, ExitStack() as stack:
        speakers = _speakers(server, stack)
        times: dict[str, list[float]] = {name: [] for name in speakers}
        names = list(speakers)
        others = ForeignCpu()
        for turn in range(-_WARM_UP_TURNS, turns):
            if turn == 0:
                others = ForeignCpu()
                times = {name: [] for name in speakers}
            for number in range(len(names)):
                name = names[(number + turn) % len(names)]
                clause = opening(seed + (turn + _WARM_UP_TURNS) * len(names) + number)
                time.sleep(_PAUSE_S)
                text = clause.before + clause.completing
                times[name].append(speakers[name].first_audio_s(text))
            if turn > 0 and turn % 50 == 0:
                progress(f"{turn} of {turns} turns")
        share = others.share()
    reference = times[REFERENCE]
    wires = tuple(
        Wire(name, spread(taken), median(a - b for a, b in zip(taken, reference, strict=True)))
        for name, taken in times.items()
    )
    return Wires(turns, wires, share)


def _speakers(server: Gateway, stack: ExitStack) -> dict[str, _Speaker]:
    eleven = "/v1/text-to-speech/en-us/{}?output_format=pcm_24000&auto_mode=true"
    many = stack.enter_context(closing(_Socket(server.port, eleven.format("multi-stream-input"))))
    cartesia = stack.enter_context(closing(_Socket(server.port, "/tts/websocket")))
    query = "?model=en-us&encoding=linear16&sample_rate=24000"
    deepgram_1 = stack.enter_context(closing(_Socket(server.port, f"/v1/speak{query}")))
    deepgram_2 = stack.enter_context(closing(_Socket(server.port, f"/v2/speak{query}")))
    deepgram_1.wait_for("Metadata")
    deepgram_2.wait_for("Connected")
    return {
        REFERENCE: stack.enter_context(closing(_VoiceV1(server.port))),
        "voice.v1 again": stack.enter_context(closing(_VoiceV1(server.port))),
        "ElevenLabs stream-input": _SingleStream(server.port, eleven.format("stream-input")),
        "ElevenLabs multi-stream-input": _ManyStreams(many),
        "Cartesia /tts/websocket": _Cartesia(cartesia),
        "Deepgram /v1/speak": _Deepgram(deepgram_1),
        "Deepgram /v2/speak": _Deepgram(deepgram_2),
        "Wyoming": stack.enter_context(closing(_Wyoming(_wyoming_port(server)))),
        "OpenAI POST /v1/audio/speech": _Http(
            server.port,
            "/v1/audio/speech",
            lambda text: {"input": text, "voice": "en-us", "response_format": "pcm"},
        ),
        "ElevenLabs POST …/stream": _Http(
            server.port, eleven.format("stream"), lambda text: {"text": text}
        ),
        "Cartesia POST /tts/bytes": _Http(
            server.port,
            "/tts/bytes",
            lambda text: {"transcript": text, "output_format": _RAW, "voice": _VOICE},
        ),
    }


_RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
_VOICE = {"mode": "id", "id": "en-us"}


def _wyoming_port(server: Gateway) -> int:
    found = re.search(r"Wyoming on tcp://[\d.]+:(\d+)", "".join(server.log))
    assert found is not None
    return int(found[1])


class _Socket:
    """A blocking WebSocket, so that nothing but the kernel stands behind its times."""

    def __init__(self, port: int, path: str, subprotocol: str | None = None) -> None:
        self._connection, rest = websocket.connect(HOST, port, path, subprotocol, _TIMEOUT_S)
        self._frames = self._receive(websocket.FrameReader(rest))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def say(self, **message: object) -> None:
        """Send JSON."""
        payload = json.dumps(message).encode()
        self._connection.sendall(websocket.client_frame(websocket.TEXT, payload))

    def wait(self, wanted: Callable[[int, bytes], bool]) -> None:
        """Skip messages up to the first for which ``wanted(opcode, payload)``."""
        for opcode, payload in self._frames:
            if wanted(opcode, payload):
                return

    def wait_for(self, *kinds: str) -> None:
        """Skip messages up to one of these types."""
        self.wait(lambda opcode, data: opcode == websocket.TEXT and _type(data) in kinds)

    def _receive(self, reader: websocket.FrameReader) -> Iterator[tuple[int, bytes]]:
        data = b""
        while True:
            for opcode, payload in reader.receive(data):
                if opcode == websocket.PING:
                    frame = websocket.client_frame(websocket.PONG, payload)
                    self._connection.sendall(frame)
                else:
                    yield opcode, payload
            data = self._connection.recv(_RECEIVE_BYTES)
            if not data:
                raise ConnectionError("the gateway closed the connection")


def _type(payload: bytes) -> str:
    return str(json.loads(payload).get("type"))


def _is_binary(opcode: int, _: bytes) -> bool:
    return opcode == websocket.BINARY


class _VoiceV1:
    def __init__(self, port: int) -> None:
        self._socket = _Socket(port, "/v1/speak", "voice.v1")
        self._socket.wait_for("ready")

    def close(self) -> None:
        self._socket.close()

    def first_audio_s(self, text: str) -> float:
        self._socket.say(type="start", codec="pcm", sample_rate=24_000, voice="en-us")
        self._socket.wait_for("started")
        begin = time.perf_counter()
        self._socket.say(type="text", text=text)
        self._socket.say(type="flush")
        self._socket.wait(_is_binary)
        took_s = time.perf_counter() - begin
        self._socket.say(type="cancel", context="default")
        self._socket.wait_for("cancelled")
        self._socket.say(type="end")
        self._socket.wait_for("done")
        return took_s


def _has_sound(_: int, payload: bytes) -> bool:
    return payload.startswith(b'{"audio":"')


def _is_final(_: int, payload: bytes) -> bool:
    return b'"isFinal":true' in payload


class _SingleStream:
    """A socket for each text, connected before the clock starts."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path

    def first_audio_s(self, text: str) -> float:
        with closing(_Socket(self._port, self._path)) as connection:
            connection.say(text=" ")
            time.sleep(_PAUSE_S)
            begin = time.perf_counter()
            connection.say(text=text)
            connection.wait(_has_sound)
            took_s = time.perf_counter() - begin
            connection.say(text="")
            connection.wait(_is_final)
        return took_s


class _ManyStreams:
    def __init__(self, connection: _Socket) -> None:
        self._socket = connection

    def first_audio_s(self, text: str) -> float:
        self._socket.say(text=" ", context_id="c")
        time.sleep(_PAUSE_S)
        begin = time.perf_counter()
        self._socket.say(text=text, context_id="c", flush=True)
        self._socket.wait(_has_sound)
        took_s = time.perf_counter() - begin
        self._socket.say(context_id="c", close_context=True)
        self._socket.wait(_is_final)
        return took_s


class _Cartesia:
    def __init__(self, connection: _Socket) -> None:
        self._socket = connection

    def first_audio_s(self, text: str) -> float:
        begin = time.perf_counter()
        self._socket.say(context_id="c", transcript=text, voice=_VOICE, output_format=_RAW)
        self._socket.wait(lambda _, payload: payload.startswith(b'{"type":"chunk"'))
        took_s = time.perf_counter() - begin
        self._socket.wait_for("done")
        return took_s


class _Deepgram:
    def __init__(self, connection: _Socket) -> None:
        self._socket = connection

    def first_audio_s(self, text: str) -> float:
        begin = time.perf_counter()
        self._socket.say(type="Speak", text=text)
        self._socket.say(type="Flush")
        self._socket.wait(_is_binary)
        took_s = time.perf_counter() - begin
        self._socket.wait_for("Flushed")
        return took_s


class _Wyoming:
    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection((HOST, port), _TIMEOUT_S)
        self._file = self._connection.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._connection.close()

    def first_audio_s(self, text: str) -> float:
        event = {"type": "synthesize", "data": {"text": text}}
        begin = time.perf_counter()
        self._connection.sendall(json.dumps(event).encode() + b"\n")
        self._wait_for("audio-chunk")
        took_s = time.perf_counter() - begin
        self._wait_for("audio-stop")
        return took_s

    def _wait_for(self, kind: str) -> None:
        while True:
            header: dict[str, Any] = json.loads(self._file.readline())
            self._file.read(header.get("data_length", 0) + header.get("payload_length", 0))
            if header["type"] == kind:
                return


class _Http:
    def __init__(self, port: int, path: str, body: Callable[[str], dict[str, object]]) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
        self._path = path
        self._body = body
        self._connection.connect()

    def first_audio_s(self, text: str) -> float:
        body = json.dumps(self._body(text))
        begin = time.perf_counter()
        self._connection.request("POST", self._path, body)
        answer = self._connection.getresponse()
        answer.read(1)
        took_s = time.perf_counter() - begin
        if answer.status != 200:
            raise ConnectionError(f"{self._path} answered {answer.status}")
        answer.read()
        return took_s
