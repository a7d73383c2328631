"""A session with its surroundings played by hand: the test says what comes back and when."""

from __future__ import annotations

from typing import TypeVar

from gateway.media import EncodedFrame
from gateway.session import events
from gateway.session.protocol import Capabilities, Resolved, Session
from gateway.settings import Settings
from gateway.synthesis import EncodedRendering, RequestId, SpokenWord
from gateway.text.chunker import Chunker

E = TypeVar("E")
FRAME = 960


LEAD_S = 0.6
"""With which sessions of these tests start: their literal times follow from it."""


def make_settings(**sections: dict[str, object]) -> Settings:
    sections["pacing"] = {"lead_start_s": LEAD_S} | sections.get("pacing", {})
    return Settings(**sections)  # type: ignore[arg-type]


class Hand:
    """Drives one session; every call drains the outputs into ``log``."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or make_settings()
        capabilities = Capabilities(
            resolve_voice=lambda voice, language: Resolved(voice or "v", language or "en-us"),
            check_codec=lambda codec: 312 if codec.name == "opus" else 0,
            make_chunker=lambda language, text: Chunker(text, language),
        )
        self.session = Session("s", self.settings, capabilities, now=0.0)
        self.log: list[events.Output] = []
        self.position: dict[tuple[str, int], int] = {}
        self.session.receive_accepted(0.0)
        self.drain()

    def drain(self) -> None:
        self.log += self.session.outputs()

    def client(self, event: events.ClientEvent, now: float) -> None:
        self.session.receive_event(event, now)
        self.drain()

    def timer(self, now: float) -> None:
        self.session.handle_timer(now)
        self.drain()

    def take(self, kind: type[E]) -> list[E]:
        """Remove and return the logged outputs of this kind."""
        found = [output for output in self.log if isinstance(output, kind)]
        self.log = [output for output in self.log if not isinstance(output, kind)]
        return found

    def take_one(self, kind: type[E]) -> E:
        (found,) = self.take(kind)
        return found

    def request(self) -> RequestId:
        return self.take_one(events.Synthesize).request.id

    def rendered(
        self,
        request: RequestId,
        frames: int,
        now: float,
        *,
        final: bool = True,
        words: tuple[SpokenWord, ...] = (),
    ) -> None:
        """The engine made ``frames`` frames for ``request``, whose chunk begins where it stands."""
        key = (request.context, request.generation)
        start = self.position.get(key, 0)
        end = start + frames * FRAME
        self.session.receive_rendered(
            EncodedRendering(
                request,
                tuple(EncodedFrame(b"x", FRAME) for _ in range(frames)),
                words,
                start,
                end,
                final,
            ),
            now,
        )
        self.position[key] = end
        self.drain()

    def finished(self, now: float, frames: int = 1) -> None:
        """Answer the one FinishTrack that was asked."""
        asked = self.take_one(events.FinishTrack)
        key = (asked.context, asked.generation)
        self.position[key] = self.position.get(key, 0) + frames * FRAME
        self.session.receive_finished(
            asked.context,
            asked.generation,
            tuple(EncodedFrame(b"f", FRAME) for _ in range(frames)),
            now,
        )
        self.drain()

    def run_until(self, end: float) -> None:
        """Serve the session's timers, each at its time, until ``end``."""
        now = 0.0
        for _ in range(10_000):
            when = self.session.next_timer(now)
            if when is None or when > end:
                return
            now = max(now, when)
            self.timer(now)
        raise AssertionError("the session's timer never rests")
