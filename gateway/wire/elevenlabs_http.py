"""ElevenLabs' HTTP requests: speech, speech with times, and the lists that clients ask for.

    POST /v1/text-to-speech/{voice_id}                          one file
    POST /v1/text-to-speech/{voice_id}/stream                   the same, as it is made
    POST /v1/text-to-speech/{voice_id}/with-timestamps          one JSON object
    POST /v1/text-to-speech/{voice_id}/stream/with-timestamps   a JSON object a line
    GET  /v1/voices  /v2/voices  /v1/models  /v1/user/subscription

``/v1/voices`` is shared with our own list: one answer has the fields of both.  ``/v1/models`` is
shared with OpenAI's; a client that shows an ``xi-api-key`` gets this one.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable

import orjson
from pydantic import Field

from gateway.errors import GatewayError, InvalidValue
from gateway.session import events
from gateway.settings import Settings
from gateway.wire.alignment import Aligner, Alignment
from gateway.wire.base import (
    Body,
    Handshake,
    ListingRoute,
    Order,
    Refusal,
    SocketRoute,
    SpeechRoute,
    VoiceFacts,
    Voices,
    WireRoute,
)
from gateway.wire.bodies import Container, FileBody
from gateway.wire.elevenlabs import (
    FORMATS,
    ElevenLabsDialect,
    ManyStreams,
    SingleStream,
    VoiceSettings,
    speed_of,
)
from gateway.wire.formats import find_format
from gateway.wire.reading import Message, read

MODEL = "voice-gateway"
_CONTEXT = "speech"


class _Speech(Message):
    text: str = Field(min_length=1)
    language_code: str | None = None
    voice_settings: VoiceSettings | None = None


def _order(
    handshake: Handshake, body: bytes, make_body: type[FileBody | _TimedBody | _TimedLines]
) -> Order:
    request = read(_Speech, body)
    if not request.text.strip():
        raise InvalidValue("text: there is nothing to speak", field="text")
    name = handshake.query.get("output_format", "mp3_44100_128")
    form = find_format("output_format", name, FORMATS)
    start = events.Start(
        _CONTEXT,
        voice=handshake.parameters["voice_id"],
        language=request.language_code or None,
        speed=speed_of(request.voice_settings),
        codec=form.codec,
        sample_rate=form.sample_rate,
        bitrate=form.bitrate,
        frame_duration_ms=20,
        lead_s=math.inf,
    )
    answer: Body = make_body(form.media_type, form.container())
    return Order(start, request.text, answer)


def read_speech(handshake: Handshake, body: bytes, _: Settings) -> Order:
    """An order that is answered with a file; raises ClientError."""
    return _order(handshake, body, FileBody)


def read_timed(handshake: Handshake, body: bytes, _: Settings) -> Order:
    """An order that is answered with one JSON object; raises ClientError."""
    return _order(handshake, body, _TimedBody)


def read_timed_stream(handshake: Handshake, body: bytes, _: Settings) -> Order:
    """An order that is answered with a JSON object a line; raises ClientError."""
    return _order(handshake, body, _TimedLines)


class _Timed:
    """Audio with the characters that sound in it, piece by piece."""

    media_type = "application/json"

    def __init__(self, _: str, container: Container) -> None:
        self._container = container
        self._aligner = Aligner()

    def _pieces(self, event: events.ServerEvent) -> Iterable[tuple[bytes, Alignment | None]]:
        match event:
            case events.Started():
                self._container.begin(event)
            case events.ChunkStarted() | events.WordsTimed():
                self._aligner.receive(event)
            case events.Audio():
                duration = len(event.payloads) * event.frame_duration_samples
                told = self._aligner.take(event.timestamp_samples + duration)
                yield self._container.write(event), told
            case events.Done():
                yield self._container.finish(event), self._aligner.finish()


class _TimedLines(_Timed):
    """A JSON object for each piece, on a line of its own."""

    def send(self, event: events.ServerEvent) -> Iterable[bytes]:
        """Lines."""
        for data, told in self._pieces(event):
            if data or told is not None:
                yield orjson.dumps(_object(data, [] if told is None else [told])) + b"\n"


class _TimedBody(_Timed):
    """One object, once all is there."""

    def __init__(self, media_type: str, container: Container) -> None:
        super().__init__(media_type, container)
        self._data = bytearray()
        self._told: list[Alignment] = []

    def send(self, event: events.ServerEvent) -> Iterable[bytes]:
        """Nothing before ``Done``."""
        for data, told in self._pieces(event):
            self._data += data
            if told is not None:
                self._told.append(told)
        if isinstance(event, events.Done):
            yield orjson.dumps(_object(bytes(self._data), self._told))


def _object(data: bytes, told: Iterable[Alignment]) -> dict[str, object]:
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for each in told:
        characters += each.characters
        begin, end = each.seconds()
        starts += begin
        ends += end
    alignment = {
        "characters": characters,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }
    return {
        "audio_base64": base64.b64encode(data).decode(),
        "alignment": alignment if characters else None,
        "normalized_alignment": alignment if characters else None,
    }


def _voice(voice: VoiceFacts) -> dict[str, object]:
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "engine": voice.engine,
        "gender": voice.gender,
        "description": voice.description,
        "voice_id": voice.id,
        "category": "premade",
        "labels": {"language": voice.language, "gender": voice.gender},
        "preview_url": None,
        "available_for_tiers": [],
        "settings": None,
    }


def list_voices(_: Handshake, voices: Voices) -> object:
    """Our own list and ElevenLabs' in one."""
    return {
        "default": voices.default,
        "voices": [_voice(voice) for voice in voices.listed],
        "loading": list(voices.loading),
    }


def list_voices_v2(handshake: Handshake, voices: Voices) -> object:
    """All voices on one page; of these, what matches ``search`` if it is given."""
    word = handshake.query.get("search", "").lower()
    found = [
        _voice(voice)
        for voice in voices.listed
        if word in f"{voice.id} {voice.name} {voice.language}".lower()
    ]
    return {
        "voices": found,
        "has_more": False,
        "total_count": len(found),
        "next_page_token": None,
    }


def list_models(_: Handshake, voices: Voices) -> object:
    """One model, which speaks all languages."""
    languages = sorted({voice.language for voice in voices.listed})
    return [
        {
            "model_id": MODEL,
            "name": "voice-gateway",
            "can_do_text_to_speech": True,
            "can_do_voice_conversion": False,
            "can_use_style": False,
            "can_use_speaker_boost": False,
            "serves_pro_voices": False,
            "token_cost_factor": 0.0,
            "description": "Whatever model is named, the voice decides.",
            "languages": [{"language_id": each, "name": each} for each in languages],
        }
    ]


def subscription(_: Handshake, __: Voices) -> object:
    """Nobody counts characters here."""
    return {
        "tier": "self-hosted",
        "character_count": 0,
        "character_limit": 2**31 - 1,
        "can_extend_character_limit": False,
        "allowed_to_extend_character_limit": False,
        "voice_slots_used": 0,
        "professional_voice_slots_used": 0,
        "voice_limit": 0,
        "voice_add_edit_counter": 0,
        "professional_voice_limit": 0,
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": False,
        "can_use_professional_voice_cloning": False,
        "status": "active",
        "has_open_invoices": False,
        "open_invoices": [],
    }


def refuse(error: GatewayError) -> Refusal:
    """ElevenLabs' shape of an error; 422 has the shape of a failed validation."""
    detail: object = {"status": error.code, "message": error.message}
    if error.http_status == 422:
        place = ["body"] if error.field is None else ["body", error.field]
        detail = [{"loc": place, "msg": error.message, "type": error.code}]
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return Refusal(error.http_status, orjson.dumps({"detail": detail}), headers=headers)


def refuse_voices(error: GatewayError) -> Refusal:
    """The same, with the fields that our own clients know."""
    refusal = refuse(error)
    both = {"code": error.code, "message": error.message, **orjson.loads(refusal.body)}
    return Refusal(refusal.status, orjson.dumps(both), headers=refusal.headers)


def _shows_their_key(handshake: Handshake) -> bool:
    return "xi-api-key" in handshake.headers


_SPEECH = "/v1/text-to-speech/{voice_id}"
ROUTES: tuple[WireRoute, ...] = (
    SocketRoute(f"{_SPEECH}/stream-input", ElevenLabsDialect(SingleStream)),
    SocketRoute(f"{_SPEECH}/multi-stream-input", ElevenLabsDialect(ManyStreams)),
    SpeechRoute(_SPEECH, read_speech, refuse),
    SpeechRoute(f"{_SPEECH}/stream", read_speech, refuse),
    SpeechRoute(f"{_SPEECH}/with-timestamps", read_timed, refuse),
    SpeechRoute(f"{_SPEECH}/stream/with-timestamps", read_timed_stream, refuse),
    ListingRoute("/v1/voices", list_voices, refuse_voices, needs_key=False),
    ListingRoute("/v2/voices", list_voices_v2, refuse),
    ListingRoute("/v1/models", list_models, refuse, _shows_their_key),
    ListingRoute("/v1/user/subscription", subscription, refuse),
)
