from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.e2e.conftest import GatewayProcess
from tests.sdk.packages import MARKS, TEXT, decoded_s, package, raw_s

openai = package("openai")
pytestmark = MARKS


def client_of(gateway: GatewayProcess, key: str = "any") -> Any:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def spoken(client: Any, **options: Any) -> bytes:
    request = {"model": "tts-1", "voice": "alloy", "input": TEXT, **options}
    with client.audio.speech.with_streaming_response.create(**request) as reply:
        return b"".join(reply.iter_bytes())


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format_decodes_to_all_of_the_speech(form: str, gateway: GatewayProcess) -> None:
    client = client_of(gateway)
    whole_s = raw_s(spoken(client, response_format="pcm"), 24_000)
    assert whole_s > 4
    # MP3 and AAC pad to whole frames and have a delay of their own.
    assert decoded_s(spoken(client, response_format=form)) == pytest.approx(whole_s, abs=0.1)


def test_server_sent_events_carry_the_same_audio(gateway: GatewayProcess) -> None:
    data = spoken(client_of(gateway), response_format="pcm", stream_format="sse")
    messages = [json.loads(line[6:]) for line in data.splitlines() if line]
    assert {each["type"] for each in messages[:-1]} == {"speech.audio.delta"}
    assert messages[-1]["type"] == "speech.audio.done"
    assert messages[-1]["usage"]["input_tokens"] == len(TEXT)
    audio = b"".join(base64.b64decode(each["audio"]) for each in messages[:-1])
    assert raw_s(audio, 24_000) == pytest.approx(messages[-1]["usage"]["output_tokens"] * 0.02)


def test_errors_are_the_sdk_s_own(gateway: GatewayProcess, locked: GatewayProcess) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        spoken(client_of(gateway), voice="nobody-here")
    assert caught.value.param == "voice"
    with pytest.raises(openai.BadRequestError) as caught:
        spoken(client_of(gateway), speed=9)
    assert caught.value.param == "speed"
    with pytest.raises(openai.AuthenticationError):
        spoken(client_of(locked, "wrong"))
    assert spoken(client_of(locked, "right"))


def test_models_are_listed(gateway: GatewayProcess) -> None:
    assert "tts-1" in [model.id for model in client_of(gateway).models.list()]
