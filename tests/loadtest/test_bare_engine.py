import numpy as np

from gateway.codecs.catalog import make_codec
from gateway.codecs.track import Track
from gateway.media import PcmBlock
from gateway.settings import AudioSettings
from gateway.synthesis import Rendering
from loadtest.bare_engine import _FirstFrame


def _first_frame() -> _FirstFrame:
    codec = make_codec(
        "pcm",
        sample_rate=24_000,
        frame_duration_ms=20,
        bitrate=32_000,
        settings=AudioSettings(),
    )
    return _FirstFrame(Track(codec))


def _rendering(samples: int, *, final: bool = False) -> Rendering:
    return Rendering(PcmBlock(np.zeros(samples, np.float32), 24_000), final)


def test_the_engine_is_stopped_with_the_block_that_completes_a_frame() -> None:
    first = _first_frame()

    assert first.receive(0, _rendering(300)) is True
    assert first.at_s is None
    assert first.receive(0, _rendering(300)) is False
    assert first.at_s is not None


def test_only_the_encoding_before_that_block_is_taken_off() -> None:
    first = _first_frame()

    first.receive(0, _rendering(480))

    assert first.encoding_s == 0.0


def test_a_text_shorter_than_a_frame_ends_with_its_last_block() -> None:
    first = _first_frame()

    assert first.receive(0, _rendering(100, final=True)) is False
    assert first.at_s is not None
