"""Results of a benchmark as a run file's figures.  Pure."""

from __future__ import annotations

from loadtest.overhead import Overhead
from loadtest.pacing import Pacing
from loadtest.runfile import RATIO, Figure, Run


def figures_of(result: Overhead | Pacing) -> Run:
    """Times are medians, in seconds; ratios are those that the benchmark prints."""
    if isinstance(result, Overhead):
        return {
            "first_audio_s": Figure(result.gateway_s.p50, "s", "lower"),
            "overhead_s": Figure(result.overhead_s.p50, "s", "lower"),
            "cached_s": Figure(result.cached_s.p50, "s", "lower"),
            "first_audio_of_engine": Figure(
                result.gateway_s.p50 / result.engine_s.p50, RATIO, "lower"
            ),
        }
    return {
        "lateness_p99_s": Figure(result.gateway.lateness_s.p99, "s", "lower"),
        "loop_rate_of_bare": Figure(result.loop_ratio, RATIO, "higher"),
        "loop_rate_of_plain": Figure(result.plain_ratio, RATIO, "higher"),
        "cpu_of_bare": Figure(result.total_ratio, RATIO, "higher"),
    }
