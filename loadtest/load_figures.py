"""From what callers brought home to figures: each with its unit, and which way is better.  Pure.

A figure is either one *value*, or *samples* in clusters (a cluster is a session, or a whole run
where there are several; bootstrap.py).  Counted are answers whose first clause was complete inside
the measured time, and silences that began in it; what a caller still waited for when it left is a
sample, of as long as it had waited, once that is ``WAITED_S``: else a server that never answers
would have no latency at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from gateway.media import seconds
from loadtest.audible import first_audible_s, gaps_s, speech
from loadtest.bootstrap import RUNS_MIN, Interval, percentile_intervals
from loadtest.measure import Run
from loadtest.outcome import Answer, Fate, Life
from loadtest.statistics import Values, percentile

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
WAITED_S = 1.0
UNDERRUN_S = 0.05
"""An underrun longer than this is heard as a tear."""

LATE_P99_S = 0.020
"""A generator whose acts are later than this, at their p99, makes a run invalid.

Latencies count from scheduled times, so its lateness is in them: they are upper bounds."""


@dataclass(frozen=True)
class Figure:
    """``better`` is "lower", "higher" or "" (neither); ``clusters`` is empty for a plain value."""

    unit: str
    better: str
    value: float = 0.0
    clusters: tuple[Values, ...] = ()

    @property
    def samples(self) -> Values:
        """All samples."""
        return np.concatenate([np.zeros(0), *self.clusters])

    @cached_property
    def percentiles(self) -> dict[float, Interval]:
        """The percentiles that reports show; of samples only."""
        return percentile_intervals(self.clusters, PERCENTILES)


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and what decoding it told."""

    answer: Answer
    audible_s: float | None
    gaps_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A caller's answers that count, and its silences that do.

    ``silences_s`` is what the listener heard; ``excesses_s`` what was the server's fault: silences
    for which the text was there.  Where the text was late, the time from its coming to sound is in
    ``resumed_s``, as a first-audio time; one above ``WAITED_S`` is the server's fault too.
    """

    life: Life
    heard: tuple[Heard, ...]
    silences_s: tuple[float, ...]
    excesses_s: tuple[float, ...]
    resumed_s: tuple[float, ...]

    @property
    def worst_excess_s(self) -> float:
        """The longest underrun that was the server's; 0 if there was none."""
        return max(self.excesses_s, default=0.0)


def sessions_of(run: Run) -> list[Session]:
    """Decode what was kept, and leave out what was not inside the measured time."""
    begin_s, end_s = run.load.ramp_s, run.load.end_s
    sessions = []
    for life in run.lives:
        counted = [answer for answer in life.answers if begin_s <= answer.clause_s < end_s]
        silences = [
            silence
            for answer in life.answers
            for silence in answer.silences
            if begin_s <= silence.start_s < end_s
        ]
        sessions.append(
            Session(
                life,
                tuple(map(_hear, counted)),
                tuple(silence.duration_s for silence in silences),
                tuple(
                    silence.excess_s
                    for silence in silences
                    if not silence.text_was_late or silence.excess_s > WAITED_S
                ),
                tuple(silence.excess_s for silence in silences if silence.text_was_late),
            )
        )
    return sessions


def figures_of(runs: Sequence[Run]) -> dict[str, Figure]:
    """All figures of some runs of the same load, by name; times are in seconds."""
    by_run = [sessions_of(run) for run in runs]
    everybody = [session for sessions in by_run for session in sessions]
    figures: dict[str, Figure] = {}
    for name, better, unit, read in _SAMPLED:
        clusters = [
            np.asarray([value for session in group for value in read(session)], np.float64)
            for group in (by_run if len(runs) >= RUNS_MIN else [[one] for one in everybody])
        ]
        if any(map(len, clusters)):
            figures[name] = Figure(unit, better, clusters=tuple(clusters))
    return figures | _counts(everybody) | _whole_run(runs, everybody)


def generator_problems(runs: Sequence[Run]) -> list[str]:
    """Why the load generator may have been the limit; empty if it was not."""
    problems = []
    for number, run in enumerate(runs, 1):
        if len(run.lateness_s) and (late_s := percentile(run.lateness_s, 99)) > LATE_P99_S:
            problems.append(
                f"run {number}: the generator was late by {late_s * 1000:.1f} ms at p99, more than "
                f"{LATE_P99_S * 1000:g}; use more --processes, fewer sessions or another machine"
            )
    return problems


def lead_over_time(runs: Sequence[Run]) -> list[tuple[float, float, float]]:
    """(second, median, least) of what the listeners held, in seconds of audio; first run."""
    at: dict[int, list[float]] = {}
    for life in runs[0].lives:
        for answer in life.answers:
            for when_s, depth_samples in answer.lead:
                at.setdefault(int(when_s), []).append(seconds(depth_samples))
    return [(float(s), float(np.median(at[s])), min(at[s])) for s in sorted(at)]


def _hear(answer: Answer) -> Heard:
    samples = speech(answer)
    gaps = gaps_s(answer, samples) if answer.whole else []
    return Heard(answer, first_audible_s(answer, samples), tuple(gaps))


# ── samples of a session ───────────────────────────────────────────────────────────────────────


def _latencies(
    session: Session, end: Callable[[Heard], float | None], begin: Callable[[Answer], float]
) -> Iterator[float]:
    for heard in session.heard:
        at_s = end(heard)
        if at_s is not None:
            yield at_s - begin(heard.answer)
        elif heard.answer.over_s - begin(heard.answer) >= WAITED_S:
            yield heard.answer.over_s - begin(heard.answer)


def _audible_from_token(session: Session) -> Iterable[float]:
    return _latencies(session, lambda heard: heard.audible_s, lambda answer: answer.first_token_s)


def _audible_from_clause(session: Session) -> Iterable[float]:
    return _latencies(session, lambda heard: heard.audible_s, lambda answer: answer.clause_s)


def _arrival_from_clause(session: Session) -> Iterable[float]:
    return _latencies(
        session, lambda heard: heard.answer.first_arrival_s, lambda answer: answer.clause_s
    )


def _connects(session: Session) -> Iterable[float]:
    return (ready_s - asked_s for asked_s, ready_s in session.life.connects)


def _lead(session: Session) -> Iterable[float]:
    return (seconds(depth) for heard in session.heard for _, depth in heard.answer.lead)


def _gaps(session: Session) -> Iterable[float]:
    return (gap_s for heard in session.heard for gap_s in heard.gaps_s)


def _frames_after_cancel(session: Session) -> Iterable[float]:
    return (
        heard.answer.interruption.frames_for_s
        for heard in session.heard
        if heard.answer.interruption is not None
    )


def _audible_after_cancel(session: Session) -> Iterable[float]:
    for heard in session.heard:
        interruption = heard.answer.interruption
        if interruption is not None and interruption.audible_for_s is not None:
            yield interruption.audible_for_s


def _heard_error(session: Session, *, told: bool) -> Iterable[float]:
    for heard in session.heard:
        interruption = heard.answer.interruption
        if interruption is not None and interruption.told is told:
            error = interruption.heard_error_words
            if error is not None:
                yield float(error)


_SAMPLED: tuple[tuple[str, str, str, Callable[[Session], Iterable[float]]], ...] = (
    ("first_audible_from_clause", "lower", "s", _audible_from_clause),
    ("first_audible_from_first_token", "lower", "s", _audible_from_token),
    ("first_audio_from_clause", "lower", "s", _arrival_from_clause),
    ("connect", "lower", "s", _connects),
    ("lead", "", "s", _lead),
    ("gap_between_sentences", "lower", "s", _gaps),
    ("underrun", "lower", "s", lambda session: session.silences_s),
    ("underrun_of_server", "lower", "s", lambda session: session.excesses_s),
    ("first_audio_after_stall", "lower", "s", lambda session: session.resumed_s),
    ("interruption_to_last_frame", "lower", "s", _frames_after_cancel),
    ("interruption_to_last_audible", "lower", "s", _audible_after_cancel),
    ("heard_word_error_told", "lower", "words", lambda s: _heard_error(s, told=True)),
    ("heard_word_error_modelled", "lower", "words", lambda s: _heard_error(s, told=False)),
)


# ── values ─────────────────────────────────────────────────────────────────────────────────────


def _counts(sessions: Sequence[Session]) -> dict[str, Figure]:
    spoke = [session for session in sessions if session.life.answers]
    answers = [heard.answer for session in sessions for heard in session.heard]
    failed = sum(answer.fate is Fate.FAILED for answer in answers)
    smooth = sum(session.worst_excess_s <= UNDERRUN_S for session in spoke)
    return {
        "sessions": Figure("", "", len(spoke)),
        "answers": Figure("", "", len(answers)),
        "error_rate": Figure("", "lower", failed / max(1, len(answers))),
        "sessions_without_tear": Figure("", "higher", smooth / max(1, len(spoke))),
        "worst_underrun_of_server": Figure(
            "s", "lower", max((session.worst_excess_s for session in spoke), default=0.0)
        ),
        "reconnects": Figure(
            "", "", sum(max(0, len(session.life.connects) - 1) for session in sessions)
        ),
    }


def _whole_run(runs: Sequence[Run], sessions: Sequence[Session]) -> dict[str, Figure]:
    measured_s = sum(run.load.end_s for run in runs)
    audio_s = sum(
        seconds(answer.received_samples) for session in sessions for answer in session.life.answers
    )
    lateness = np.concatenate([run.lateness_s for run in runs])
    figures = {
        "audio_s_per_s": Figure("s/s", "higher", audio_s / measured_s),
        "generator_cpu": Figure("cores", "", float(np.mean([r.generator_cpu_share for r in runs]))),
        "others_cpu": Figure("of all", "", float(np.mean([r.foreign_cpu_share for r in runs]))),
    }
    if len(lateness):
        figures["generator_lateness_p99"] = Figure("s", "", percentile(lateness, 99))
    return figures | _server(runs, audio_s) | _metrics(runs)


def _server(runs: Sequence[Run], audio_s: float) -> dict[str, Figure]:
    read = [run.resources for run in runs if len(run.resources) > 1]
    if not read:
        return {}
    used_s = sum(one[-1].cpu_s - one[0].cpu_s for one in read)
    loop_s = sum(one[-1].loop_cpu_s - one[0].loop_cpu_s for one in read)
    elapsed_s = sum(one[-1].at_s - one[0].at_s for one in read)
    return {
        "server_cpu": Figure("cores", "lower", used_s / elapsed_s),
        "server_loop_cpu": Figure("cores", "lower", loop_s / elapsed_s),
        "server_cpu_per_audio_s": Figure("s/s", "lower", used_s / max(1e-9, audio_s)),
        "server_memory": Figure(
            "bytes", "lower", max(reading.memory_bytes for one in read for reading in one)
        ),
    }


def _metrics(runs: Sequence[Run]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    pairs = [(r.before, r.after) for r in runs if r.before is not None and r.after is not None]
    for name, part in (("first_audio", 0.95), ("pacing_lateness", 0.99), ("queue_wait", 0.99)):
        key = f"{name}_seconds"
        grown = [
            after.histograms[key].since(before.histograms[key])
            for before, after in pairs
            if before is not None and after is not None and key in after.histograms
        ]
        if grown and sum(one.total for one in grown):
            whole = grown[0]
            for one in grown[1:]:
                whole = whole.plus(one)
            value = whole.quantile(part)
            if value < inf:  # beyond the last bound nothing is known
                figures[f"metrics_{name}_p{round(part * 100)}"] = Figure("s", "lower", value)
    for label in ("hit", "miss"):
        grown_by = [
            after.value("cache_lookups_total", label) - before.value("cache_lookups_total", label)
            for before, after in pairs
            if before is not None and after is not None
        ]
        if grown_by:
            figures[f"metrics_cache_{label}"] = Figure("", "", sum(grown_by))
    return figures
