"""Workers that crash, hang, fail to start, or outlive nobody.  All processes are real."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine import espeak_pool
from gateway.engine.espeak import EspeakEngine, _library, installed_folder
from gateway.engine.espeak_frames import READY
from gateway.engine.espeak_pool import WorkerPool
from gateway.engine.espeak_process import WorkerProcess
from gateway.errors import EngineCrashed, EngineTimeout, SetupError, SynthesisError
from gateway.settings import EspeakSettings
from tests.engine.processes import children, state_of, wait_until
from tests.engine.speaking import audio, planned, speak

LONG = "This goes on and on. " * 2000


@pytest.fixture
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine(EspeakSettings(workers=2, timeout_s=0.5))
    engine.start()
    yield engine
    engine.close()


def spawn(library: str | None = None, timeout_s: float = 0.5) -> WorkerProcess:
    folder = installed_folder()
    return WorkerProcess(library or str(_library(folder)), str(folder), 100, timeout_s)


def in_the_middle(
    engine: EspeakEngine, act: Callable[[int], None], text: str = LONG
) -> list[BaseException]:
    """Render ``text``; at its first block, call ``act`` with the pid of the worker at work."""
    busy: list[int] = []
    errors: list[BaseException] = []

    def emit(index, rendering):
        if not busy:
            busy.extend(worker.pid for worker in engine._pool._busy)
            act(busy[0])
        return True

    try:
        engine.render(planned(engine, text).windows, emit)
    except SynthesisError as error:
        errors.append(error)
    return errors


def all_ready(engine: EspeakEngine) -> bool:
    return len(engine.worker_pids()) == 2


def test_a_worker_killed_as_it_speaks_is_a_crash_and_is_replaced(engine):
    before = set(engine.worker_pids())
    (error,) = in_the_middle(engine, lambda pid: os.kill(pid, signal.SIGKILL))
    assert isinstance(error, EngineCrashed)
    assert error.retryable
    wait_until(lambda: all_ready(engine))
    assert len(before & set(engine.worker_pids())) == 1
    assert len(audio(speak(engine, "Hello again."))) > 10_000


def test_a_worker_stopped_as_it_speaks_is_a_timeout_and_is_replaced(engine):
    before = set(engine.worker_pids())
    started = time.monotonic()
    (error,) = in_the_middle(engine, lambda pid: os.kill(pid, signal.SIGSTOP))
    assert isinstance(error, EngineTimeout)
    assert "no audio for 0.5 s" in error.message
    assert time.monotonic() - started < 2.0
    wait_until(lambda: all_ready(engine))
    (lost,) = before - set(engine.worker_pids())
    assert state_of(lost) == "gone"


def test_a_worker_stopped_while_idle_is_found_out_when_it_should_speak(engine):
    for pid in engine.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EngineTimeout):
        speak(engine, "Hello.")
    for pid in engine.worker_pids():
        os.kill(pid, signal.SIGKILL)


def test_a_worker_that_dies_idle_is_replaced_without_a_failure(engine):
    before = set(engine.worker_pids())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all_ready(engine) and not before & set(engine.worker_pids()))
    assert len(audio(speak(engine, "Hello."))) > 5_000


def test_a_worker_that_died_a_moment_ago_is_not_handed_out(engine):
    for pid in engine.worker_pids():
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: state_of(pid) in ("Z", "gone"))
    worker = engine._pool.acquire()
    assert worker.alive
    engine._pool.release(worker)


def test_other_lanes_speak_on_while_a_worker_hangs(engine):
    hung = threading.Event()
    errors: list[BaseException] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        hung.set()

    lane = threading.Thread(target=lambda: errors.extend(in_the_middle(engine, stop)))
    lane.start()
    assert hung.wait(5.0)
    for _ in range(3):
        assert len(audio(speak(engine, "Hello."))) > 5_000
    lane.join()
    assert isinstance(errors[0], EngineTimeout)


def test_a_worker_that_hangs_after_a_cancel_is_replaced_without_a_failure(engine):
    before = set(engine.worker_pids())
    stopped: list[int] = []

    def emit(index, rendering):
        stopped.extend(worker.pid for worker in engine._pool._busy)
        os.kill(stopped[0], signal.SIGSTOP)
        return False

    engine.render(planned(engine, LONG).windows, emit)
    wait_until(lambda: all_ready(engine))
    assert before - set(engine.worker_pids()) == set(stopped)


def test_no_zombie_is_left_of_many_crashes(engine):
    others = children() - set(engine.worker_pids())
    for _ in range(4):
        in_the_middle(engine, lambda pid: os.kill(pid, signal.SIGKILL))
    wait_until(lambda: all_ready(engine))
    assert children() - others == set(engine.worker_pids())


def test_a_lane_waits_for_a_worker_only_so_long(engine):
    held = [engine._pool.acquire() for _ in range(2)]
    with pytest.raises(EngineTimeout, match=r"engine\.espeak\.workers"):
        speak(engine, "Hello.")
    for worker in held:
        engine._pool.release(worker)


def test_a_lane_gets_the_worker_that_another_gives_back(engine):
    held = [engine._pool.acquire() for _ in range(2)]
    timer = threading.Timer(0.05, engine._pool.release, held[:1])
    timer.start()
    assert len(audio(speak(engine, "Hello."))) > 5_000
    timer.join()
    engine._pool.release(held[1])


def test_close_is_idempotent_and_ends_every_process(engine):
    pids = engine.worker_pids()
    engine.close()
    engine.close()
    assert [state_of(pid) for pid in pids] == ["gone", "gone"]
    assert engine.worker_pids() == ()
    with pytest.raises(SynthesisError, match="closed"):
        speak(engine, "Hello.")


def test_close_does_not_wait_for_speech(engine):
    reached = threading.Event()
    errors: list[BaseException] = []

    def lane() -> None:
        errors.extend(in_the_middle(engine, lambda pid: reached.set(), text=LONG * 2))

    thread = threading.Thread(target=lane)
    thread.start()
    assert reached.wait(5.0)
    engine.close()
    thread.join(5.0)
    assert isinstance(errors[0], EngineCrashed)


def test_close_kills_a_worker_that_does_not_leave(engine, monkeypatch):
    monkeypatch.setattr(espeak_pool, "CLOSE_TIMEOUT_S", 0.1)
    pids = engine.worker_pids()
    os.kill(pids[0], signal.SIGSTOP)
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 1.0
    assert [state_of(pid) for pid in pids] == ["gone", "gone"]


def test_an_engine_that_was_never_started_can_be_closed():
    EspeakEngine(EspeakSettings(workers=1)).close()


def test_a_broken_library_is_a_setup_error_that_says_why(tmp_path):
    pool = WorkerPool(lambda: spawn(library=str(tmp_path / "broken.so")), 2, 0.5)
    with pytest.raises(SetupError, match=r"broken\.so.*voice-gateway doctor"):
        pool.start()


def test_a_worker_that_dies_before_it_is_ready_is_a_setup_error():
    def spawn_and_kill() -> WorkerProcess:
        worker = spawn()
        worker.kill()
        return worker

    pool = WorkerPool(spawn_and_kill, 1, 0.5)
    with pytest.raises(SetupError, match="ended with status -9 while starting"):
        pool.start()


def test_a_worker_that_never_gets_ready_is_a_setup_error(monkeypatch):
    monkeypatch.setattr(espeak_pool, "START_TIMEOUT_S", 0.1)

    def spawn_and_stop() -> WorkerProcess:
        worker = spawn()
        os.kill(worker.pid, signal.SIGSTOP)
        return worker

    pool = WorkerPool(spawn_and_stop, 1, 0.5)
    with pytest.raises(SetupError, match="do not start"):
        pool.start()


def test_a_worker_that_breaks_down_over_its_voices_is_a_setup_error(monkeypatch):
    start = WorkerPool.start

    def start_and_stop(pool: WorkerPool) -> None:
        start(pool)
        for pid in pool.pids():
            os.kill(pid, signal.SIGSTOP)

    monkeypatch.setattr(WorkerPool, "start", start_and_stop)
    monkeypatch.setattr(espeak_pool, "CLOSE_TIMEOUT_S", 0.1)
    engine = EspeakEngine(EspeakSettings(workers=1, timeout_s=0.1))
    with pytest.raises(SetupError, match="listed its voices"):
        engine.start()
    assert engine.worker_pids() == ()


def test_a_system_without_room_for_a_process_is_a_setup_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    pool = WorkerPool(spawn, 1, 0.5)
    with pytest.raises(SetupError, match="no process could be made"):
        pool.start()


def test_workers_that_cannot_start_for_a_while_come_back_by_themselves():
    broken = threading.Event()

    def spawn_unless_broken() -> WorkerProcess:
        if broken.is_set():
            raise OSError("no room")
        return spawn()

    pool = WorkerPool(spawn_unless_broken, 1, 5.0)
    pool.start()
    try:
        (first,) = pool.pids()
        broken.set()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pool._failures == 2)
        broken.clear()
        worker = pool.acquire()
        assert worker.pid != first
        pool.release(worker)
    finally:
        pool.close()


def test_a_successor_that_never_gets_ready_is_killed_and_succeeded(monkeypatch):
    stopped: list[int] = []
    stop = threading.Event()

    def spawn_one_stopped() -> WorkerProcess:
        worker = spawn()
        if stop.is_set() and not stopped:
            stopped.append(worker.pid)
            os.kill(worker.pid, signal.SIGSTOP)
        return worker

    pool = WorkerPool(spawn_one_stopped, 1, 5.0)
    pool.start()
    try:
        (first,) = pool.pids()
        stop.set()
        monkeypatch.setattr(espeak_pool, "START_TIMEOUT_S", 0.6)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pool.pids() not in ((first,), ()))
        assert pool.pids() != tuple(stopped)
        assert state_of(stopped[0]) == "gone"
    finally:
        pool.close()


def test_what_the_library_prints_is_of_no_consequence(engine):
    pids = engine.worker_pids()
    for pid in pids:
        Path(f"/proc/{pid}/fd/1").write_bytes(b"Unknown phoneme table")
    assert len(audio(speak(engine, "Hello."))) > 5_000
    assert engine.worker_pids() == pids


def test_a_text_that_espeak_refuses_is_no_crash(engine):
    pids = engine.worker_pids()
    (window,) = planned(engine, "Hello.").windows
    refused = replace(window, state=replace(window.state, selector="no/such"))
    with pytest.raises(SynthesisError, match="refused") as caught:
        engine.render([refused], lambda index, rendering: True)
    assert not caught.value.retryable
    assert engine.worker_pids() == pids


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_workers_die_with_the_gateway_even_if_they_hang():
    code = """
import os, signal, threading
from gateway.engine.espeak import EspeakEngine
from gateway.settings import EspeakSettings
engine = EspeakEngine(EspeakSettings(workers=2))
thread = threading.Thread(target=engine.start)  # it ends; the workers must not end with it
thread.start()
thread.join()
pids = engine.worker_pids()
os.kill(pids[0], signal.SIGSTOP)
print(*pids, flush=True)
signal.pause()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
    try:
        wait_until(lambda: [state_of(pid) for pid in pids] == ["T", "S"])
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: all(state_of(pid) in ("gone", "Z") for pid in pids))


def test_workers_do_not_see_the_gateways_settings(monkeypatch):
    monkeypatch.setenv("VOICE_GATEWAY_SERVER__API_KEYS", '["secret"]')
    worker = spawn()
    assert worker.channel.receive(5.0).kind == READY
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
    worker.kill()
    worker.reap()
    worker.socket.close()
    assert b"PYTHONPATH=" in environment
    assert b"secret" not in environment
