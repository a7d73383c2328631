"""Results as text for people and as one JSON object for programs.  Pure.

JSON has seconds and plain ratios, with the fields of the result classes; text has milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import orjson

from loadtest.overhead import GOAL_P50_S, GOAL_P99_S, Overhead
from loadtest.pacing import GOAL_LATENESS_P99_S, GOAL_RATIO, Pacing, Side
from loadtest.statistics import Spread
from loadtest.wires import GOAL_P50_S as WIRES_GOAL_P50_S
from loadtest.wires import Wires

_QUIET_SHARE = 0.05
"""Other programs may use this part of the machine, and it still counts as idle."""


def to_json(result: Overhead | Pacing | Wires, machine: str) -> str:
    """One JSON object; an infinite figure (beyond a histogram's last bound) is null."""
    match result:
        case Overhead():
            goals = {"p50": result.usually_fast, "p99": result.always_fast}
        case Pacing():
            goals = {"lateness_p99": result.punctual, "loop_ratio": result.fast}
        case Wires():
            goals = {wire.name: wire.met for wire in result.wires}
    return orjson.dumps(
        {"machine": machine, **asdict(result), "goals_met": goals}, option=orjson.OPT_INDENT_2
    ).decode()


def overhead_text(result: Overhead, machine: str) -> str:
    """The table of ``overhead``."""
    rows = [
        ("", "p50", "p90", "p99", "max"),
        _times("gateway: clause sent → first audio", result.gateway_s),
        _times("engine alone, to the same frame", result.engine_s),
        _times("overhead of the gateway", result.overhead_s),
        _times("gateway, text from the cache", result.cached_s),
    ]
    misses = f"{result.missed_p99_goal:.2%} of turns over {_ms(GOAL_P99_S)} ms"
    return "\n".join(
        [
            f"Time to first audio, ms; {result.turns} turns, {machine}",
            *_table(rows),
            f"overhead / engine's own time, medians: {result.ratio:.2f}",
            f"goal p50 <= {_ms(GOAL_P50_S)} ms: {_met(result.usually_fast)}",
            f"goal p99 <= {_ms(GOAL_P99_S)} ms: {_met(result.always_fast)} ({misses})",
            *_warning(result.foreign_cpu_share),
            f"cache hits: {result.cache_hits}; texts that it should know: {result.cached_s.count}",
        ]
    )


def wires_text(result: Wires, machine: str) -> str:
    """The table of ``wires``."""
    rows = [("", "p50", "p90", "p99", "later, p50")]
    for wire in result.wires:
        taken = wire.first_audio_s
        figures = (taken.p50, taken.p90, taken.p99, wire.later_p50_s)
        rows.append((wire.name, *map(_ms, figures)))  # type: ignore[arg-type]
    late = [wire.name for wire in result.wires if not wire.met]
    return "\n".join(
        [
            f"Time to first audio, ms; {result.turns} turns, {machine}",
            *_table(rows),
            f"goal: at most {_ms(WIRES_GOAL_P50_S)} ms later: {_met(not late)} {', '.join(late)}",
            *_warning(result.foreign_cpu_share),
        ]
    )


def pacing_text(result: Pacing, machine: str) -> str:
    """The table of ``pacing``."""
    ours, bare = result.gateway, result.bare
    load = result.load
    rows = [("", "gateway", "bare sender")]
    rows += [(name, read(ours), read(bare)) for name, read in _PACING_ROWS]
    server = (
        f"{_ms(result.server_lateness_p99_s)} ms, "
        f"{result.server_share_later_than_goal:.2%} over {_ms(GOAL_LATENESS_P99_S)} ms"
    )
    return "\n".join(
        [
            f"{load.sessions} sessions, {load.rounds} rounds of {load.seconds:g} s on each side in "
            f"turn, messages of {load.message_ms} ms, {load.codec}, "
            f"{load.reports_per_s:g} reports/s a session; {machine}",
            *_table(rows),
            f"rate: frames per second of event loop, gateway / bare: {result.loop_ratio:.2f}; "
            f"gateway / plain sender, a message for each frame: {result.plain_ratio:.2f} "
            f"({result.plain.process_ms_per_1000_frames:.1f} CPU ms per 1,000 frames)",
            f"CPU per frame, bare / gateway: {result.process_ratio:.2f} with encoding, "
            f"{result.total_ratio:.2f} with encoding and synthesis",
            f"gateway's own histogram, timers: p99 {server}",
            *_warning(max(ours.foreign_cpu_share, bare.foreign_cpu_share)),
            f"times a listener ran dry: {result.underruns}; cache hits: {result.cache_hits}",
            f"goal: p99 of lateness <= {_ms(GOAL_LATENESS_P99_S)} ms: {_met(result.punctual)}",
            f"goal: rate >= {GOAL_RATIO} of the bare sender's: {_met(result.fast)}",
        ]
    )


_PACING_ROWS: tuple[tuple[str, Callable[[Side], str]], ...] = (
    ("frames of 20 ms per second", lambda side: f"{side.frames_per_s:,.0f}"),
    ("messages per second", lambda side: f"{side.messages_per_s:,.0f}"),
    ("lateness on arrival, ms: p50", lambda side: _ms(side.lateness_s.p50)),
    ("  p99", lambda side: _ms(side.lateness_s.p99)),
    ("  p99 of each round", lambda side: _each_ms(side.lateness_p99_by_round_s)),
    ("  max", lambda side: _ms(side.lateness_s.greatest)),
    (
        f"  share over {GOAL_LATENESS_P99_S * 1000:g} ms",
        lambda side: f"{side.share_later_than_goal:.2%}",
    ),
    ("CPU ms per 1,000 frames: event loop", lambda side: f"{side.loop_ms_per_1000_frames:.1f}"),
    ("  lanes: PCM, resampling, Opus", lambda side: f"{side.lanes_ms_per_1000_frames:.1f}"),
    ("  the whole process", lambda side: f"{side.process_ms_per_1000_frames:.1f}"),
    ("  espeak workers", lambda side: f"{side.workers_ms_per_1000_frames:.1f}"),
    ("frames per CPU second: event loop", lambda side: f"{side.frames_per_loop_s:,.0f}"),
    ("  the whole process", lambda side: f"{side.frames_per_process_s:,.0f}"),
    ("listeners: CPU of one core", lambda side: f"{side.listeners_cpu_share:.0%}"),
    ("  p99 of reading late, ms", lambda side: _ms(side.reading_delay_p99_s)),
    ("other programs: CPU of the machine", lambda side: f"{side.foreign_cpu_share:.0%}"),
)


def _warning(foreign_cpu_share: float) -> list[str]:
    """A line that says so if the machine was not idle."""
    if foreign_cpu_share <= _QUIET_SHARE:
        return []
    return [
        f"NOT AN IDLE MACHINE: other programs used {foreign_cpu_share:.0%} of all its CPUs; "
        "times and shares above are worse than the gateway's own"
    ]


def _times(name: str, values: Spread) -> tuple[str, ...]:
    return (name, _ms(values.p50), _ms(values.p90), _ms(values.p99), _ms(values.greatest))


def _ms(duration_s: float) -> str:
    return f"{duration_s * 1000:.2f}"


def _each_ms(durations_s: Sequence[float]) -> str:
    return " ".join(_ms(duration_s) for duration_s in durations_s)


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need; the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
