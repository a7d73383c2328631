from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from tests.e2e.conftest import GatewayProcess
from tests.sdk.packages import LONG, MARKS, TEXT, decoded_s, package, raw_s

deepgram = package("deepgram")
environments = package("deepgram.environment")
errors = package("deepgram.core.api_error")
event_types = package("deepgram.core.events")
pytestmark = MARKS


def client_of(gateway: GatewayProcess, key: str = "any") -> Any:
    socket_url = gateway.url.replace("http", "ws")
    environment = environments.DeepgramClientEnvironment(
        base=gateway.url, production=socket_url, agent=socket_url, agent_rest=gateway.url
    )
    return deepgram.DeepgramClient(api_key=key, environment=environment)


class Talk:
    """A connection whose messages are kept: bytes joined, the others in order."""

    def __init__(self, connect: Any) -> None:
        self._connect = connect
        self._queue: queue.Queue[Any] = queue.Queue()

    def __enter__(self) -> Talk:
        self._socket = self._connect.__enter__()
        self._socket.on(event_types.EventType.MESSAGE, self._queue.put)
        self._thread = threading.Thread(target=self._socket.start_listening, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.say(type="Close")
        self._thread.join(5)
        assert not self._thread.is_alive()
        self._connect.__exit__(kind, value, trace)

    def say(self, **message: object) -> None:
        self._socket._send(message)

    def hear_until(self, kind: str) -> tuple[bytes, list[Any]]:
        """Audio and messages up to the first of that type."""
        audio, messages = b"", []
        while True:
            heard = self._queue.get(timeout=10)
            if isinstance(heard, bytes):
                audio += heard
                continue
            messages.append(heard)
            if heard.type == kind:
                return audio, messages

    def hear_nothing_for(self, seconds: float) -> None:
        time.sleep(seconds)
        assert self._queue.empty(), self._queue.get()


def version_1(gateway: GatewayProcess, **query: Any) -> Talk:
    query = {"encoding": "linear16", "sample_rate": 24_000, **query}
    return Talk(client_of(gateway).speak.v1.connect(model="aura-2-thalia-en", **query))


def version_2(gateway: GatewayProcess) -> Talk:
    speak = client_of(gateway).speak
    return Talk(speak.v2.connect(model="flux-thalia-en", encoding="linear16", sample_rate=24_000))


def say_words(talk: Talk) -> None:
    for word in TEXT.split():
        talk.say(type="Speak", text=word + " ")
    talk.say(type="Flush")


@pytest.mark.parametrize(
    ("options", "length_s"),
    [
        ({"encoding": "linear16", "container": "wav", "sample_rate": 24_000}, decoded_s),
        ({"encoding": "mulaw", "container": "wav"}, decoded_s),
        ({"encoding": "alaw", "container": "wav"}, decoded_s),
        ({"encoding": "mp3"}, decoded_s),
        ({"encoding": "opus"}, decoded_s),
        ({"encoding": "aac"}, decoded_s),
        ({"encoding": "flac"}, decoded_s),
        (
            {"encoding": "linear16", "container": "none", "sample_rate": 48_000},
            lambda data: raw_s(data, 48_000),
        ),
    ],
)
def test_every_format_decodes(
    options: dict[str, Any], length_s: Callable[[bytes], float], gateway: GatewayProcess
) -> None:
    audio = client_of(gateway).speak.v1.audio
    data = b"".join(audio.generate(text=TEXT, model="aura-2-thalia-en", **options))
    assert 4 < length_s(data) < 6


@pytest.mark.parametrize(("encoding", "size"), [("linear16", 2), ("mulaw", 1), ("alaw", 1)])
def test_a_turn_of_version_1_is_complete_when_flushed(
    encoding: str, size: int, gateway: GatewayProcess
) -> None:
    with version_1(gateway, encoding=encoding, sample_rate=8_000) as talk:
        say_words(talk)
        audio, messages = talk.hear_until("Flushed")
        assert 4 < raw_s(audio, 8_000, size) < 6
        assert [message.type for message in messages] == ["Metadata", "Flushed"]
        talk.say(type="Flush")
        assert talk.hear_until("Flushed")[0] == b""


def test_clear_silences_version_1_and_the_next_turn_is_its_own(paced: GatewayProcess) -> None:
    with version_1(paced) as talk:
        talk.say(type="Speak", text=LONG)
        talk.hear_until("Metadata")
        time.sleep(0.3)
        talk.say(type="Clear")
        audio, messages = talk.hear_until("Cleared")
        assert 0 < raw_s(audio, 24_000) < 3
        assert [message.type for message in messages] == ["Cleared"]
        talk.hear_nothing_for(0.3)
        talk.say(type="Speak", text="Another turn.")
        talk.say(type="Flush")
        assert 0.5 < raw_s(talk.hear_until("Flushed")[0], 24_000) < 2


def test_an_interrupt_of_version_2_tells_what_was_heard(gateway: GatewayProcess) -> None:
    with version_2(gateway) as talk:
        say_words(talk)
        audio, messages = talk.hear_until("Flushed")
        kinds = [message.type for message in messages]
        assert kinds == ["Connected", "SpeechStarted", "SpeechMetadata", "Flushed"]
        assert messages[2].audio_duration_ms == pytest.approx(raw_s(audio, 24_000) * 1000, abs=20)
        talk.say(type="Interrupt", playback_offset={"type": "time_ms", "value": 900})
        told = talk.hear_until("SpeechInterrupted")[1][-1]
        assert told.audio_played_ms == 900
        assert told.text_spoken == "Hello there"
        assert told.text_spoken + told.text_remaining == TEXT + " "


def test_an_interrupt_silences_version_2(paced: GatewayProcess) -> None:
    with version_2(paced) as talk:
        talk.say(type="Speak", text=LONG)
        talk.hear_until("SpeechStarted")
        talk.say(type="Interrupt")
        talk.hear_until("SpeechInterrupted")
        talk.hear_nothing_for(0.3)
        talk.say(type="Speak", text="Another turn.")
        talk.say(type="Flush")
        assert 0.5 < raw_s(talk.hear_until("Flushed")[0], 24_000) < 2


def test_two_connections_at_once_do_not_mix(gateway: GatewayProcess) -> None:
    with version_1(gateway) as one, version_1(gateway) as other:
        for talk, text in ((one, TEXT), (other, "Short.")):
            talk.say(type="Speak", text=text)
            talk.say(type="Flush")
        assert 4 < raw_s(one.hear_until("Flushed")[0], 24_000) < 6
        assert 0.2 < raw_s(other.hear_until("Flushed")[0], 24_000) < 1.5


def test_errors_are_the_sdk_s_own(gateway: GatewayProcess, locked: GatewayProcess) -> None:
    with pytest.raises(errors.ApiError) as caught:
        b"".join(client_of(gateway).speak.v1.audio.generate(text=TEXT, model="nobody-x"))
    assert caught.value.status_code == 400
    with pytest.raises(errors.ApiError) as caught:
        b"".join(client_of(locked, "wrong").speak.v1.audio.generate(text=TEXT))
    assert caught.value.status_code == 401
    assert b"".join(client_of(locked, "right").speak.v1.audio.generate(text=TEXT))
