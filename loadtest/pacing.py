"""Many sessions that play at once on one gateway process, against a bare sender of the same bytes.

    round 1   gateway ─► listeners      the messages and their due times are kept
              bare    ─► listeners      the same messages, at the same times
              plain   ─► listeners      the same frames, each in a message of its own
    round 2   gateway ─► listeners …

For each side: how late messages arrive after their due time (cadence.py), CPU time per 1,000
frames, and frames per CPU second.  The gateway's time is told apart by thread: the event loop
(protocol, pacing, sending) is what the bare sender does as well; the lanes (PCM, resampling, Opus)
and the espeak workers (synthesis) are what it does not.  Ratios are bare time / gateway time of the
same round, so 1 is as cheap as the bare sender and 0.5 takes twice as long.

Two ratios answer two questions.  *CPU* (whole process): what does a frame cost, speech included?
*Rate* (event loop): how many frames could one process send?  Its event loop is the one thread that
cannot be multiplied; lanes run beside it, outside the GIL most of the time, and what they cost the
loop by holding the GIL is in its figures.  The goal, 0.6, is for the rate.  It is computed from CPU
time at the load of the run, not found by raising the load.

The bare sender gets the gateway's way of joining frames for nothing; the *plain* sender is what one
would write without it, a message for each frame of 20 ms, and carries the same audio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from gateway.codecs.catalog import make_codec
from gateway.media import media_samples, seconds
from gateway.settings import AudioSettings, PacingSettings
from gateway.wire.audio_header import pack_message, unpack_message
from loadtest import bare_sender, listeners
from loadtest.cadence import Cadence, course
from loadtest.cpu import ForeignCpu, ProcessCpu, read_process
from loadtest.exposition import Exposition, Histogram
from loadtest.listeners import Caller, Heard, Moment, Plan, Report
from loadtest.processes import HOST, Gateway, Helper, gateway, helper
from loadtest.statistics import Spread, Values, ratio_of_pairs, share_above, spread
from loadtest.texts import long_text

GOAL_LATENESS_P99_S = 0.01
GOAL_RATIO = 0.6

RAMP_S = 3.0
SETTLE_S = 4.0
WARNING_S = 0.7
TAIL_S = 0.3
_CHARS_PER_S = 30
"""More than any voice speaks, so that the text lasts longer than the window."""
_MARGIN_S = 10.0
_TIMEOUT_S = 60.0
_SUBPROTOCOL = "voice.v1"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of both servers."""

    sessions: int
    seconds: float
    rounds: int
    message_ms: int
    codec: str
    reports_per_s: float
    seed: int

    @property
    def pacing(self) -> PacingSettings:
        """The gateway's pacing settings."""
        return PacingSettings.model_validate({"message_duration_max_ms": self.message_ms})


@dataclass(frozen=True, slots=True)
class Round:
    """One side in one round; times in seconds.  ``histogram`` is the gateway's own, of lateness."""

    frames: float
    messages: int
    lateness: Values
    cpu: ProcessCpu
    listeners_cpu_s: float
    reading_delay_s: Spread
    foreign_cpu_share: float
    window_s: float
    underruns: int
    histogram: Histogram | None = None
    cache_hits: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One side over all rounds.  CPU figures are medians over the rounds."""

    frames_per_s: float
    messages_per_s: float
    lateness_s: Spread
    lateness_p99_by_round_s: tuple[float, ...]
    share_later_than_goal: float
    loop_ms_per_1000_frames: float
    lanes_ms_per_1000_frames: float
    workers_ms_per_1000_frames: float
    process_ms_per_1000_frames: float
    total_ms_per_1000_frames: float
    frames_per_loop_s: float
    frames_per_process_s: float
    listeners_cpu_share: float
    reading_delay_p99_s: float
    foreign_cpu_share: float


@dataclass(frozen=True, slots=True)
class Pacing:
    """Results.  Ratios are bare / gateway; ``server_lateness_p99_s`` is from its own histogram."""

    load: Load
    gateway: Side
    bare: Side
    server_lateness_p99_s: float
    server_share_later_than_goal: float
    loop_ratio: float
    process_ratio: float
    total_ratio: float
    underruns: int
    cache_hits: int
    plain: Side
    plain_ratio: float

    @property
    def punctual(self) -> bool:
        """Whether messages arrive within the goal of their due time."""
        return self.gateway.lateness_s.p99 <= GOAL_LATENESS_P99_S

    @property
    def fast(self) -> bool:
        """Whether the event loop, everything being on, reaches its share of the bare rate."""
        return self.loop_ratio >= GOAL_RATIO


def measure(load: Load, progress: Progress) -> Pacing:
    """Run the benchmark: rounds * 3 * (seconds + 8) seconds, about.

    Raises ChildProcessError or ConnectionError if a process or a session fails.
    """
    gateway_rounds, bare_rounds, plain_rounds = [], [], []
    for number in range(load.rounds):
        progress(f"round {number + 1} of {load.rounds}: gateway")
        measured, recordings = _gateway_round(load, number)
        gateway_rounds.append(measured)
        progress(f"round {number + 1} of {load.rounds}: bare sender")
        bare_rounds.append(_bare_round(load, number, recordings))
        progress(f"round {number + 1} of {load.rounds}: plain sender")
        frame_by_frame = [_one_frame_a_message(recording) for recording in recordings]
        plain_rounds.append(_bare_round(load, number, frame_by_frame))
    histograms = [measured.histogram for measured in gateway_rounds if measured.histogram]
    histogram = histograms[0]
    for other in histograms[1:]:
        histogram = histogram.plus(other)
    return Pacing(
        load=load,
        gateway=_side(gateway_rounds),
        bare=_side(bare_rounds),
        server_lateness_p99_s=histogram.quantile(0.99),
        server_share_later_than_goal=histogram.share_above(GOAL_LATENESS_P99_S),
        loop_ratio=_ratio(gateway_rounds, bare_rounds, lambda cpu: cpu.main_thread_s),
        process_ratio=_ratio(gateway_rounds, bare_rounds, lambda cpu: cpu.process_s),
        total_ratio=_ratio(gateway_rounds, bare_rounds, lambda cpu: cpu.total_s),
        underruns=sum(measured.underruns for measured in gateway_rounds),
        cache_hits=sum(measured.cache_hits for measured in gateway_rounds),
        plain=_side(plain_rounds),
        plain_ratio=_ratio(gateway_rounds, plain_rounds, lambda cpu: cpu.main_thread_s),
    )


# ── one round ──────────────────────────────────────────────────────────────────────────────────


def _gateway_round(load: Load, number: int) -> tuple[Round, list[bare_sender.Recording]]:
    cadence = _cadence(load)
    pacing = load.pacing
    settings = [
        # A fixed target, so that every message has a due time.
        f"pacing.lead_min_s={pacing.lead_start_s}",
        f"pacing.lead_max_s={pacing.lead_start_s}",
        f"pacing.prebuffer_s={pacing.prebuffer_s}",
        f"pacing.message_duration_max_ms={pacing.message_duration_max_ms}",
        f"limits.sessions_max={max(1000, load.sessions)}",
    ]
    chars = round((RAMP_S + SETTLE_S + load.seconds + TAIL_S + _MARGIN_S) * _CHARS_PER_S)
    with gateway(settings) as server:
        callers = [
            Caller("/v1/speak", start_s, _opening(load, number * load.sessions + i, chars))
            for i, start_s in enumerate(_starts(load, number))
        ]
        plan = _plan(load, server.port, _SUBPROTOCOL, callers)
        measured, report = _listen(plan, server.pid, server)
    recordings = [_recording(heard, cadence) for heard in report.heard]
    return measured, recordings


def _bare_round(load: Load, number: int, recordings: list[bare_sender.Recording]) -> Round:
    with helper(bare_sender.run, recordings) as server:
        port = server.receive(_TIMEOUT_S)
        callers = [
            Caller(f"/{i}", start_s, ("begin",)) for i, start_s in enumerate(_starts(load, number))
        ]
        return _listen(_plan(load, port, None, callers), server.pid, None)[0]


def _listen(plan: Plan, pid: int, server: Gateway | None) -> tuple[Round, Report]:
    """Run the listeners, and look at the server at the beginning and the end of the window."""
    with helper(listeners.run, plan) as room:
        _expect(room, Moment.SETTLED)
        before = server.metrics() if server else None
        _expect(room, Moment.BEGAN)
        others, cpu = ForeignCpu(), read_process(pid)
        _expect(room, Moment.ENDED)
        cpu = read_process(pid).since(cpu)
        foreign_share = others.share()
        after = server.metrics() if server else None
        report: Report = room.receive(_TIMEOUT_S)
    _check(report)
    begin, end = report.begin_s, report.end_s
    courses = [course(heard.arrivals, plan.cadence, begin, end) for heard in report.heard]
    measured = Round(
        frames=sum(each.audio_s for each in courses) * 1000 / AudioSettings().frame_duration_ms,
        messages=sum(each.messages for each in courses),
        lateness=np.concatenate([each.lateness_s for each in courses]),
        underruns=sum(each.underruns for each in courses),
        cpu=cpu,
        listeners_cpu_s=report.cpu_s,
        reading_delay_s=report.reading_delay_s,
        foreign_cpu_share=foreign_share,
        window_s=end - begin,
        histogram=_lateness_histogram(before, after),
        cache_hits=_counted("cache_lookups_total", "hit", before, after),
    )
    return measured, report


def _expect(room: Helper, moment: Moment) -> None:
    told = room.receive(_TIMEOUT_S + 600)
    assert told is moment, f"{told} instead of {moment}"


def _check(report: Report) -> None:
    """A session that fell silent would make everything look cheap: refuse to count it."""
    for number, heard in enumerate(report.heard):
        errors = [text for text in heard.texts if json.loads(text)["type"] in ("error", "done")]
        if heard.problem or errors:
            raise ConnectionError(f"session {number}: {heard.problem or errors[0].decode()}")
        if not heard.arrivals:
            raise ConnectionError(f"session {number} got no audio at all")


def _lateness_histogram(before: Exposition | None, after: Exposition | None) -> Histogram | None:
    if before is None or after is None:
        return None
    name = "pacing_lateness_seconds"
    return after.histograms[name].since(before.histograms[name])


def _counted(name: str, label: str, before: Exposition | None, after: Exposition | None) -> int:
    if before is None or after is None:
        return 0
    return int(after.value(name, label) - before.value(name, label))


# ── what is asked ──────────────────────────────────────────────────────────────────────────────


def _cadence(load: Load) -> Cadence:
    pacing = load.pacing
    audio = AudioSettings()
    frame_s = audio.frame_duration_ms / 1000
    codec = make_codec(
        load.codec,
        sample_rate=audio.sample_rate,
        frame_duration_ms=audio.frame_duration_ms,
        bitrate=audio.bitrate,
        settings=audio,
    )
    step_s = int(pacing.message_duration_max_ms / 1000 / frame_s + 1e-9) * frame_s
    return Cadence(
        lead_target_s=pacing.lead_start_s,
        step_s=step_s,
        prebuffer_samples=media_samples(pacing.prebuffer_s),
        preskip_samples=codec.info.preskip_samples,
    )


def _starts(load: Load, number: int) -> list[float]:
    """When each session starts; the same for both sides of a round."""
    random = Random(load.seed + number)
    return [random.uniform(0, RAMP_S) for _ in range(load.sessions)]


def _opening(load: Load, number: int, chars: int) -> tuple[str, ...]:
    text = long_text(load.seed * 1_000_003 + number, chars)
    return (
        json.dumps({"type": "start", "codec": load.codec}),
        json.dumps({"type": "text", "text": text}),
    )


def _plan(load: Load, port: int, subprotocol: str | None, callers: Sequence[Caller]) -> Plan:
    return Plan(
        host=HOST,
        port=port,
        subprotocol=subprotocol,
        callers=tuple(callers),
        cadence=_cadence(load),
        begin_s=RAMP_S + SETTLE_S,
        window_s=load.seconds,
        warning_s=WARNING_S,
        tail_s=TAIL_S,
        reports_per_s=load.reports_per_s,
    )


def _recording(heard: Heard, cadence: Cadence) -> bare_sender.Recording:
    """The messages of a session, each with its due time: what the bare sender sends."""
    return [
        (cadence.offset_s(arrival.timestamp_samples), message)
        for arrival, message in zip(heard.arrivals, heard.messages, strict=True)
    ]


def _one_frame_a_message(recording: bare_sender.Recording) -> bare_sender.Recording:
    """The same frames, each in a message of its own, 20 ms apart."""
    single = []
    for due_s, message in recording:
        header, payloads = unpack_message(message)
        for number, payload in enumerate(payloads):
            samples = number * header.frame_duration_samples
            alone = header._replace(
                sequence_number=header.sequence_number + number,
                timestamp=header.timestamp + samples,
                marker=header.marker and number == 0,
                last=header.last and number == len(payloads) - 1,
            )
            single.append((due_s + seconds(samples), pack_message(alone, [payload])))
    return single


# ── figures ────────────────────────────────────────────────────────────────────────────────────


def _side(rounds: Sequence[Round]) -> Side:
    lateness = np.concatenate([measured.lateness for measured in rounds])

    def per_1000_frames(used: Callable[[ProcessCpu], float]) -> float:
        return _median([used(each.cpu) * 1e6 / each.frames for each in rounds])

    def per_s(used: Callable[[ProcessCpu], float]) -> float:
        return _median([each.frames / used(each.cpu) for each in rounds])

    return Side(
        frames_per_s=_median([each.frames / each.window_s for each in rounds]),
        messages_per_s=_median([each.messages / each.window_s for each in rounds]),
        lateness_s=spread(lateness),
        lateness_p99_by_round_s=tuple(spread(each.lateness).p99 for each in rounds),
        share_later_than_goal=share_above(lateness, GOAL_LATENESS_P99_S),
        loop_ms_per_1000_frames=per_1000_frames(lambda cpu: cpu.main_thread_s),
        lanes_ms_per_1000_frames=per_1000_frames(lambda cpu: cpu.other_threads_s),
        workers_ms_per_1000_frames=per_1000_frames(lambda cpu: cpu.children_s),
        process_ms_per_1000_frames=per_1000_frames(lambda cpu: cpu.process_s),
        total_ms_per_1000_frames=per_1000_frames(lambda cpu: cpu.total_s),
        frames_per_loop_s=per_s(lambda cpu: cpu.main_thread_s),
        frames_per_process_s=per_s(lambda cpu: cpu.process_s),
        listeners_cpu_share=_median([each.listeners_cpu_s / each.window_s for each in rounds]),
        reading_delay_p99_s=max(each.reading_delay_s.p99 for each in rounds),
        foreign_cpu_share=max(each.foreign_cpu_share for each in rounds),
    )


def _ratio(
    gateway_rounds: Sequence[Round],
    bare_rounds: Sequence[Round],
    used: Callable[[ProcessCpu], float],
) -> float:
    """CPU time of the bare sender per frame, all of it, in units of a part of the gateway's."""
    return ratio_of_pairs(
        [each.cpu.total_s / each.frames for each in bare_rounds],
        [used(each.cpu) / each.frames for each in gateway_rounds],
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
