"""What the gateway adds to the engine's time, from the first full clause to the first packet.

    client   ── text that completes the first clause ──►│          gateway
             ◄──────────────── first binary message ────│
             ├───────────── gateway's time ─────────────┤
             ├── engine's own time ──┤                             bare engine, same chunk
                                     ├───── overhead ───┤

Each turn says another text, so that nothing comes from the cache, in a new context: start, text up
to the last token of the clause, a pause in which the gateway falls idle as between the tokens of a
language model, then that token.  In turn with it, the bare engine (its own process, its own
workers) speaks the very chunk; which of the two goes first alternates.  The overhead of a turn is
the difference.  After each such pair, a text that was spoken before is said again: that is the
cache's time.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.synthesis import TextChunk
from loadtest import bare_engine, websocket
from loadtest.cpu import ForeignCpu
from loadtest.processes import HOST, Gateway, Helper, gateway, helper
from loadtest.statistics import Spread, share_above, spread
from loadtest.texts import Opening, opening

GOAL_P50_S = 0.005
GOAL_P99_S = 0.015

_PAUSE_S = 0.02
_TIMEOUT_S = 10.0
_WARM_UP_TURNS = 10
_CACHED_TEXTS = 5
_RECEIVE_BYTES = 65_536

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Overhead:
    """Results in seconds; ``ratio`` is the median overhead in units of the engine's median."""

    turns: int
    gateway_s: Spread
    engine_s: Spread
    overhead_s: Spread
    ratio: float
    missed_p99_goal: float
    cached_s: Spread
    cache_hits: int
    foreign_cpu_share: float

    @property
    def usually_fast(self) -> bool:
        """Whether the median overhead is within its goal."""
        return self.overhead_s.p50 <= GOAL_P50_S

    @property
    def always_fast(self) -> bool:
        """Whether p99 of the overhead is within its goal."""
        return self.overhead_s.p99 <= GOAL_P99_S


def measure(turns: int, seed: int, progress: Progress) -> Overhead:
    """Run the benchmark: about 0.15 s a turn.  Raises ChildProcessError if a process fails."""
    with helper(bare_engine.serve) as engine, gateway() as server:
        engine.receive(_TIMEOUT_S)
        with open_client(server.port) as client:
            known = [opening(seed - 1 - number) for number in range(_CACHED_TEXTS)]
            for text in known:
                client.speak_whole(text)
            for number in range(_WARM_UP_TURNS):
                _pair(client, engine, opening(seed - 1000 - number), gateway_first=True)
            hits, others = _cache_hits(server), ForeignCpu()
            pairs, cached = [], []
            for number in range(turns):
                text = opening(seed + number)
                pairs.append(_pair(client, engine, text, gateway_first=number % 2 == 0))
                cached.append(client.time_to_first_audio_s(known[number % len(known)]))
                if (number + 1) % 50 == 0:
                    progress(f"{number + 1} of {turns} turns")
            foreign_share = others.share()
            hits = _cache_hits(server) - hits
    overhead = [through_gateway - bare for through_gateway, bare in pairs]
    bare_s = spread([bare for _, bare in pairs])
    return Overhead(
        turns=turns,
        gateway_s=spread([through_gateway for through_gateway, _ in pairs]),
        engine_s=bare_s,
        overhead_s=spread(overhead),
        ratio=spread(overhead).p50 / bare_s.p50,
        missed_p99_goal=share_above(overhead, GOAL_P99_S),
        cached_s=spread(cached),
        cache_hits=hits,
        foreign_cpu_share=foreign_share,
    )


def _cache_hits(server: Gateway) -> int:
    return int(server.metrics().value("cache_lookups_total", "hit"))


def _pair(
    client: Client, engine: Helper, text: Opening, *, gateway_first: bool
) -> tuple[float, float]:
    """The gateway's time and the bare engine's, for the same text."""
    if gateway_first:
        through_gateway = client.time_to_first_audio_s(text)
        return through_gateway, _engine_s(engine, text.chunk)
    bare = _engine_s(engine, text.chunk)
    return client.time_to_first_audio_s(text), bare


def _engine_s(engine: Helper, chunk: TextChunk) -> float:
    # The same pause as the gateway has, so that neither engine is warmer than the other.
    time.sleep(_PAUSE_S)
    engine.pipe.send(chunk)
    seconds: float = engine.receive(_TIMEOUT_S)
    return seconds


@contextmanager
def open_client(port: int) -> Iterator[Client]:
    """A session on the gateway that listens on ``port`` of this machine."""
    connection, received = websocket.connect(HOST, port, "/v1/speak", "voice.v1", _TIMEOUT_S)
    with connection:
        client = Client(connection, received)
        client.wait_for("ready")
        yield client


class Client:
    """A client on a blocking socket, so that nothing but the kernel stands behind its times."""

    def __init__(self, connection: socket.socket, received: bytes) -> None:
        self._connection = connection
        self._frames = self._receive_frames(websocket.FrameReader(received))

    def time_to_first_audio_s(self, text: Opening, pause_s: float = _PAUSE_S) -> float:
        """Seconds from sending the end of the first clause to the first audio of its chunk.

        ``pause_s`` lies between the message before and that one.
        """
        self._send("start")
        self.wait_for("started")
        self._send("text", text=text.before)
        time.sleep(pause_s)
        begin = time.perf_counter()
        self._send("text", text=text.completing)
        spoken = self._wait_for_audio()
        duration_s = time.perf_counter() - begin
        assert spoken == [text.chunk.source], f"spoke {spoken}, not {text.chunk.source!r}"
        self._send("cancel", context="default")
        self.wait_for("cancelled")
        self._send("end")
        self.wait_for("done")
        return duration_s

    def speak_whole(self, text: Opening) -> None:
        """Have the chunk spoken to its end, so that the cache keeps it."""
        self._send("start")
        self._send("text", text=text.before + text.completing)
        self._send("end")
        self.wait_for("done")

    def wait_for(self, wanted: str) -> None:
        """Skip messages up to one of this type."""
        for opcode, payload in self._frames:
            if opcode == websocket.TEXT and _type(payload) == wanted:
                return

    def _wait_for_audio(self) -> list[str]:
        """Skip messages up to the first audio; returns the texts of the chunks announced before.

        Nothing is parsed before the audio is there: that would count as the gateway's time.
        """
        texts = []
        for opcode, payload in self._frames:
            if opcode == websocket.BINARY:
                break
            texts.append(payload)
        messages = [json.loads(text) for text in texts]
        return [message["text"] for message in messages if message["type"] == "chunk"]

    def _send(self, kind: str, **fields: str) -> None:
        payload = json.dumps({"type": kind, **fields}).encode()
        self._connection.sendall(websocket.client_frame(websocket.TEXT, payload))

    def _receive_frames(self, reader: websocket.FrameReader) -> Iterator[tuple[int, bytes]]:
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
    message = json.loads(payload)
    if message["type"] == "error":
        raise ConnectionError(f"the gateway answered {message}")
    return str(message["type"])
