"""What clients of the other services may send, legal and illegal, for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.sampled_from(["", " ", "One. ", "Two words, ", "and", "?!", "`x`", "é\n"])
NAMES = st.sampled_from(["a", "b", "a" * 300, ""])
FLAGS = st.booleans()


def _sometimes(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _typed(kinds: tuple[str, ...], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda kind, more: {"type": kind, **more}, st.sampled_from(kinds), _sometimes(**fields)
    )


def _or_illegal(legal: st.SearchStrategy[Any]) -> st.SearchStrategy[str | bytes]:
    """Mostly legal messages; some with one field spoilt, some that are nothing at all."""

    def spoil(message: dict[str, Any], place: int, value: Any) -> dict[str, Any]:
        names = sorted(message) or ["text"]
        return {**message, names[place % len(names)]: value}

    spoilt = st.builds(spoil, legal, st.integers(0, 9), ANYTHING)
    whole = st.one_of(legal, legal, legal, legal, spoilt)
    garbage = st.text(max_size=20) | st.binary(max_size=20) | ANYTHING.map(_json)
    return st.one_of(whole.map(_json), whole.map(_json), whole.map(_json), garbage)


def _json(message: Any) -> str:
    # A lone surrogate has no UTF-8; it is sent as the text that a careless client would send.
    try:
        return orjson.dumps(message).decode()
    except TypeError:
        return repr(message)


@dataclass(frozen=True)
class Wire:
    """A protocol's WebSocket path with its query, and what is sent there."""

    path: str
    messages: st.SearchStrategy[str | bytes]
    query: bytes = b""


_SPEED = _sometimes(speed=st.floats(0.1, 9))
_ELEVENLABS = {
    "text": TEXTS,
    "flush": FLAGS,
    "voice_settings": _SPEED,
    "context_id": NAMES,
    "close_context": FLAGS,
}
_CARTESIA = _sometimes(
    context_id=NAMES,
    transcript=TEXTS,
    flush=FLAGS,
    cancel=FLAGS,
    max_buffer_delay_ms=st.sampled_from([0, 500]),
    add_timestamps=FLAGS,
    voice=st.fixed_dictionaries({"mode": st.just("id"), "id": st.sampled_from(["v", "nobody"])}),
    output_format=st.fixed_dictionaries(
        {
            "container": st.just("raw"),
            "encoding": st.sampled_from(["pcm_s16le", "pcm_f32le", "pcm_mulaw"]),
            "sample_rate": st.sampled_from([8000, 44100]),
        }
    ),
    **{"continue": FLAGS},
)
_DEEPGRAM_1 = _typed(("Speak", "Speak", "Flush", "Clear", "Close", "KeepAlive"), text=TEXTS)
_DEEPGRAM_2 = _typed(
    ("Speak", "Speak", "Flush", "Interrupt", "Configure", "Close"),
    text=TEXTS,
    playback_offset=st.fixed_dictionaries(
        {"type": st.just("time_ms"), "value": st.integers(0, 9000)}
    ),
)

WIRES = {
    "elevenlabs": Wire(
        "/v1/text-to-speech/v/stream-input",
        _or_illegal(_sometimes(**_ELEVENLABS)),
        b"output_format=pcm_24000",
    ),
    "elevenlabs_many": Wire(
        "/v1/text-to-speech/v/multi-stream-input",
        _or_illegal(_sometimes(**_ELEVENLABS, close_socket=st.sampled_from([False] * 9 + [True]))),
        b"output_format=opus_48000_32&auto_mode=true",
    ),
    "elevenlabs_unknown": Wire(
        "/v1/text-to-speech/nobody/multi-stream-input", _or_illegal(_sometimes(**_ELEVENLABS))
    ),
    "cartesia": Wire("/tts/websocket", _or_illegal(_CARTESIA)),
    "deepgram_1": Wire("/v1/speak", _or_illegal(_DEEPGRAM_1), b"model=v&encoding=linear16"),
    "deepgram_2": Wire("/v2/speak", _or_illegal(_DEEPGRAM_2), b"model=v&encoding=mulaw"),
}

WYOMING = _typed(
    ("describe", "ping", "synthesize", "synthesize-start", "synthesize-chunk", "synthesize-stop"),
    data=_sometimes(text=TEXTS, voice=_sometimes(name=st.sampled_from(["v", "nobody"]))),
)
WYOMING_SPOILT = st.binary(max_size=20) | ANYTHING.map(_json).map(lambda text: text.encode())
