from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import GatewayProcess
from tests.sdk.packages import LONG, MARKS, TEXT, decoded_s, package, raw_s

cartesia = package("cartesia")
pytestmark = MARKS

VOICE = {"mode": "id", "id": "en-us"}
NOBODY = {"mode": "id", "id": "nobody-x"}
FLOATS = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44_100}


def client_of(gateway: GatewayProcess, key: str = "any") -> Any:
    return cartesia.Cartesia(
        api_key=key,
        base_url=gateway.url,
        websocket_base_url=gateway.url.replace("http", "ws"),
        max_retries=0,
    )


def spoken(client: Any, form: dict[str, Any], voice: dict[str, str] = VOICE) -> bytes:
    reply = client.tts.generate(model_id="m", transcript=TEXT, voice=voice, output_format=form)
    data: bytes = reply.read()
    return data


def context_of(connection: Any, **options: Any) -> Any:
    return connection.context(model_id="m", voice=VOICE, output_format=FLOATS, **options)


def heard(context: Any) -> tuple[bytes, list[str], list[float], list[float]]:
    audio, words, starts, ends = b"", [], [], []
    for event in context.receive():
        assert event.type in ("chunk", "timestamps", "done"), event
        if event.type == "chunk":
            audio += event.audio
        elif event.type == "timestamps":
            words += event.word_timestamps.words
            starts += event.word_timestamps.start
            ends += event.word_timestamps.end
    return audio, words, starts, ends


ENCODINGS = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_every_encoding_has_all_of_the_speech(
    encoding: str, rate: int, gateway: GatewayProcess
) -> None:
    client = client_of(gateway)
    raw = spoken(client, {"container": "raw", "encoding": encoding, "sample_rate": rate})
    assert 4 < raw_s(raw, rate, ENCODINGS[encoding]) < 6
    file = spoken(client, {"container": "wav", "encoding": encoding, "sample_rate": rate})
    assert decoded_s(file) == pytest.approx(raw_s(raw, rate, ENCODINGS[encoding]), abs=0.03)


def test_mp3_decodes(gateway: GatewayProcess) -> None:
    form = {"container": "mp3", "sample_rate": 44_100, "bit_rate": 128_000}
    assert 4 < decoded_s(spoken(client_of(gateway), form)) < 6


def test_word_times_of_a_context_cover_its_audio(gateway: GatewayProcess) -> None:
    with client_of(gateway).tts.websocket_connect() as connection:
        context = context_of(connection, language="en", add_timestamps=True)
        for word in TEXT.split():
            context.push(word + " ")
        context.no_more_inputs()
        audio, words, starts, ends = heard(context)
    assert words == [
        "Hello",
        "there",
        "This",
        "is",
        "the",
        "second",
        "sentence",
        "and",
        "it",
        "costs",
        "$5",
        "today",
    ]
    assert all(before <= after for before, after in pairwise(starts))
    assert ends[-1] == pytest.approx(raw_s(audio, 44_100, 4), abs=0.02)


def test_two_contexts_at_once_do_not_mix(gateway: GatewayProcess) -> None:
    with client_of(gateway).tts.websocket_connect() as connection:
        one = context_of(connection, context_id="one", add_timestamps=True)
        other = context_of(connection, context_id="other", add_timestamps=True)
        for i in range(6):
            one.push(f"Number {i} is red. ")
            other.push("Blue! ")
        one.no_more_inputs()
        other.no_more_inputs()
        told, other_told = heard(one), heard(other)
    assert told[1] == [word for i in range(6) for word in ("Number", str(i), "is", "red")]
    assert other_told[1] == ["Blue"] * 6
    for audio, _, _, ends in (told, other_told):
        assert ends[-1] == pytest.approx(raw_s(audio, 44_100, 4), abs=0.02)


def test_a_cancelled_context_is_silent_and_the_next_one_speaks(paced: GatewayProcess) -> None:
    with client_of(paced).tts.websocket_connect() as connection:
        first = context_of(connection, context_id="first")
        first.push(LONG)
        assert connection.recv().type == "chunk"
        first.cancel()
        second = context_of(connection, context_id="second")
        second.push("Go on.")
        second.no_more_inputs()
        events = []
        while not events or events[-1].type != "done":
            events.append(connection.recv())
    contexts = [event.context_id for event in events]
    last_of_first = max((i for i, name in enumerate(contexts) if name == "first"), default=-1)
    assert last_of_first < contexts.index("second")
    of_first = [event for event in events if event.context_id == "first"]
    assert sum(len(event.audio) for event in of_first) < 4 * 44_100
    assert contexts[-1] == "second"


def test_events_over_http_carry_audio_and_word_times(gateway: GatewayProcess) -> None:
    audio, ends = b"", []
    for event in client_of(gateway).tts.generate_sse(
        model_id="m", transcript=TEXT, voice=VOICE, output_format=FLOATS, add_timestamps=True
    ):
        if event.type == "chunk":
            audio += base64.b64decode(event.data) if hasattr(event, "data") else event.audio
        elif event.type == "timestamps":
            ends += event.word_timestamps.end
    assert ends[-1] == pytest.approx(raw_s(audio, 44_100, 4), abs=0.02)


def test_errors_are_the_sdk_s_own(gateway: GatewayProcess, locked: GatewayProcess) -> None:
    with pytest.raises(cartesia.BadRequestError):
        spoken(client_of(gateway), FLOATS, NOBODY)
    with pytest.raises(cartesia.AuthenticationError):
        spoken(client_of(locked, "wrong"), FLOATS)
    assert spoken(client_of(locked, "right"), FLOATS)
    with client_of(gateway).tts.websocket_connect() as connection:
        context = connection.context(model_id="m", voice=NOBODY, output_format=FLOATS)
        context.push("hi")
        *_, error = context.receive()
        assert (error.type, error.context_id, error.status_code) == (
            "error",
            context._context_id,
            400,
        )
        after = context_of(connection)
        after.push("Still here.")
        after.no_more_inputs()
        assert heard(after)[0]


def test_voices_are_listed_page_by_page(gateway: GatewayProcess) -> None:
    everybody = [each["id"] for each in httpx.get(f"{gateway.url}/v1/voices").json()["voices"]]
    assert [voice.id for voice in client_of(gateway).voices.list()] == everybody
    assert [voice.id for voice in client_of(gateway).voices.list(limit=50)] == everybody
