"""Clients that break, flood, stall or vanish, while a well-behaved one listens and hears no gap.

Every test runs against one gateway whose limits are so low that they are met in a second or two.
After each test the hostile sessions are gone, their sockets are closed, the log has no stack trace,
and the listener has had no underrun and plays on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.client import Audio, Context, Done, connect
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.raw_websocket import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    RawWebSocket,
    build_frame,
    resident_bytes,
    upgrade_request,
)

pytestmark = pytest.mark.timeout(60)

SENTENCE = "This sentence is read aloud to somebody who does not care for it. "
MEBIBYTE = 1 << 20
MEMORY_BYTES_MAX = 30 * MEBIBYTE
"""What one hostile client may cost while it lasts; most of it is fragmentation."""


class Listener:
    """Somebody who listens to endless speech, in a thread and event loop of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._context: Context | None = None
        self._executor = ThreadPoolExecutor(1)
        self._playing = threading.Event()
        self._future = self._executor.submit(lambda: asyncio.run(self._listen()))

    async def _listen(self) -> tuple[int, Done]:
        """Frames that came, and what the gateway says it sent."""
        async with connect(self._url) as session:
            self._context = context = await session.start()
            speaking = asyncio.create_task(self._speak(context))
            frames = 0
            async for event in context:
                if isinstance(event, Audio):
                    frames += len(event.frames)
                    self._playing.set()
            await speaking
            assert context.done is not None
            return frames, context.done

    async def _speak(self, context: Context) -> None:
        for number in itertools.count(1):
            if self._stop.is_set():
                break
            await context.send_text(f"Sentence number {number} follows. ")
            # A sentence lasts some two seconds; always three are ahead.
            ahead_s = number * 2 - self.figures()[1] / 48_000 - 4
            await asyncio.to_thread(self._stop.wait, max(0.0, ahead_s))
        await context.end()

    def wait_until_it_plays(self) -> None:
        """Until the first audio has come."""
        assert self._playing.wait(10), self._future.exception(0)

    def figures(self) -> tuple[int, int]:
        """(underruns so far, samples played so far)."""
        assert not self._future.done(), self._future.result()
        assert self._context is not None
        player, now = self._context.player, time.monotonic()
        return player.underrun_count(now), player.played_samples(now)

    def finish(self) -> tuple[int, Done]:
        """Let the speech end; returns frames received and ``done``."""
        self._stop.set()
        self._executor.shutdown(wait=False)
        return self._future.result(60)


@pytest.fixture(scope="module")
def fortress() -> Iterator[GatewayProcess]:
    """A gateway that loses its patience early."""
    running = start_gateway(
        **{f"limits__{name}": "1" for name in ("start_timeout_s", "park_s")},
        limits__handshake_timeout_s="1",
        limits__send_timeout_s="1",
        limits__send_buffer_bytes_max="65536",
        limits__messages_per_s_max="1000",
        limits__messages_burst_max="500",
        server__ping_interval_s="1",
        server__ping_timeout_s="1",
    )
    yield running
    wait_until(lambda: running.metric("sessions_open") == 0, 5)
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture(scope="module")
def listener(fortress: GatewayProcess) -> Iterator[Listener]:
    """Listens from the first test to the last, and misses nothing."""
    listening = Listener(fortress.websocket_url)
    listening.wait_until_it_plays()
    yield listening
    frames, done = listening.finish()
    assert frames == done.frames
    assert frames * 960 > done.duration_samples > 48_000


@pytest.fixture(autouse=True)
def _others_are_not_disturbed(fortress: GatewayProcess, listener: Listener) -> Iterator[None]:
    files_before, lines_before = open_files(fortress), len(fortress.log)
    underruns_before, played_before = listener.figures()
    yield
    # A stranger must not be able to fill the log with stack traces.
    assert "Traceback" not in "".join(fortress.log[lines_before:])
    wait_until(lambda: fortress.metric("sessions_open") == 1, 5)
    wait_until(lambda: open_files(fortress) <= files_before, 5)
    wait_until(lambda: listener.figures()[1] > played_before, 2)
    assert listener.figures()[0] == underruns_before


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)


def open_files(gateway: GatewayProcess) -> int:
    """File descriptors, hence sockets, that the gateway holds."""
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


class Memory:
    """The most that a gateway's memory grew since this object was made."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._pid = gateway.process.pid
        self._before = resident_bytes(self._pid)
        self.growth = 0

    def look(self) -> None:
        self.growth = max(self.growth, resident_bytes(self._pid) - self._before)


def ready(gateway: GatewayProcess, **options: int) -> RawWebSocket:
    client = RawWebSocket(gateway.websocket_url, **options)
    client.hear("ready")
    return client


# ── taking nothing ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", ["opus", "pcm"])
def test_a_client_that_stops_reading_is_cut_in_bounded_time(
    fortress: GatewayProcess, codec: str
) -> None:
    memory, files = Memory(fortress), open_files(fortress)
    with ready(fortress, receive_buffer_bytes=1024) as deaf:
        for number in range(8):
            context = f"{number}"
            deaf.say(type="start", context=context, codec=codec, sample_rate=48_000)
            deaf.say(type="text", context=context, text=SENTENCE * 200)

        def gone() -> bool:
            memory.look()
            return fortress.metric("sessions_open") == 1 and open_files(fortress) <= files

        # A ping that is not answered: 1 s + 1 s; a full buffer, and no byte taken: 1 s.
        wait_until(gone, 6)
    assert memory.growth < MEMORY_BYTES_MAX


def test_pongs_that_nobody_reads_do_not_pile_up(fortress: GatewayProcess) -> None:
    memory = Memory(fortress)
    pings = build_frame(PING, b"x" * 125) * 500
    sent = 0
    with ready(fortress, receive_buffer_bytes=1024) as deaf:
        deaf.say(type="start")
        with contextlib.suppress(OSError):  # cut, or no longer read from: either is right
            deaf.socket.settimeout(2)
            while sent < 100_000_000:
                deaf.send_bytes(pings)
                sent += len(pings)
                memory.look()
        assert sent < 100_000_000
    assert memory.growth < MEMORY_BYTES_MAX


# ── leaving ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("leave", [RawWebSocket.reset, RawWebSocket.close])
def test_a_client_that_vanishes_in_mid_speech_is_forgotten(
    fortress: GatewayProcess, leave: Callable[[RawWebSocket], None]
) -> None:
    clients = [ready(fortress) for _ in range(10)]
    for client in clients:
        client.say(type="start")
        client.say(type="text", text=SENTENCE * 5)
        client.hear("chunk")
    assert fortress.metric("sessions_open") == 11
    for client in clients:
        leave(client)
    wait_until(lambda: fortress.metric("sessions_open") == 1, 2)


def test_odd_close_codes_do_not_multiply_the_metrics(fortress: GatewayProcess) -> None:
    for code in range(3000, 3100):
        with ready(fortress) as client:
            client.send(0x8, code.to_bytes(2, "big"))
            assert client.close_code() == code
    text = httpx.get(f"{fortress.url}/metrics").text
    assert len(re.findall(r"^voice_gateway_closed_total\{", text, re.MULTILINE)) < 20


# ── garbage ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("garbage", "close_code"),
    [
        pytest.param(bytes(range(200, 256)) * 40, 1002, id="no frame at all"),
        pytest.param(b"\xc1\x80\x00\x00\x00\x00", 1002, id="a reserved bit"),
        pytest.param(b"\x83\x80\x00\x00\x00\x00", 1002, id="an unknown opcode"),
        pytest.param(b"\x81\x02{}", 1002, id="a frame that is not masked"),
        pytest.param(build_frame(CONTINUATION, b"x"), 1002, id="a continuation of nothing"),
        pytest.param(build_frame(PING, b"x" * 126), 1002, id="a control frame that is too long"),
        pytest.param(build_frame(0x8, b"\x03"), 1002, id="half a close code"),
        pytest.param(build_frame(TEXT, b'{"type":"flush"\xff}'), 1007, id="text that is not UTF-8"),
        pytest.param(
            build_frame(TEXT, b'{"type":"text","text":"\xed\xa0\x80"}'),
            1007,
            id="a surrogate as three bytes",
        ),
    ],
)
def test_broken_frames_end_the_session_with_the_code_of_the_rfc(
    fortress: GatewayProcess, garbage: bytes, close_code: int
) -> None:
    with ready(fortress) as client:
        client.send_bytes(garbage)
        assert client.close_code() == close_code


@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [
        (TEXT, b'{"type":"text","text":"\\ud800"}', "protocol_violation"),
        (TEXT, b"not JSON", "protocol_violation"),
        (TEXT, b"", "protocol_violation"),
        (TEXT, b"[" * 20_000, "protocol_violation"),
        (TEXT, b'{"type":"shout"}', "protocol_violation"),
        (TEXT, b'{"type":"text","text":7}', "invalid_value"),
        (TEXT, b'{"type":"text","text":"to nobody"}', "protocol_violation"),
        (TEXT, b'{"type":"start","context":"' + b"c" * 65 + b'"}', "limit_exceeded"),
        (BINARY, bytes(1000), "protocol_violation"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_the_session_goes_on(
    fortress: GatewayProcess, opcode: int, payload: bytes, code: str
) -> None:
    with ready(fortress) as client:
        client.send(opcode, payload)
        error = client.hear("error")
        assert (error["code"], error["fatal"]) == (code, False)
        client.say(type="start")
        assert client.hear("started")["context"] == "default"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS to a plain port
        b"GET /v1/speak\xff HTTP/1.1\r\nHost: \xff\r\nUpgrade: websocket\r\n\r\n",
        b"GET /v1/speak HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_a_broken_handshake_is_refused(fortress: GatewayProcess, request_bytes: bytes) -> None:
    with tcp(fortress) as plain:
        plain.sendall(request_bytes)
        assert plain.recv(1000).startswith(b"HTTP/1.1 400")


def test_half_an_opening_handshake_keeps_nobody_out(fortress: GatewayProcess) -> None:
    half = upgrade_request(fortress.websocket_url)[:-10]
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(tcp(fortress)).sendall(half)
        with ready(fortress) as client:
            client.say(type="start")
            assert client.hear("started")["context_number"] == 0


def test_half_an_opening_handshake_is_not_waited_for(fortress: GatewayProcess) -> None:
    with tcp(fortress) as connection:
        connection.sendall(upgrade_request(fortress.websocket_url)[:-10])
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def tcp(gateway: GatewayProcess) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 5)


# ── too much ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fragmented", [False, True])
def test_ten_megabytes_in_one_message_are_cut_short_with_1009(
    fortress: GatewayProcess, fragmented: bool
) -> None:
    memory = Memory(fortress)
    frame = build_frame(TEXT, b"x" * 10_000_000)
    if fragmented:
        piece = b"x" * 60_000
        frame = build_frame(TEXT, piece, fin=False)
        frame += build_frame(CONTINUATION, piece, fin=False) * 166
    with ready(fortress) as client:
        client.send_bytes(frame[:300_100])  # as much as the limit, and a little more
        assert client.close_code() == 1009
        with contextlib.suppress(OSError):
            client.send_bytes(frame[300_100:])
    memory.look()
    assert memory.growth < MEMORY_BYTES_MAX


def test_a_message_in_endless_pieces_of_nothing_is_cut(fortress: GatewayProcess) -> None:
    pieces = build_frame(CONTINUATION, fin=False) * 10_000
    with ready(fortress) as client:
        client.say(type="start")
        client.hear("started")
        client.send(TEXT, b"{", fin=False)
        sent = 0
        with contextlib.suppress(OSError):
            for _ in range(100):
                client.send_bytes(pieces)
                sent += 10_000
        # Memory of the gateway's would grow with every piece, though no byte of text comes.
        assert sent < 1_000_000


def test_ten_megabytes_of_text_are_refused_in_part_and_can_be_cancelled(
    fortress: GatewayProcess,
) -> None:
    memory = Memory(fortress)
    text = SENTENCE * 900
    count = 10_000_000 // len(text)
    with ready(fortress) as client:
        client.say(type="start")
        for _ in range(count):
            client.say(type="text", text=text)
        client.say(type="cancel")
        refused = 0
        for frame in client.frames():
            if frame.opcode != TEXT:
                continue
            if frame.json["type"] == "error":
                refused += 1
                assert frame.json["code"] == "limit_exceeded"
                assert (frame.json["field"], frame.json["limit"]) == ("text", 100_000)
                memory.look()
            elif frame.json["type"] == "cancelled":
                break
    assert refused == count - 1
    assert memory.growth < MEMORY_BYTES_MAX


def test_tokens_of_one_byte_are_read_slower_and_cut_into_the_same_chunks(
    fortress: GatewayProcess,
) -> None:
    text = SENTENCE * 15
    assert len(text) == 990
    with ready(fortress) as client:
        client.say(type="start")
        client.send_bytes(
            b"".join(
                build_frame(TEXT, b'{"type":"text","text":"%c"}' % ord(character))
                for character in text
            )
        )
        first: dict[object, dict[str, object]] = {}
        while not {"chunk", "warning"} <= first.keys():
            frame = client.receive()
            if frame.opcode == TEXT:
                first.setdefault(frame.json["type"], frame.json)
        assert first["chunk"]["text"] == SENTENCE.rstrip()
        assert (first["warning"]["code"], first["warning"]["limit"]) == ("rate_limited", 1000.0)
        client.say(type="cancel")
        assert client.hear("cancelled")["open"] is True
        assert "error" not in first


def test_a_hundred_contexts_are_32_and_68_errors(fortress: GatewayProcess) -> None:
    with ready(fortress) as client:
        for number in range(100):
            client.say(type="start", context=f"c{number}")
            if number < 32:
                client.say(type="text", context=f"c{number}", text=SENTENCE)
        client.say(type="cancel")
        kinds = [
            frame.json["type"]
            for frame in itertools.takewhile(
                lambda frame: (
                    frame.opcode != TEXT
                    or frame.json.get("context") != "c31"
                    or frame.json["type"] != "cancelled"
                ),
                client.frames(),
            )
            if frame.opcode == TEXT
        ]
        assert kinds.count("started") == 32
        assert kinds.count("error") == 68
        assert kinds.count("cancelled") == 31  # and c31's, which ended the list


def test_a_flood_of_starts_and_cancels_is_answered_one_by_one(fortress: GatewayProcess) -> None:
    memory = Memory(fortress)
    rounds = b"".join(
        build_frame(TEXT, message)
        for message in (
            b'{"type":"start"}',
            b'{"type":"text","text":"Speak this at once. "}',
            b'{"type":"end"}',
            b'{"type":"cancel"}',
        )
    )
    with ready(fortress) as client:
        client.send_bytes(rounds * 450)
        kinds: list[object] = []
        while kinds.count("cancelled") < 450:
            frame = client.receive()
            if frame.opcode == TEXT:
                kinds.append(frame.json["type"])
        assert kinds.count("started") == 450
        assert "error" not in kinds
    memory.look()
    assert memory.growth < MEMORY_BYTES_MAX


# ── too little ─────────────────────────────────────────────────────────────────────────────────


def test_a_client_that_says_nothing_is_told_and_closed(fortress: GatewayProcess) -> None:
    began = time.monotonic()
    with ready(fortress) as client:
        error = client.hear("error")
        assert (error["code"], error["field"], error["fatal"]) == (
            "limit_exceeded",
            "start_timeout_s",
            True,
        )
        assert client.receive().close_code == 1001
    assert 0.9 < time.monotonic() - began < 2.5


def test_nothing_but_punctuation_is_silence(fortress: GatewayProcess) -> None:
    with ready(fortress) as client:
        client.say(type="start")
        client.say(type="text", text="... --- !!! ?? ,,, ()")
        client.say(type="end")
        done = client.hear("done")
        assert (done["duration_samples"], done["frames"], done["text_offset"]) == (0, 0, 21)


def test_a_lot_of_punctuation_holds_nobody_up(fortress: GatewayProcess) -> None:
    text = "!?.,;:-" * 9300
    with ready(fortress) as client:
        for number in range(8):
            client.say(type="start", context=f"c{number}")
            client.say(type="text", context=f"c{number}", text=text)
            client.say(type="end", context=f"c{number}")
        began = time.monotonic()
        assert httpx.get(f"{fortress.url}/healthz").status_code == 200
        # Some milliseconds; as long as all of that text takes, if nobody else is served meanwhile.
        assert time.monotonic() - began < 1.5
        for _ in range(8):
            assert client.hear("done")["text_offset"] == len(text)
