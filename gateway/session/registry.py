"""Who is here, and who may come in.  Pure.

``Member`` is what the registry keeps for a session; the shell hands in its connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gateway.errors import Draining, Overloaded


class Member(Protocol):
    """The shell of a session."""

    def drain(self) -> None:
        """The gateway shuts down."""
        ...


M = TypeVar("M")


def new_session_id() -> str:
    """An unguessable name for a session."""
    return secrets.token_urlsafe(12)


class Registry(Generic[M]):
    """The sessions of one process, parked ones too."""

    def __init__(
        self, sessions_max: int, check_load: Callable[[int], None] = lambda sessions: None
    ) -> None:
        """``check_load(sessions)`` raises Overloaded if the engines can't serve one more."""
        self._sessions_max = sessions_max
        self._check_load = check_load
        self._members: dict[str, M] = {}
        self._tell_empty: Callable[[], None] | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[M, ...]:
        """Everybody who is here, oldest first."""
        return tuple(self._members.values())

    def check_room(self) -> None:
        """Raises Draining or Overloaded if nobody may come in."""
        if self.draining:
            raise Draining("the gateway is shutting down; connect again in a moment")
        if len(self._members) >= self._sessions_max:
            raise Overloaded(
                f"{self._sessions_max} sessions are open, the limit of this gateway; try later",
                field="sessions_max",
                limit=self._sessions_max,
            )
        self._check_load(len(self._members))

    def add(self, session_id: str, member: M) -> None:
        """Let a session in; ``check_room`` comes first."""
        assert session_id not in self._members, session_id
        self._members[session_id] = member

    def remove(self, session_id: str) -> None:
        """A session is gone."""
        del self._members[session_id]
        self._check_empty()

    def when_empty(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` as soon as nobody is here, which may be now."""
        self._tell_empty = tell
        self._check_empty()

    def _check_empty(self) -> None:
        if self._tell_empty is not None and not self._members:
            self._tell_empty()
