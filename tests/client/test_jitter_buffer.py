"""The jitter buffer by literal times, then against a sample-by-sample model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.jitter_buffer import JitterBuffer, Underrun
from gateway.errors import ProtocolViolation

FRAME = 960  # 20 ms


def feed(buffer: JitterBuffer, *arrivals: float, last: bool = False) -> None:
    """20 ms frames at ``arrivals``; the last one ends the talkspurt if ``last``."""
    for index, now in enumerate(arrivals):
        position = ((buffer.sequence_number or 0) + (buffer.sequence_number is not None)) * FRAME
        ends = last and index == len(arrivals) - 1
        buffer.receive_frame(position, FRAME, now, marker=position == 0, last=ends)


def test_nothing_plays_before_the_prebuffer_is_full() -> None:
    buffer = JitterBuffer(2880)
    feed(buffer, 10.0, 10.1)
    assert buffer.played_samples(11.0) == 0
    assert buffer.depth_samples(11.0) == 1920
    assert buffer.dry_at is None
    assert not buffer.playing(11.0)


def test_playout_starts_when_the_prebuffer_is_full() -> None:
    buffer = JitterBuffer(2880)
    feed(buffer, 10.0, 10.1, 10.2)
    assert buffer.first_arrival_s == 10.0
    assert buffer.first_sound_s == 10.2
    assert buffer.dry_at == pytest.approx(10.26)
    assert buffer.played_samples(10.2) == 0
    assert buffer.played_samples(10.21) == 480
    assert buffer.depth_samples(10.21) == 2400
    assert buffer.playing(10.21)


def test_the_last_frame_of_a_talkspurt_starts_playout_at_once() -> None:
    buffer = JitterBuffer(4800)
    feed(buffer, 1.0, 1.01, last=True)
    assert buffer.first_sound_s == 1.01
    assert buffer.played_samples(1.03) == 960
    assert buffer.played_samples(2.0) == 1920


def test_without_a_prebuffer_the_first_frame_sounds_as_it_comes() -> None:
    buffer = JitterBuffer(0)
    feed(buffer, 5.0)
    assert buffer.first_sound_s == 5.0


def test_frames_in_time_leave_no_gap() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.02, 1.04, 1.06)  # each in the instant in which the buffer runs dry
    assert buffer.underrun_count(1.08) == 0
    assert buffer.played_samples(1.08) == 3840


def test_a_late_frame_is_an_underrun_of_its_lateness() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.05)
    assert buffer.underruns(1.05) == [Underrun(pytest.approx(1.02), pytest.approx(0.03), 960, 0)]
    assert buffer.underrun_total_s(1.05) == pytest.approx(0.03)
    assert buffer.played_samples(1.06) == 960 + 480


def test_an_underrun_that_lasts_is_counted_already() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    assert not buffer.starved(1.02)
    assert buffer.starved(1.07)
    assert buffer.underrun_count(1.07) == 1
    assert buffer.underrun_total_s(1.07) == pytest.approx(0.05)
    assert buffer.underruns(1.07) == [Underrun(pytest.approx(1.02), pytest.approx(0.05), 960, 0)]


def test_after_an_underrun_the_buffer_fills_again_before_it_plays() -> None:
    buffer = JitterBuffer(960, rebuffer_samples=1920)
    feed(buffer, 1.0, 1.1)
    assert not buffer.playing(1.11)
    assert buffer.depth_samples(1.11) == 960
    feed(buffer, 1.12)
    assert buffer.playing(1.13)
    assert buffer.underruns(1.13) == [Underrun(pytest.approx(1.02), pytest.approx(0.10), 960, 0)]


def test_the_rebuffer_is_the_prebuffer_unless_it_is_named() -> None:
    buffer = JitterBuffer(1920)
    feed(buffer, 1.0, 1.0, 1.1)
    assert not buffer.playing(1.11)
    feed(buffer, 1.12)
    assert buffer.playing(1.13)


def test_silence_between_talkspurts_is_no_underrun() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.01, last=True)
    assert buffer.underrun_count(5.0) == 0
    feed(buffer, 5.0)
    assert buffer.underrun_count(5.01) == 0
    assert buffer.played_samples(5.01) == 1920 + 480


def test_a_talkspurt_that_follows_in_time_goes_on_without_a_prebuffer() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, last=True)
    buffer.receive_frame(960, FRAME, 1.01, marker=True)
    assert buffer.played_samples(1.03) == 1440


def test_a_marker_does_not_excuse_a_gap_but_is_recorded() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    buffer.receive_frame(960, FRAME, 1.5, marker=True)
    (underrun,) = buffer.underruns(1.5)
    assert underrun.marker
    assert underrun.duration_s == pytest.approx(0.48)


def test_the_end_of_the_stream_excuses_what_ran_dry() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    assert buffer.starved(1.5)
    buffer.receive_end(1.5)
    assert buffer.underrun_count(2.0) == 0


def test_the_end_of_the_stream_plays_what_is_there() -> None:
    buffer = JitterBuffer(9600)
    feed(buffer, 1.0)
    buffer.receive_end(1.1)
    assert buffer.first_sound_s == 1.1
    assert buffer.played_samples(1.2) == 960


def test_a_slow_listener_plays_fewer_samples() -> None:
    buffer = JitterBuffer(960, clock_factor=0.999)
    buffer.receive_frame(0, 480_000, 0.0)
    assert buffer.played_samples(5.0) == 239_760
    assert buffer.dry_at == pytest.approx(10.01001, abs=1e-5)


def test_a_fast_listener_runs_dry_earlier() -> None:
    buffer = JitterBuffer(0, clock_factor=1.001)
    buffer.receive_frame(0, 480_000, 0.0)
    assert buffer.starved(9.9999)
    assert buffer.played_samples(9.9999) == 480_000


def test_there_is_no_drift_in_an_hour() -> None:
    buffer = JitterBuffer(960)
    start = 1_700_000_000.3  # where a float of seconds is coarsest: 0.24 µs
    for index in range(180_000):
        buffer.receive_frame(index * FRAME, FRAME, start + index * 0.02)
    assert buffer.underrun_count(start + 3600) == 0
    assert buffer.played_samples(start + 3599.99) == 3600 * 48_000 - 480


def test_the_preskip_is_neither_played_nor_counted() -> None:
    buffer = JitterBuffer(960, preskip_samples=312)
    feed(buffer, 1.0)
    assert buffer.received_samples == 648
    assert not buffer.playing(1.0)
    feed(buffer, 1.02)
    assert buffer.received_samples == 1608
    assert buffer.dry_at == pytest.approx(1.02 + 1608 / 48_000)


def test_a_preskip_longer_than_the_first_frame_is_taken_from_the_next() -> None:
    buffer = JitterBuffer(0, preskip_samples=1000)
    feed(buffer, 1.0)
    assert buffer.received_samples == 0
    assert not buffer.playing(1.0)
    feed(buffer, 1.02)
    assert buffer.received_samples == 920
    assert buffer.playing(1.02)


def test_cancel_flushes_and_says_what_was_played() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.0, 1.0)
    assert buffer.cancel(1.03) == 1440
    assert buffer.generation == 1
    assert buffer.depth_samples(1.03) == 0
    assert buffer.played_samples(9.0) == 0
    assert buffer.sequence_number is None
    assert buffer.underrun_count(9.0) == 0


def test_frames_of_an_old_generation_are_ignored() -> None:
    buffer = JitterBuffer(960)
    buffer.receive_frame(0, FRAME, 1.0, generation=0)
    buffer.cancel(1.01)
    assert not buffer.receive_frame(960, FRAME, 1.02, generation=0)
    assert buffer.received_samples == 0


def test_a_frame_of_a_newer_generation_cancels_the_present_one() -> None:
    buffer = JitterBuffer(960)
    buffer.receive_frame(0, FRAME, 1.0, generation=0)
    assert buffer.receive_frame(0, FRAME, 1.01, generation=3)
    assert buffer.generation == 3
    assert buffer.received_samples == 960
    assert buffer.played_samples(1.02) == 480


def test_a_cancel_ends_an_underrun() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    buffer.cancel(1.12)
    assert buffer.underruns(2.0) == [Underrun(pytest.approx(1.02), pytest.approx(0.10), 960, 0)]
    assert buffer.underrun_total_s(2.0) == pytest.approx(0.10)


def test_frames_that_do_not_adjoin_are_refused() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    with pytest.raises(ProtocolViolation, match="timestamp 1920, expected 960"):
        buffer.receive_frame(1920, FRAME, 1.02)


def test_time_must_not_run_backwards() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0)
    with pytest.raises(AssertionError, match="backwards"):
        buffer.receive_frame(960, FRAME, 0.9)


def test_a_report_has_the_fields_of_the_protocol() -> None:
    buffer = JitterBuffer(960)
    buffer.receive_frame(0, 2880, 1.0, frames=3)
    report = buffer.report(1.01)
    assert report.generation == 0
    assert report.played_samples == 480
    assert report.depth_samples == 2400
    assert report.underruns == 0
    assert report.jitter_samples == 0
    assert report.sequence_number == 2


def test_jitter_of_a_perfect_stream_is_zero() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.02, 1.04, 1.06)
    assert buffer.jitter_samples == 0


def test_jitter_follows_rfc_3550() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.03)  # 10 ms late: |D| = 480, J = 480 / 16 = 30
    assert buffer.jitter_samples == 30
    feed(buffer, 1.04)  # back in time: J = 30 + (480 - 30) / 16 = 58.125
    assert buffer.jitter_samples == 58


def test_the_silence_between_talkspurts_is_no_jitter() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, 1.0, 1.02, last=True)
    feed(buffer, 7.0)
    assert buffer.jitter_samples == 0


def test_only_the_newest_underruns_are_kept_but_all_are_counted() -> None:
    buffer = JitterBuffer(960)
    feed(buffer, *(index * 0.03 for index in range(1202)))
    assert buffer.underrun_count(36.05) == 1201
    assert len(buffer.underruns(36.05)) == 1000
    assert buffer.underrun_total_s(36.05) == pytest.approx(12.01)


arrivals = st.lists(
    st.tuples(
        st.integers(0, 6000),  # samples of wall time since the frame before
        st.sampled_from([960, 1920, 2880]),
        st.booleans(),  # last of a talkspurt
    ),
    min_size=1,
    max_size=40,
)


class Loudspeaker:
    """The specification as slowly as possible: one sample after the other."""

    def __init__(self, prebuffer: int) -> None:
        self.prebuffer = prebuffer
        self.received = self.played = 0
        self.sounding = self.last = self.hungry = False
        self.silent = 0
        self.gaps: list[int] = []

    def tick(self) -> None:
        if self.sounding and self.played < self.received:
            self.played += 1
            return
        if self.sounding:
            self.sounding = False
            self.hungry = not self.last
        if self.hungry:
            self.silent += 1

    def frame(self, duration: int, last: bool) -> None:
        self.received += duration
        self.last = last
        if not self.sounding and (last or self.received - self.played >= self.prebuffer):
            self.sounding = True
            if self.silent:
                self.gaps.append(self.silent)
            self.hungry = False
            self.silent = 0


@settings(max_examples=60, deadline=None)
@given(arrivals=arrivals, prebuffer=st.sampled_from([0, 960, 2400, 4800]))
def test_it_agrees_with_a_loudspeaker_that_plays_sample_by_sample(
    arrivals: list[tuple[int, int, bool]], prebuffer: int
) -> None:
    buffer, model = JitterBuffer(prebuffer), Loudspeaker(prebuffer)
    clock = timestamp = 0
    for wait, duration, last in arrivals:
        for _ in range(wait):
            model.tick()
        clock += wait
        now = clock / 48_000
        buffer.receive_frame(timestamp, duration, now, last=last)
        model.frame(duration, last)
        timestamp += duration
        assert buffer.played_samples(now) == model.played
        assert buffer.depth_samples(now) == model.received - model.played
    if not model.hungry:
        assert [round(48_000 * each.duration_s) for each in buffer.underruns(now)] == model.gaps
        assert buffer.underrun_total_s(now) == pytest.approx(sum(model.gaps) / 48_000)


@settings(max_examples=60, deadline=None)
@given(
    arrivals=arrivals,
    looks=st.lists(st.floats(0, 6), max_size=20),
    clock_factor=st.sampled_from([0.99, 0.999, 1.0, 1.001]),
)
def test_played_and_depth_are_all_that_was_received_and_never_go_back(
    arrivals: list[tuple[int, int, bool]], looks: list[float], clock_factor: float
) -> None:
    buffer = JitterBuffer(2880, clock_factor=clock_factor)
    clock = timestamp = 0
    for wait, duration, last in arrivals:
        clock += wait
        buffer.receive_frame(timestamp, duration, clock / 48_000, last=last)
        timestamp += duration
    before = 0
    for later in sorted(looks):
        now = clock / 48_000 + later
        played = buffer.played_samples(now)
        assert played + buffer.depth_samples(now) == timestamp
        assert before <= played <= timestamp
        before = played
