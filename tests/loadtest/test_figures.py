from loadtest.figures import figures_of
from loadtest.overhead import Overhead
from loadtest.statistics import spread


def test_an_overhead_run_has_its_ratio_to_the_engine() -> None:
    result = Overhead(
        turns=2,
        gateway_s=spread([0.004, 0.006]),
        engine_s=spread([0.002, 0.002]),
        overhead_s=spread([0.002, 0.004]),
        ratio=1.0,
        missed_p99_goal=0.0,
        cached_s=spread([0.001]),
        cache_hits=1,
        foreign_cpu_share=0.0,
    )

    figures = figures_of(result)

    assert figures["first_audio_s"].value == 0.004
    assert (figures["first_audio_of_engine"].value, figures["first_audio_of_engine"].unit) == (
        2.0,
        "ratio",
    )
