import numpy as np

from gateway.media import PcmBlock, media_samples, seconds, to_media_samples
from gateway.synthesis import Alignment, TextChunk
from gateway.trace import Event, Trace


def test_media_time_is_rounded_to_the_nearest_tick() -> None:
    assert to_media_samples(22_050, 22_050) == 48_000
    assert to_media_samples(1, 22_050) == 2  # 2.177
    assert to_media_samples(3, 22_050) == 7  # 6.531
    assert media_samples(0.02) == 960
    assert seconds(960) == 0.02


def test_a_block_knows_its_duration() -> None:
    assert PcmBlock(np.zeros(11_025, np.float32), 22_050).duration_s == 0.5


def test_spoken_text_maps_back_to_the_clients_characters() -> None:
    chunk = TextChunk("a $5", 100, 104, "a five dollars", (Alignment(2, 14, 102, 104),))
    assert chunk.source_span(2, 6) == (102, 104)
    assert chunk.source_span(0, 1) == (100, 100)


def test_a_trace_keeps_the_newest_records_and_tells_its_observer() -> None:
    seen = []
    trace = Trace(records_max=2, observer=seen.append)
    for number in range(3):
        trace.add(float(number), Event.UNDERRUN, context="c", number=number)
    assert len(trace) == 2
    assert [record.fields["number"] for record in trace] == [1, 2]
    assert len(seen) == 3
    assert trace.to_json_lines().splitlines()[0] == (
        '{"t":1.0,"event":"underrun","context":"c","number":1}'
    )
