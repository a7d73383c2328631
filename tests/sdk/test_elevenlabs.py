from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from gateway.wire.formats import elevenlabs_formats
from tests.e2e.conftest import GatewayProcess
from tests.sdk.packages import MARKS, TEXT, decoded_s, package, raw_s

elevenlabs = package("elevenlabs")
core = package("elevenlabs.core")
pytestmark = MARKS

VOICE = "21m00Tcm4TlvDq8ikWAM"


def client_of(gateway: GatewayProcess, key: str = "any") -> Any:
    client = elevenlabs.ElevenLabs(base_url=gateway.url, api_key=key)
    # The SDK has no public way to a server without TLS.
    client.text_to_speech._ws_base_url = gateway.url.replace("http", "ws")
    return client


def length_s(form: str, data: bytes) -> float:
    kind, rate = form.split("_")[:2]
    if kind in ("pcm", "ulaw", "alaw"):
        return raw_s(data, int(rate), 2 if kind == "pcm" else 1)
    return decoded_s(data)


def words() -> Iterator[str]:
    for word in TEXT.split():
        yield word + " "


@pytest.fixture(scope="module")
def whole_s(gateway: GatewayProcess) -> float:
    speech = client_of(gateway).text_to_speech
    data = b"".join(speech.convert(VOICE, text=TEXT, output_format="pcm_24000"))
    return raw_s(data, 24_000)


@pytest.mark.parametrize("form", elevenlabs_formats())
def test_every_format_decodes_to_all_of_the_speech(
    form: str, gateway: GatewayProcess, whole_s: float
) -> None:
    speech = client_of(gateway).text_to_speech
    data = b"".join(speech.stream(VOICE, text=TEXT, output_format=form))
    assert length_s(form, data) == pytest.approx(whole_s, abs=0.1)


def check_times(characters: list[str], starts: list[float], ends: list[float], s: float) -> None:
    assert "".join(characters).split() == TEXT.split()
    assert all(before <= after for before, after in pairwise(starts))
    assert starts[1:] == ends[:-1]
    assert ends[-1] == pytest.approx(s, abs=0.02)


def test_character_times_cover_the_audio(gateway: GatewayProcess) -> None:
    speech = client_of(gateway).text_to_speech
    reply = speech.convert_with_timestamps(VOICE, text=TEXT, output_format="pcm_16000")
    told = reply.alignment
    check_times(
        told.characters,
        told.character_start_times_seconds,
        told.character_end_times_seconds,
        raw_s(base64.b64decode(reply.audio_base_64), 16_000),
    )


def test_streamed_character_times_cover_the_audio(gateway: GatewayProcess) -> None:
    speech = client_of(gateway).text_to_speech
    audio, characters, starts, ends = b"", [], [], []
    for part in speech.stream_with_timestamps(VOICE, text=TEXT, output_format="pcm_16000"):
        audio += base64.b64decode(part.audio_base_64)
        if part.alignment:
            characters += part.alignment.characters
            starts += part.alignment.character_start_times_seconds
            ends += part.alignment.character_end_times_seconds
    check_times(characters, starts, ends, raw_s(audio, 16_000))


@pytest.mark.parametrize("form", ["pcm_24000", "mp3_22050_32", "opus_48000_32", "ulaw_8000"])
def test_convert_realtime_speaks_all_and_ends(
    form: str, gateway: GatewayProcess, whole_s: float
) -> None:
    speech = client_of(gateway).text_to_speech
    parts = speech.convert_realtime(VOICE, text=words(), model_id="m", output_format=form)
    assert length_s(form, b"".join(parts)) == pytest.approx(whole_s, abs=0.15)


def test_errors_are_the_sdk_s_own(gateway: GatewayProcess, locked: GatewayProcess) -> None:
    speech = client_of(gateway).text_to_speech
    with pytest.raises(elevenlabs.UnprocessableEntityError) as caught:
        b"".join(speech.convert("nobody-x", text=TEXT))
    assert "nobody-x" in str(caught.value.body)
    with pytest.raises(core.ApiError) as failed:
        list(speech.convert_realtime("nobody-x", text=words(), model_id="m"))
    assert failed.value.status_code == 1008
    assert "nobody-x" in str(failed.value.body)
    wrong, right = (client_of(locked, key).text_to_speech for key in ("wrong", "right"))
    with pytest.raises(core.ApiError) as failed:
        b"".join(wrong.convert(VOICE, text=TEXT))
    assert failed.value.status_code == 401
    with pytest.raises(core.ApiError) as failed:
        list(wrong.convert_realtime(VOICE, text=words(), model_id="m"))
    assert failed.value.status_code == 1008
    assert b"".join(right.convert_realtime(VOICE, text=words(), model_id="m"))


def test_voices_models_and_the_subscription_are_listed(gateway: GatewayProcess) -> None:
    client = client_of(gateway)
    listed = client.voices.get_all().voices
    assert "en-us" in [voice.voice_id for voice in listed]
    assert 0 < client.voices.search(search="en-us").total_count < len(listed)
    assert len(client.models.list()) == 1
    assert client.user.subscription.get().tier == "self-hosted"
