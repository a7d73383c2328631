"""A fixed number of espeak-ng workers, kept alive.

    supervisor thread                        lane threads
    spawn ──► starting ──READY──► idle ◄──── release ──── busy
      ▲          │                 │ └─────── acquire ─────► │
      └── reap ◄─┴─ lifeline ends ─┴──────────────────────────┘

One thread spawns and reaps; lane threads only borrow.  A lane that finds its worker broken kills it
and goes on; the supervisor sees the *lifeline* end (the worker's standard output, which the kernel
closes when the process ends), reaps it, and spawns the next, so other lanes never wait for that.

It must be one thread, and one that lives as long as the pool: Linux sends the parent-death signal
when the *thread* ends that spawned the process, so workers made by a passing thread would be killed
while the gateway lives on.

Workers that end before they are ready are spawned again ever later, up to every 5 s.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.engine.espeak_frames import NUMBER, READY
from gateway.engine.espeak_process import WorkerProcess
from gateway.errors import EngineTimeout, SetupError, SynthesisError

START_TIMEOUT_S = 10.0
"""A worker is ready within 0.1 s; one that takes this long never will be."""

CLOSE_TIMEOUT_S = 1.0
"""How long workers may take to leave by themselves before they are killed."""

_RESPAWN_DELAY_S = 0.1
_RESPAWN_DELAY_MAX_S = 5.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Start:
    """A worker that is not ready yet: when it should have been, and why it says it cannot."""

    deadline: float
    reason: str = ""


class WorkerPool:
    """``count`` workers made by ``spawn``, which may raise OSError."""

    def __init__(
        self, spawn: Callable[[], WorkerProcess], count: int, acquire_timeout_s: float
    ) -> None:
        self._spawn = spawn
        self._count = count
        self._acquire_timeout_s = acquire_timeout_s
        self._changed = threading.Condition()
        # Guarded by _changed:
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._failure: str | None = None
        self._closing = False
        # Only the supervisor touches these:
        self._starting: dict[WorkerProcess, _Start] = {}
        self._workers: set[WorkerProcess] = set()
        self._failures = 0
        self._spawn_at = 0.0
        # Made by start, so that a pool that never started holds nothing:
        self._selector: selectors.BaseSelector
        self._wake_receiver: socket.socket
        self._wake_sender: socket.socket
        self._thread: threading.Thread | None = None
        self.sample_rate = 0
        self.version = ""

    def start(self) -> None:
        """Spawn all workers and wait until they are ready.  Raises SetupError with the reason."""
        assert self._thread is None, "started twice"
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._thread = threading.Thread(
            target=self._supervise, name="espeak-supervisor", daemon=True
        )
        self._thread.start()
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._idle) == self._count or self._failure is not None,
                START_TIMEOUT_S,
            )
            ready, failure = len(self._idle), self._failure
        if ready < self._count:
            self.close()
            reason = failure or f"only {ready} of {self._count} were ready in {START_TIMEOUT_S} s"
            raise SetupError(
                f"the espeak-ng workers do not start: {reason}; "
                "check the installation with: voice-gateway doctor"
            )

    def acquire(self) -> WorkerProcess:
        """An idle worker, which is the caller's until ``release``.

        Raises EngineTimeout if none becomes free in time, SynthesisError if the pool is closed.
        """
        with self._changed:
            self._changed.wait_for(self._has_idle_or_closing, self._acquire_timeout_s)
            if self._closing:
                raise SynthesisError("the espeak-ng engine is closed")
            if not self._idle:
                raise EngineTimeout(
                    f"no espeak-ng worker became free within {self._acquire_timeout_s} s; "
                    "engine.espeak.workers says how many there are"
                )
            worker = self._idle.pop()
            self._busy.add(worker)
            return worker

    def release(self, worker: WorkerProcess) -> None:
        """Give a worker back; one that is not usable is killed, and the supervisor replaces it."""
        if not worker.usable:
            worker.kill()
        with self._changed:
            reaped = worker not in self._busy
            self._busy.discard(worker)
            if worker.usable and not reaped and not self._closing:
                self._idle.append(worker)
                self._changed.notify()
                return
        worker.socket.close()

    def pids(self) -> tuple[int, ...]:
        """Process ids of the ready workers."""
        with self._changed:
            return tuple(sorted(worker.pid for worker in (*self._idle, *self._busy)))

    def close(self) -> None:
        """End all workers, within twice CLOSE_TIMEOUT_S; idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(OSError):  # the supervisor may be gone between the two lines
                self._wake_sender.send(b"\0")
            self._thread.join()

    def _has_idle_or_closing(self) -> bool:
        while self._idle and not self._idle[-1].alive:
            self._idle.pop().socket.close()  # died a moment ago; the supervisor will see it
        return bool(self._idle) or self._closing

    # The supervisor's thread.

    def _supervise(self) -> None:
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        while not self._closing:
            now = time.monotonic()
            self._spawn_missing(now)
            self._kill_late_starters(now)
            for key, _ in self._selector.select(self._next_timer(now)):
                if key.data is None:
                    self._wake_receiver.recv(64)
                    continue
                worker: WorkerProcess = key.data
                if key.fileobj is worker.lifeline:
                    self._receive_lifeline(worker)
                elif worker in self._starting:
                    self._receive_ready(worker)
        self._end_all()

    def _next_timer(self, now: float) -> float | None:
        times = [start.deadline for start in self._starting.values()]
        if len(self._workers) < self._count:
            times.append(self._spawn_at)
        return max(0.0, min(times) - now) if times else None

    def _spawn_missing(self, now: float) -> None:
        while len(self._workers) < self._count and now >= self._spawn_at:
            try:
                worker = self._spawn()
            except OSError as error:
                self._note_failure(f"no process could be made: {error}")
                return
            self._workers.add(worker)
            self._starting[worker] = _Start(now + START_TIMEOUT_S)
            self._selector.register(worker.lifeline, selectors.EVENT_READ, worker)
            self._selector.register(worker.socket, selectors.EVENT_READ, worker)

    def _kill_late_starters(self, now: float) -> None:
        for worker, start in self._starting.items():
            if now >= start.deadline:
                worker.kill()

    def _receive_ready(self, worker: WorkerProcess) -> None:
        try:
            frame = worker.channel.receive_nowait()
        except EOFError:
            self._selector.unregister(worker.socket)  # the lifeline tells the rest
            return
        if frame is None:
            return
        if frame.kind != READY:
            self._starting[worker].reason = frame.payload.decode(errors="replace")
            return
        self._selector.unregister(worker.socket)
        del self._starting[worker]
        self._failures = 0
        with self._changed:
            (self.sample_rate,) = NUMBER.unpack_from(frame.payload)
            self.version = frame.payload[NUMBER.size :].decode()
            self._idle.append(worker)
            self._changed.notify_all()

    def _receive_lifeline(self, worker: WorkerProcess) -> None:
        """The worker ended, or the library printed something, which nobody wants."""
        if os.read(worker.lifeline.fileno(), 4096):
            return
        status = self._bury(worker)
        start = self._starting.pop(worker, None)
        if start is not None:
            self._note_failure(
                start.reason or f"worker {worker.pid} ended with status {status} while starting"
            )
        else:
            logger.warning("espeak-ng worker %d ended with status %d", worker.pid, status)

    def _bury(self, worker: WorkerProcess) -> int:
        """Reap; close the socket unless a lane holds the worker and may be reading from it."""
        self._selector.unregister(worker.lifeline)
        if worker in self._starting and worker.socket in self._selector.get_map():
            self._selector.unregister(worker.socket)
        self._workers.discard(worker)
        status = worker.reap()
        with self._changed:
            if worker in self._busy:
                self._busy.remove(worker)
                return status
            if worker in self._idle:
                self._idle.remove(worker)
        worker.socket.close()
        return status

    def _note_failure(self, reason: str) -> None:
        logger.error("espeak-ng worker failed: %s", reason)
        delay = min(_RESPAWN_DELAY_S * 2 ** min(self._failures, 10), _RESPAWN_DELAY_MAX_S)
        self._failures += 1
        self._spawn_at = time.monotonic() + delay
        with self._changed:
            self._failure = self._failure or reason
            self._changed.notify_all()

    def _end_all(self) -> None:
        """Hang up; kill those that stay.  Lanes in the middle of an utterance see the end of it."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.socket.shutdown(socket.SHUT_RDWR)
        kill_at = time.monotonic() + CLOSE_TIMEOUT_S
        killed = False
        while self._workers:
            left = kill_at - time.monotonic()
            if left <= 0:
                if killed:
                    logger.error("%d espeak-ng workers cannot be killed", len(self._workers))
                    break
                for worker in self._workers:
                    worker.kill()
                kill_at, killed = kill_at + CLOSE_TIMEOUT_S, True
            self._await_ends(max(0.0, left))
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _await_ends(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            worker: WorkerProcess | None = key.data
            if worker is None or key.fileobj is not worker.lifeline:
                self._selector.unregister(key.fileobj)
            elif not os.read(worker.lifeline.fileno(), 4096):
                self._bury(worker)
