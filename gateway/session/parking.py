"""Who may come back, and what is kept for them meanwhile.

A client that loses its socket gets its session back by the session's id and a secret that only this
client was told.  The lot knows every session that can be resumed: those whose client is there (a
client may take over its own half-open socket) and those that are parked.

    register ──► [client there] ──park──► [parked until expires_at] ──► forget
                      ▲                            │
                      └───────── unpark ◄──────────┘          claim: id + secret → what is held

The identity (``Ticket``) is data and stands apart from the live object that is held.  The lot of
one process holds the object itself.  A lot that several processes share would hold, for each
ticket, either the address of the process that has the session (a claim is then answered by
forwarding the socket), or the session's state in a form that another process can load: per context
the text that was taken but not spoken, generation and chunk number, the position and the state of
the encoder, the frames that wait and the playout model in wall time; for the session the context
numbers used, the message log and both counts (``Resumption``).  Chunks at an engine are asked for
again.  Times of expiry are the loop's here; between processes they must be wall time.

The secret has 256 random bits and is kept as its SHA-256 only, compared in constant time.  Refusals
tell nobody whether a session exists.  Pure: ``now`` is an argument; whoever parks lets it expire.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.errors import ResumeRefused

H = TypeVar("H")

_NOBODY = bytes(32)
"""Compared with where there is no session, so that the delay of a refusal tells nothing."""


def new_secret() -> str:
    """What a client proves with that a session is its own."""
    return secrets.token_urlsafe(32)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may have a session back."""

    session: str
    secret_hash: bytes

    @classmethod
    def of(cls, session: str, secret: str) -> Ticket:
        """The ticket of whoever knows ``secret``."""
        return cls(session, _hash(secret))


class ParkingLot(Protocol[H]):
    """What the shells need of a lot."""

    @property
    def parked(self) -> int:
        """Sessions that wait for their client."""
        ...

    def register(self, ticket: Ticket, held: H) -> None:
        """A session begins that can be resumed."""
        ...

    def park(self, session: str, expires_at: float) -> bool:
        """Its client is lost; returns False if there is no room to wait."""
        ...

    def claim(self, session: str, secret: str, now: float) -> H:
        """What is held for whoever knows ``secret``; raises ResumeRefused.  Changes nothing."""
        ...

    def unpark(self, session: str) -> None:
        """Its client is back."""
        ...

    def forget(self, session: str) -> None:
        """The session is over.  Idempotent."""
        ...


@dataclass(slots=True)
class _Place(Generic[H]):
    ticket: Ticket
    held: H
    expires_at: float | None = None


class LocalParkingLot(Generic[H]):
    """The lot of one process, in its memory."""

    def __init__(self, parked_max: int) -> None:
        self._parked_max = parked_max
        self._places: dict[str, _Place[H]] = {}
        self.parked = 0

    def __len__(self) -> int:
        return len(self._places)

    def register(self, ticket: Ticket, held: H) -> None:
        """A session begins that can be resumed."""
        assert ticket.session not in self._places, ticket.session
        self._places[ticket.session] = _Place(ticket, held)

    def park(self, session: str, expires_at: float) -> bool:
        """Its client is lost; returns False if there is no room to wait."""
        place = self._places[session]
        assert place.expires_at is None, f"{session} is parked already"
        if self.parked >= self._parked_max:
            return False
        place.expires_at = expires_at
        self.parked += 1
        return True

    def claim(self, session: str, secret: str, now: float) -> H:
        """What is held for whoever knows ``secret``; raises ResumeRefused.  Changes nothing."""
        place = self._places.get(session)
        wanted = _NOBODY if place is None else place.ticket.secret_hash
        right = hmac.compare_digest(_hash(secret), wanted)
        late = place is not None and place.expires_at is not None and now >= place.expires_at
        if place is None or not right or late:
            raise ResumeRefused(
                "resume: there is no such session any more, or the secret is not its own; "
                "open a new session",
                field="resume",
            )
        return place.held

    def unpark(self, session: str) -> None:
        """Its client is back."""
        place = self._places[session]
        self.parked -= place.expires_at is not None
        place.expires_at = None

    def forget(self, session: str) -> None:
        """The session is over.  Idempotent."""
        place = self._places.pop(session, None)
        self.parked -= place is not None and place.expires_at is not None
