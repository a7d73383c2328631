"""A small gateway that parks sessions: the other side of the browser client's tests of resuming.

It speaks voice.v1 with ``resume`` from the document, not from our server's code, so that the client
cannot agree with our server about something wrong.  Its speech is PCM in which no two stretches are
alike, so that a lost or repeated sample shows.  Faults are asked for by the test: ``cut()`` ends
the TCP connection without a word, ``go_silent()`` leaves it open but takes and sends nothing, as a
network does that has forgotten us.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

FRAME_SAMPLES = 960
FRAMES_PER_MESSAGE = 2
LEAD_S = 0.6
WORD_SAMPLES = 9_600
ACK_S = 0.2


def speech_of(samples: int) -> npt.NDArray[np.int16]:
    """The speech of any text: quiet noise from a fixed seed."""
    noise = np.random.default_rng(1).integers(-3000, 3000, samples)
    return noise.astype("<i2")


@dataclass
class Session:
    """What outlives a socket."""

    id: str
    secret: str
    connection: ServerConnection | None = None
    received: int = 0
    sent: int = 0
    kept: list[str | bytes] = field(default_factory=list)
    """Messages that the client has not acknowledged, the last one is number ``sent``."""
    commands: list[dict[str, Any]] = field(default_factory=list)
    acknowledges: bool = False
    ack_is_due: bool = False
    generation: int = 0
    speaking: threading.Event = field(default_factory=threading.Event)

    def texts(self) -> list[str]:
        return [command["text"] for command in self.commands if command["type"] == "text"]


class ResumingGateway:
    """Serves until closed; ``sessions`` in the order in which they began."""

    def __init__(self, *, speech_s: float = 2.0, window_s: float = 30.0) -> None:
        self.speech = speech_of(round(speech_s * 48_000))
        self.window_s = window_s
        self.sessions: list[Session] = []
        self.resumes: list[dict[str, Any]] = []
        self.close_codes: list[int | None] = []
        self.refuses_resumes = False
        self._silent = False
        self._lock = threading.RLock()
        self._server = serve(
            self._handle, "127.0.0.1", 0, subprotocols=[Subprotocol("voice.v1")], close_timeout=0.2
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1/speak"

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    def cut(self) -> None:
        """End the TCP connection; no close frame."""
        connection = self.session.connection
        assert connection is not None
        connection.socket.shutdown(socket.SHUT_RDWR)

    def go_silent(self) -> None:
        """Until the next socket: take nothing, send nothing, say nothing."""
        self._silent = True

    def close(self) -> None:
        for session in self.sessions:
            session.speaking.clear()
        self._server.shutdown()
        self._thread.join()

    def _handle(self, connection: ServerConnection) -> None:
        try:
            session = self._open(connection)
            if session is not None:
                for message in connection:
                    if self._silent and session.connection is connection:
                        continue  # it never arrived
                    if session.connection is not connection:
                        break
                    self._receive(session, json.loads(message))
        except (ConnectionClosed, OSError):
            pass
        self.close_codes.append(connection.protocol.close_code)

    def _open(self, connection: ServerConnection) -> Session | None:
        assert connection.request is not None
        asked = parse_qs(urlsplit(connection.request.path).query).get("resume")
        if asked is None:
            return self._begin(connection)
        first = json.loads(connection.recv())
        self.resumes.append(first)
        session = next((one for one in self.sessions if one.id == asked[0]), None)
        known = session is not None and first["secret"] == session.secret
        if session is None or not known or self.refuses_resumes:
            refusal = {"type": "error", "code": "resume_refused", "message": "gone", "fatal": True}
            connection.send(json.dumps(refusal))
            connection.close(4404)
            return None
        self._go_on(session, connection, first["received"])
        return session

    def _begin(self, connection: ServerConnection) -> Session:
        number = len(self.sessions)
        session = Session(f"s{number}", f"secret-{number}", connection)
        self.sessions.append(session)
        self._send(
            session,
            type="ready",
            protocol="voice.v1",
            session=session.id,
            prebuffer_samples=2880,
            resume={"secret": session.secret, "window_s": self.window_s},
        )
        return session

    def _go_on(self, session: Session, connection: ServerConnection, received: int) -> None:
        with self._lock:
            before, session.connection = session.connection, connection
            self._silent = False
            if before is not None:
                threading.Thread(target=before.close, args=(4409,)).start()
            self._acknowledged(session, received)
            answer = {"type": "resumed", "session": session.id, "received": session.received}
            connection.send(json.dumps({**answer, "window_s": self.window_s, "contexts": []}))
            for message in session.kept:
                connection.send(message)

    def _acknowledged(self, session: Session, received: int) -> None:
        forgotten = session.sent - len(session.kept)
        assert forgotten <= received <= session.sent, (forgotten, received, session.sent)
        del session.kept[: received - forgotten]

    def _receive(self, session: Session, command: dict[str, Any]) -> None:
        with self._lock:
            session.received += 1
            session.commands.append(command)
            if "received" in command:
                session.acknowledges = True
                self._acknowledged(session, command["received"])
            kind = command["type"]
            if kind == "start":
                self._send(session, **started(command["context"]))
            elif kind == "end":
                session.speaking.set()
                threading.Thread(target=self._speak, args=(session, command["context"])).start()
            elif kind == "cancel":
                session.speaking.clear()
                session.generation += 1
                self._send(session, **cancelled(command, session.generation))
            if session.acknowledges and not session.ack_is_due:
                session.ack_is_due = True
                threading.Timer(ACK_S, self._acknowledge, [session]).start()

    def _acknowledge(self, session: Session) -> None:
        with self._lock:
            session.ack_is_due = False
            self._send(session, type="ack", received=session.received)

    def _send(self, parked: Session, /, **event: Any) -> None:
        self._deliver(parked, json.dumps(event))

    def _deliver(self, session: Session, message: str | bytes) -> None:
        with self._lock:
            session.sent += 1
            session.kept.append(message)
            if not self._silent and session.connection is not None:
                try:
                    session.connection.send(message)
                except (ConnectionClosed, OSError):
                    session.connection = None  # parked

    def _speak(self, session: Session, context: str) -> None:
        self._send(session, **chunk(context, "".join(session.texts()), len(self.speech)))
        began = time.monotonic()
        step = FRAME_SAMPLES * FRAMES_PER_MESSAGE
        frames = len(self.speech) // FRAME_SAMPLES
        for at in range(0, len(self.speech), step):
            time.sleep(max(0.0, began + at / 48_000 - LEAD_S - time.monotonic()))
            with self._lock:
                if not session.speaking.is_set():
                    return
                last = at + step >= len(self.speech)
                self._deliver(session, audio(self.speech[at : at + step], at, last=last))
        ended = {"duration_samples": len(self.speech), "frames": frames, "text_offset": 0}
        self._send(session, type="done", context=context, generation=0, **ended)


def started(context: str) -> dict[str, Any]:
    return {
        "type": "started",
        "context": context,
        "context_number": 0,
        "generation": 0,
        "codec": "pcm",
        "sample_rate": 48_000,
        "channels": 1,
        "frame_duration_ms": 20,
        "preskip_samples": 0,
    }


def cancelled(command: dict[str, Any], generation: int) -> dict[str, Any]:
    played = command["played_samples"]
    heard = {"text_offset": 0, "word": "", "played_samples": played, "source": "client"}
    context = command["context"]
    kind = "cancelled"
    return {
        "type": kind,
        "context": context,
        "generation": generation,
        "heard": heard,
        "open": True,
    }


def chunk(context: str, text: str, samples: int) -> dict[str, Any]:
    words = [
        {
            "text": f"w{i}",
            "start": i,
            "end": i + 1,
            "timestamp": i * WORD_SAMPLES,
            "duration": WORD_SAMPLES,
        }
        for i in range(samples // WORD_SAMPLES)
    ]
    place = {"chunk": 0, "text": text, "start": 0, "end": len(text), "timestamp": 0}
    return {"type": "chunk", "context": context, "generation": 0, **place, "words": words}


def audio(samples: npt.NDArray[np.int16], at: int, *, last: bool) -> bytes:
    frames = [samples[i : i + FRAME_SAMPLES] for i in range(0, len(samples), FRAME_SAMPLES)]
    flags = (at == 0) | last << 1
    header = struct.pack(
        "<BBHHHII", 1 << 4 | flags, len(frames), 0, 0, FRAME_SAMPLES, at // FRAME_SAMPLES, at
    )
    return header + b"".join(
        struct.pack("<H", frame.nbytes) + frame.astype("<i2").tobytes() for frame in frames
    )
