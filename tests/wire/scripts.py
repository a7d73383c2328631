"""A client of an adapter, and a session behind it that a test plays by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.access import check_key
from gateway.errors import GatewayError
from gateway.session import events
from gateway.session.events import CodecOptions, Started, Word
from gateway.settings import Settings
from gateway.wire.base import Adapter, Dialect, FromClient, Handshake, Hangup, ToClient

FRAME = 960
SECOND = 48_000


def settings_of(**sections: dict[str, object]) -> Settings:
    return Settings(**sections)  # type: ignore[arg-type]


LOCKED = settings_of(server={"api_keys": ["right"]})


def handshake_of(path: str = "/", **parts: Any) -> Handshake:
    return Handshake(
        path,
        parts.get("parameters", {}),
        parts.get("headers", {}),
        parts.get("query", {}),
        parts.get("subprotocols", ()),
    )


def started(context: str, codec: events.CodecName = "pcm", rate: int = 24_000) -> Started:
    options = CodecOptions(codec, rate, 24_000, 20)
    return Started(context, 0, 0, "v", "en-us", 1.0, options, 312 if codec == "opus" else 0)


def audio(context: str, at: int, *payloads: bytes, last: bool = False) -> events.Audio:
    """Frames of 20 ms from frame number ``at`` on."""
    return events.Audio(context, 0, 0, at, at * FRAME, FRAME, at == 0, last, payloads)


def done(context: str, samples: int = SECOND, frames: int = 50) -> events.Done:
    return events.Done(context, 0, samples, frames, 10)


def cancelled(context: str, *, is_open: bool, offset: int = 0) -> events.Cancelled:
    return events.Cancelled(context, 1, events.Heard(offset, "", 0, "model"), is_open)


def failed(error: GatewayError, context: str | None = None) -> events.Failed:
    return events.Failed(error, context)


def chunk(context: str, text: str, at_s: float, word_s: float, start: int = 0) -> Any:
    """A chunk whose words take ``word_s`` each."""
    words, place = [], 0
    for number, text_of_word in enumerate(text.split()):
        spoken = text_of_word.strip(".,!?")
        place = text.index(spoken, place)
        begin = round((at_s + number * word_s) * SECOND)
        length = round(word_s * SECOND)
        words.append(Word(spoken, start + place, start + place + len(spoken), begin, length))
        place += len(spoken)
    at = round(at_s * SECOND)
    return events.ChunkStarted(context, 0, 0, text, start, start + len(text), at, tuple(words))


class Talk:
    """An adapter whose session accepts what ``accepts`` says it does."""

    def __init__(self, adapter: Adapter, *, answers: bool = True) -> None:
        self.adapter = adapter
        self._answers = answers

    def say(self, *messages: str | bytes, **fields: object) -> list[FromClient]:
        """What the adapter makes of one message; contexts are started as soon as it asks."""
        message = messages[0] if messages else orjson.dumps(fields).decode()
        made: list[FromClient] = []
        for each in self.adapter.receive(message):
            made.append(each)
            if self._answers and isinstance(each, events.Start):
                assert each.codec is not None
                list(self.adapter.send(started(each.context, each.codec)))
        return made

    def hear(self, *said: events.ServerEvent) -> list[Any]:
        """Messages for the client: JSON as dicts, bytes and hang-ups as they are."""
        return [_read(each) for event in said for each in self.adapter.send(event)]


def _read(message: ToClient) -> Any:
    return orjson.loads(message) if isinstance(message, str) else message


def refusals(messages: Iterable[ToClient]) -> tuple[Any, Hangup]:
    *said, hangup = messages
    assert isinstance(hangup, Hangup)
    return _read(said[0]), hangup


def let_in(dialect: Dialect, handshake: Handshake, settings: Settings = LOCKED) -> Adapter:
    """As the endpoint does; raises Unauthorized."""
    if handshake.keys or not dialect.key_may_follow:
        check_key(handshake.keys, settings.server)
    return dialect.adapt(handshake, settings, lambda keys: check_key(keys, settings.server))
