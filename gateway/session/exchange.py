"""One request, one answer: a session without a socket, for HTTP and whatever else asks once.

    Start, text, End ─► runner ─► events ─► whoever iterates, as fast as it takes them

The session sends as soon as audio is made (``Start.lead_s`` is infinite); what the reader has not
taken yet is bounded, and above that bound synthesis waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from gateway.errors import GatewayError
from gateway.session import events
from gateway.session.protocol import Session
from gateway.session.runner import Runner, Services

WAITING_BYTES_MAX = 262_144
"""Audio that waits for the reader before the session is held back."""


class Exchange:
    """Speaks ``text`` once; iterate over ``answer``, then ``close``."""

    def __init__(self, session: Session, services: Services) -> None:
        self.session = session
        self.runner = Runner(session, services, self)
        self._events: deque[events.ServerEvent] = deque()
        self._waiting_bytes = 0
        self._came = asyncio.Event()
        self._ended = False

    def begin(self, start: events.Start, text: str) -> None:
        """Ask for the speech.  Raises what the session refuses: InvalidValue, LimitExceeded…"""
        self.runner.begin()
        for event in (
            start,
            events.Text(start.context, text),
            events.End(start.context),
        ):
            self.runner.receive_event(event)
            self._raise_refusal()

    def _raise_refusal(self) -> None:
        for event in self._events:
            if isinstance(event, events.Failed):
                raise event.error

    async def answer(self) -> AsyncIterator[events.ServerEvent]:
        """Everything that the session says, up to ``Done``.

        Raises the GatewayError of a chunk that could not be spoken, or that ended the session.
        """
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, events.Failed):
                    raise event.error
                if isinstance(event, events.Audio):
                    self._receive_taken(sum(map(len, event.payloads)))
                yield event
                if isinstance(event, events.Done):
                    return
            if self._ended:
                raise GatewayError("the speech ended early")
            self._came.clear()
            await self._came.wait()

    def _receive_taken(self, size: int) -> None:
        self._waiting_bytes -= size
        if self._waiting_bytes + size > WAITING_BYTES_MAX >= self._waiting_bytes:
            self.runner.receive_congestion(False)

    def close(self) -> None:
        """The reader is done, or gone.  Idempotent."""
        self.runner.lose()

    def drain(self) -> None:
        """The gateway shuts down: this speech is finished first."""
        self.runner.drain()

    # ── the session's outlet ───────────────────────────────────────────────────────────────────

    def send(self, event: events.ServerEvent) -> None:
        """Keep ``event`` for the reader."""
        self._events.append(event)
        self._came.set()
        if isinstance(event, events.Audio):
            before = self._waiting_bytes
            self._waiting_bytes += sum(map(len, event.payloads))
            if before <= WAITING_BYTES_MAX < self._waiting_bytes:
                self.runner.receive_congestion(True)

    def end(self, code: int, reason: str) -> None:
        """The session is over."""
        self._ended = True
        self._came.set()
