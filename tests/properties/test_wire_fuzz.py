"""Garbage gives only errors of the client's kind; legal messages survive a round trip."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ClientError
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.voice_v1 import decode

SETTINGS = Settings()

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
TYPES = ["start", "text", "flush", "end", "cancel", "report", "close", "resume", ""]
FIELDS = [
    "context",
    "text",
    "voice",
    "language",
    "speed",
    "codec",
    "sample_rate",
    "bitrate",
    "frame_duration_ms",
    "played_samples",
    "generation",
]


def accept_or_refuse(message: str | bytes) -> None:
    try:
        event = decode(message, SETTINGS)
    except ClientError:
        return
    assert isinstance(event, events.ClientEvent)


@given(st.text() | st.binary())
def test_any_text_or_bytes_is_read_or_refused(message: str | bytes) -> None:
    accept_or_refuse(message)


@given(st.text(st.characters(codec=None), max_size=40))
def test_any_code_points_in_a_text_are_read_or_refused(text: str) -> None:
    accept_or_refuse('{"type":"text","text":"' + text + '"}')


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_values_in_known_fields_are_read_or_refused(
    kind: str, fields: dict[str, object]
) -> None:
    accept_or_refuse(orjson.dumps({"type": kind, **fields}).decode())


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("abc", min_size=1, max_size=64))
def test_every_text_arrives_as_it_was_sent(text: str, context: str) -> None:
    message = orjson.dumps({"type": "text", "text": text, "context": context}).decode()
    assert decode(message, SETTINGS) == events.Text(context, text)
