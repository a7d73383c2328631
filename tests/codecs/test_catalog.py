"""The codecs by name."""

from __future__ import annotations

import pytest

from gateway.codecs import libopus
from gateway.codecs.base import Codec, CodecInfo
from gateway.codecs.catalog import CODECS, DECODERS, make_codec, make_decoder
from gateway.errors import InvalidValue
from gateway.settings import AudioSettings

SETTINGS = AudioSettings()


def make(name: str = "opus", **options: int) -> Codec:
    defaults = {"sample_rate": 24_000, "frame_duration_ms": 20, "bitrate": 32_000}
    return make_codec(name, settings=SETTINGS, **{**defaults, **options})


def test_every_codec_has_a_decoder() -> None:
    assert set(CODECS) == set(DECODERS) == {"opus", "pcm", "pcm_f32", "pcmu", "pcma"}


def test_the_info_is_what_was_asked_for() -> None:
    assert make("opus", sample_rate=16_000, frame_duration_ms=40, bitrate=24_000).info == CodecInfo(
        "opus", 16_000, 40, bitrate=24_000, preskip_samples=312
    )
    assert make("pcma", sample_rate=8_000).info == CodecInfo("pcma", 8_000, 20)


def test_the_settings_reach_the_encoder() -> None:
    settings = AudioSettings(complexity=3, application="voip", vbr=False, dtx=True)
    encoder = make_codec(
        "opus", sample_rate=24_000, frame_duration_ms=20, bitrate=20_000, settings=settings
    )
    values = {
        name: libopus.load().encoder_get(encoder._encoder, f"get_{name}")  # type: ignore[attr-defined]
        for name in ("bitrate", "complexity", "application", "vbr", "dtx")
    }
    assert values == {
        "bitrate": 20_000,
        "complexity": 3,
        "application": 2048,
        "vbr": 0,
        "dtx": 1,
    }


@pytest.mark.parametrize(
    ("name", "options", "field", "allowed"),
    [
        ("vorbis", {}, "codec", "opus, pcm, pcm_f32, pcmu, pcma, mp3, aac, flac"),
        ("opus", {"sample_rate": 44_100}, "sample_rate", "8000, 12000, 16000, 24000, 48000"),
        ("pcm", {"sample_rate": 96_000}, "sample_rate", "44100, 48000"),
        ("pcmu", {"frame_duration_ms": 30}, "frame_duration_ms", "20, 40, 60"),
        ("opus", {"bitrate": 1_000}, "bitrate", "6000 to 256000"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    name: str, options: dict[str, int], field: str, allowed: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        make(name, **options)
    assert caught.value.field == field
    assert allowed in caught.value.message


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(InvalidValue) as caught:
        make_decoder("mp3", 24_000)
    assert caught.value.field == "codec"


def test_the_bitrate_does_not_matter_to_pcm() -> None:
    assert make("pcm", bitrate=1).info.bitrate is None


def test_the_ranges_of_the_settings_are_those_of_the_encoder() -> None:
    for bitrate in (6_000, 256_000):
        assert make(bitrate=AudioSettings(bitrate=bitrate).bitrate).info.bitrate == bitrate
    for rejected in (5_999, 256_001):
        with pytest.raises(ValueError):
            AudioSettings(bitrate=rejected)
        with pytest.raises(InvalidValue):
            make(bitrate=rejected)
