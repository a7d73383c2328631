"""The shell around one client's session, whichever WebSocket carries it at present.

    socket A ──► Connection ──┐
                              ├──► Conversation ──► runner ──► session
    socket B ──► Connection ──┘      │   ▲
      (after a cut of A)             │   └── what the session says: adapter.send ─► log ─► socket
                                     └── no socket: parked; what is said waits in the log

A session whose socket is lost is parked if its protocol can resume; it has a ``Resumption`` then.
It ends when its client comes back no more, when the gateway drains, or when its client leaves on
purpose: ``over`` is called, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial

from gateway.errors import ClientError, ProtocolViolation, ResumeRefused
from gateway.session import events
from gateway.session.parking import ParkingLot
from gateway.session.protocol import Session
from gateway.session.resumption import Resumption
from gateway.session.runner import Runner, Services
from gateway.session.socket import ClientSocket
from gateway.wire.base import Acknowledge, Adapter, FromClient, Hangup, Reply, Resume
from gateway.wire.message_log import Message

logger = logging.getLogger(__name__)

CLOSE_TOO_SLOW = 4408
CLOSE_TAKEN_OVER = 4409

_CUT_CODES = frozenset({1006, 1011, 1012, 1013, 1014, CLOSE_TOO_SLOW})
"""A socket that ends so was lost: without a word, by an unanswered ping, by a proxy between us, or
because it took nothing any more.  Whoever closes otherwise does so on purpose."""


class Conversation:
    """One client's session; it may outlive its sockets."""

    def __init__(
        self,
        session: Session,
        adapter: Adapter,
        services: Services,
        lot: ParkingLot[Conversation],
        resumption: Resumption | None,
        over: Callable[[Conversation, int], None],
    ) -> None:
        self.session = session
        self.runner = Runner(session, services, self)
        self._adapter = adapter
        self._services = services
        self._lot = lot
        self._resumption = resumption
        self._tell_over: Callable[[Conversation, int], None] | None = over
        self._socket: ClientSocket | None = None
        self._evict: Callable[[], None] = _nobody
        self._close_code: int | None = None
        self._socket_full = False
        self._held_back = False
        self._ack_timer: asyncio.TimerHandle | None = None

    # ── its sockets ────────────────────────────────────────────────────────────────────────────

    def begin(
        self, socket: ClientSocket, evict: Callable[[], None], offer: events.ResumeOffer | None
    ) -> None:
        """The first socket is there; ``evict`` ends its reading if another one takes its place."""
        self._attach(socket, evict)
        self.runner.begin(offer)
        self.take(self._adapter.open)

    def check_resume(self, received: int) -> None:
        """Raises ResumeRefused if a client that has ``received`` messages can't go on."""
        assert self._resumption is not None
        if self.runner.over or not (self._socket is None or self.session.may_park):
            raise ResumeRefused("resume: the session is closing; open a new one", field="resume")
        self._resumption.log.check_since(received)

    def resume(
        self, socket: ClientSocket, evict: Callable[[], None], received: int, now: float
    ) -> bool:
        """Another socket goes on, after ``check_resume``; returns whether it took over an old one.

        The client is told what was taken of it, then gets everything after its ``received``
        messages again, and then what is new.
        """
        resumption = self._resumption
        assert resumption is not None
        taken_over = self._socket is not None
        if taken_over:
            self._hand_over(now)
        self._lot.unpark(self.session.id)
        missed = resumption.log.since(received)
        resumption.receive_acknowledgement(received)
        self._attach(socket, evict)
        told = resumption.acknowledge(now)
        window_s = self._services.settings.limits.park_s
        resumed = events.Resumed(self.session.id, told, window_s, self.session.positions)
        socket.allow(sum(map(len, missed)))
        for message in (*self._encoded(resumed), *missed):
            socket.put(message)
        self.runner.step(self.session.receive_resumed)
        self._settle_congestion()
        return taken_over

    def _hand_over(self, now: float) -> None:
        """The old socket may be half open: whoever reads it must not be waited for."""
        old, evict = self._socket, self._evict
        assert old is not None
        self._detach()
        old.close(CLOSE_TAKEN_OVER, "another socket took the session over")
        evict()
        self.runner.step(partial(self.session.receive_parked, until=now))

    def lose(self, socket: ClientSocket, code: int) -> None:
        """``socket`` is gone, by ``code``: the session is parked, or over."""
        if socket is not self._socket:
            return
        self._detach()
        if not self._park(self._close_code or code):
            self.runner.lose()
            self._over(self._close_code or code)

    def _park(self, code: int) -> bool:
        if self._resumption is None or self.runner.over or code not in _CUT_CODES:
            return False
        if not self.session.may_park or not self._resumption.log.complete:
            return False
        now = asyncio.get_running_loop().time()
        until = now + self._services.settings.limits.park_s
        if not self._lot.park(self.session.id, until):
            self._services.metrics.limit_reached("parked_sessions_max")
            return False
        self._close_code = None
        self.runner.step(partial(self.session.receive_parked, until=until))
        return True

    def _attach(self, socket: ClientSocket, evict: Callable[[], None]) -> None:
        self._socket, self._evict = socket, evict
        self._socket_full = self._held_back = False
        socket.too_slow = self._receive_too_slow
        socket.congestion = self._receive_congestion

    def _detach(self) -> None:
        if self._socket is not None:
            self._socket.too_slow = _nothing
            self._socket.congestion = _nothing
        self._socket, self._evict = None, _nobody
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None

    def _over(self, code: int) -> None:
        tell, self._tell_over = self._tell_over, None
        if tell is not None:
            tell(self, code)

    def drain(self) -> None:
        """The gateway shuts down."""
        self.runner.drain()

    # ── what the client says ───────────────────────────────────────────────────────────────────

    def take_message(self, read: Callable[[Adapter], Iterable[FromClient]]) -> None:
        """A message of the client came, which ``read`` gives to the adapter."""
        resumption = self._resumption
        if resumption is not None:
            resumption.receive_message()
        self.take(partial(read, self._adapter))
        if resumption is not None:
            self._settle_congestion()
            self._arm_ack(resumption)

    def take(self, read: Callable[[], Iterable[FromClient]]) -> None:
        """Do what the adapter makes of the client's words.  Its bug ends this session only."""
        try:
            concerned = False
            for each in read():
                if self.runner.over:
                    return
                concerned = concerned or not isinstance(each, Reply)
                self._do(each)
            if not concerned:
                self.runner.receive_sign_of_life()
        except ClientError as error:
            self.runner.receive_client_error(error)
        except Exception:
            logger.exception("session %s: a message could not be read", self.session.id)
            self.runner.crash()

    def _do(self, wish: FromClient) -> None:
        match wish:
            case Reply(message):
                self._say(message)
            case Hangup(code, reason):
                self._hang_up(code, reason)
            case Acknowledge(received):
                if self._resumption is not None:
                    self._resumption.receive_acknowledgement(received)
            case Resume():
                self.runner.receive_client_error(
                    ProtocolViolation(
                        "resume: only the first message of a socket that was opened with "
                        "?resume=SESSION resumes",
                        field="type",
                    )
                )
            case _:
                self.runner.receive_event(wish)

    def _arm_ack(self, resumption: Resumption) -> None:
        due_at = resumption.acknowledge_at()
        if due_at is None or self._ack_timer is not None or self.runner.over:
            return
        loop = asyncio.get_running_loop()
        if due_at <= loop.time():
            self._send_ack(resumption)
        else:
            self._ack_timer = loop.call_at(due_at, self._send_ack, resumption)

    def _send_ack(self, resumption: Resumption) -> None:
        self._ack_timer = None
        if not self.runner.over:
            told = resumption.acknowledge(asyncio.get_running_loop().time())
            self.send(events.Acknowledged(told))

    # ── what the session says: this is its outlet ──────────────────────────────────────────────

    def send(self, event: events.ServerEvent) -> None:
        """Tell the client of ``event``, in its protocol."""
        size = 0
        for message in self._adapter.send(event):
            if isinstance(message, Hangup):
                self._hang_up(message.code, message.reason)
                return
            size += len(message)
            self._say(message)
        if type(event) is events.Audio:
            self._services.metrics.audio_sent(len(event.payloads), size)

    def end(self, code: int, reason: str) -> None:
        """The session is over."""
        self._close(*self._adapter.end(code, reason))

    def _say(self, message: Message) -> None:
        if self._resumption is not None:
            self._resumption.record(message)
            if self._resumption.holds:
                self._settle_congestion()
        if self._socket is not None:
            self._socket.put(message)

    def _encoded(self, event: events.ServerEvent) -> Iterable[Message]:
        return [each for each in self._adapter.send(event) if not isinstance(each, Hangup)]

    def _hang_up(self, code: int, reason: str) -> None:
        self._close(code, reason)
        self.runner.lose()

    def _close(self, code: int, reason: str) -> None:
        if self._socket is None:  # parked
            self._over(code)
        elif self._close_code is None:
            self._close_code = code
            self._socket.close(code, reason)

    # ── a client that takes nothing ────────────────────────────────────────────────────────────

    def _receive_too_slow(self, limit: str) -> None:
        logger.warning("session %s reads too slowly (%s); cut off", self.session.id, limit)
        self._services.metrics.limit_reached(limit)
        self._close_code = CLOSE_TOO_SLOW

    def _receive_congestion(self, congested: bool) -> None:
        self._socket_full = congested
        self._settle_congestion()

    def _settle_congestion(self) -> None:
        """Tell the session if it should wait, or need not any more."""
        holds = self._resumption is not None and self._resumption.holds
        held_back = self._socket_full or holds
        if held_back is not self._held_back:
            self._held_back = held_back
            # Later: we may be within a step of the session, and another socket may come first.
            asyncio.get_running_loop().call_soon(self._hold_back)

    def _hold_back(self) -> None:
        self.runner.step(partial(self.session.receive_congestion, self._held_back))


def _nothing(_: object) -> None:
    """A socket that we left has nothing to tell us."""


def _nobody() -> None:
    """Nobody reads."""
