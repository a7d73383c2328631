import numpy as np
import pytest

from gateway.settings import PacingSettings
from gateway.wire.audio_header import AudioHeader, pack_message, unpack_message
from loadtest.cadence import Arrival
from loadtest.cpu import ProcessCpu
from loadtest.listeners import Heard, Report
from loadtest.pacing import (
    Load,
    Round,
    _cadence,
    _check,
    _one_frame_a_message,
    _opening,
    _ratio,
    _recording,
    _side,
    _starts,
)
from loadtest.statistics import spread

LOAD = Load(
    sessions=3, seconds=20.0, rounds=2, message_ms=60, codec="opus", reports_per_s=0.0, seed=1
)


def _round(frames: float, loop_s: float, lanes_s: float, workers_s: float) -> Round:
    return Round(
        frames=frames,
        messages=round(frames / 3),
        lateness=np.asarray([0.001, 0.02]),
        underruns=0,
        cpu=ProcessCpu(loop_s, lanes_s, workers_s),
        listeners_cpu_s=1.0,
        reading_delay_s=spread([0.0001]),
        foreign_cpu_share=0.03,
        window_s=20.0,
    )


def test_cpu_time_is_told_per_1000_frames_and_by_thread() -> None:
    side = _side([_round(200_000, 4.0, 8.0, 2.0)])

    assert side.loop_ms_per_1000_frames == pytest.approx(20.0)
    assert side.lanes_ms_per_1000_frames == pytest.approx(40.0)
    assert side.workers_ms_per_1000_frames == pytest.approx(10.0)
    assert side.process_ms_per_1000_frames == pytest.approx(60.0)
    assert side.total_ms_per_1000_frames == pytest.approx(70.0)
    assert side.frames_per_loop_s == pytest.approx(50_000)
    assert side.frames_per_s == pytest.approx(10_000)
    assert side.share_later_than_goal == 0.5


def test_the_plain_sender_sends_the_same_frames_one_by_one() -> None:
    header = AudioHeader(1, 0, 960, 6, 5760, marker=True, last=True)
    joined = [(0.5, pack_message(header, [b"a", b"bb", b"c"]))]

    single = _one_frame_a_message(joined)

    assert [due_s for due_s, _ in single] == pytest.approx([0.5, 0.52, 0.54])
    parts = [unpack_message(message) for _, message in single]
    assert [payloads for _, payloads in parts] == [[b"a"], [b"bb"], [b"c"]]
    assert [(h.sequence_number, h.timestamp) for h, _ in parts] == [(6, 5760), (7, 6720), (8, 7680)]
    assert [(h.marker, h.last) for h, _ in parts] == [(True, False), (False, False), (False, True)]


def test_a_ratio_is_the_median_over_pairs_of_rounds() -> None:
    ours = [_round(1000, 4.0, 0.0, 0.0), _round(1000, 2.0, 0.0, 0.0), _round(1000, 2.0, 0.0, 0.0)]
    bare = [_round(1000, 1.0, 0.0, 0.0)] * 3

    assert _ratio(ours, bare, lambda cpu: cpu.main_thread_s) == 0.5


def test_due_times_follow_the_gateways_own_settings() -> None:
    cadence = _cadence(LOAD)

    assert cadence.lead_target_s == PacingSettings().lead_start_s
    assert cadence.step_s == pytest.approx(0.06)
    assert cadence.preskip_samples == 312


def test_both_sides_of_a_round_start_at_the_same_times() -> None:
    assert _starts(LOAD, 0) == _starts(LOAD, 0)
    assert _starts(LOAD, 0) != _starts(LOAD, 1)


def test_sessions_speak_different_texts_in_every_round() -> None:
    texts = {_opening(LOAD, number, 100)[1] for number in range(6)}

    assert len(texts) == 6


def test_the_bare_sender_gets_the_messages_and_their_due_times() -> None:
    heard = Heard(
        arrivals=[Arrival(5.0, 0, 2880), Arrival(5.0, 2880, 2880), Arrival(6.0, 48_312, 2880)],
        messages=[b"one", b"two", b"three"],
    )

    recording = _recording(heard, _cadence(LOAD))

    assert [message for _, message in recording] == [b"one", b"two", b"three"]
    assert [due_s for due_s, _ in recording] == pytest.approx(
        [0.0, 0.0, 1.06 - LOAD.pacing.lead_start_s]
    )


def _report(heard: Heard) -> Report:
    return Report((heard,), 0.0, 1.0, 0.1, spread([0.0]))


def test_a_session_that_failed_makes_the_run_void() -> None:
    good = [Arrival(5.0, 0, 2880)]

    _check(_report(Heard(arrivals=good, texts=[b'{"type":"ready"}'])))
    with pytest.raises(ConnectionError, match="session 0: the server closed"):
        _check(_report(Heard(arrivals=good, problem="the server closed the connection")))
    with pytest.raises(ConnectionError, match="overloaded"):
        _check(_report(Heard(arrivals=good, texts=[b'{"type":"error","code":"overloaded"}'])))
    with pytest.raises(ConnectionError, match="no audio"):
        _check(_report(Heard()))
