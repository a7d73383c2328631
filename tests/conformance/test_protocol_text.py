"""docs/protocol.md is true: its tables agree with the code, its conversation with the schemas."""

from __future__ import annotations

import re

from gateway import errors
from gateway.access import BEARER_SUBPROTOCOL
from gateway.errors import GatewayError, SetupError
from gateway.session import connection, conversation, protocol
from gateway.settings import Settings
from tests.conformance.protocol_document import (
    ASYNCAPI,
    CLIENT,
    PROTOCOL,
    SERVER,
    check,
    schema_of,
    table,
)
from tests.e2e import transcript

SETTINGS = Settings()


def visible_errors() -> dict[str, type[GatewayError]]:
    """Every error that a client can be told; a SetupError ends the start of the gateway."""
    return {
        value.code: value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, GatewayError) and value is not SetupError
    }


def test_every_error_is_listed_with_its_close_code_and_http_status() -> None:
    listed = {code: (int(row[0]), int(row[1])) for code, row in table("Errors").items()}
    assert listed == {
        code: (error.close_code, error.http_status) for code, error in visible_errors().items()
    }
    assert len(listed) == 14


def test_every_close_code_is_listed_in_both_documents() -> None:
    listed = {int(code) for code in table("Close codes")}
    assert listed == set(ASYNCAPI["channels"]["speak"]["x-close-codes"])
    # Errors that are fatal: the refusals of a connection, and our own mistake.
    fatal = {
        errors.Unauthorized,
        errors.ForbiddenOrigin,
        errors.Overloaded,
        errors.Draining,
        errors.ProtocolViolation,
        errors.ResumeRefused,
        GatewayError,
    }
    ours = {
        value
        for module in (connection, conversation, protocol)
        for name, value in vars(module).items()
        if name.startswith("CLOSE_")
    }
    # 1007 and 1008 are for broken frames; a client that reads too slowly is cut off without a code.
    from_code = {error.close_code for error in fatal} | ours | {1007, 1008}
    assert listed == from_code - {conversation.CLOSE_TOO_SLOW}


def test_every_limit_is_listed_with_its_default() -> None:
    listed = {name: float(row[0]) for name, row in table("Limits").items()}
    expected = {
        name: float(value) for name, value in SETTINGS.limits if isinstance(value, int | float)
    }
    del expected["trace_records_max"]  # nothing that a client meets
    expected["server.ping_timeout_s"] = SETTINGS.server.ping_timeout_s
    expected["engine.queue_max"] = float(SETTINGS.engine.queue_max)
    expected["engine.utilisation_max"] = SETTINGS.engine.utilisation_max
    assert listed == expected


def test_settings_that_the_document_names_exist() -> None:
    known = {
        f"{section}.{name}" for section, value in SETTINGS for name in type(value).model_fields
    }
    named = set(re.findall(r"`((?:server|limits|engine|log)\.\w+)`", PROTOCOL))
    assert named
    assert named <= known


def test_fields_of_the_tables_are_those_of_the_schemas() -> None:
    for heading, kinds in (("Client → gateway", CLIENT), ("Gateway → client", SERVER)):
        rows = table(heading)
        assert tuple(rows) == kinds
        for kind, row in rows.items():
            # Code spans without what stands in brackets: allowed values, fields of fields.
            fields = re.sub(r"\([^)]*\)|\{[^}]*\}", "", row[0])
            named = re.findall(r"`(\w+)(\??)(?:\[\])?`", fields)
            schema = schema_of(kind)
            assert {name for name, _ in named} == set(schema["properties"]) - {"type"}, kind
            required = {name for name, optional in named if not optional}
            assert required == set(schema["required"]) - {"type"}, kind


def test_a_key_may_be_shown_in_every_documented_place() -> None:
    schemes = ASYNCAPI["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    places = {name: (scheme.get("in"), scheme.get("name")) for name, scheme in schemes.items()}
    assert places["apiKeyHeader"] == ("header", "X-API-Key")
    assert places["query"] == ("query", "api_key")
    assert BEARER_SUBPROTOCOL + "KEY" in schemes["subprotocol"]["description"]
    for place in (
        "Authorization: Bearer KEY",
        "X-API-Key: KEY",
        BEARER_SUBPROTOCOL + "KEY",
        "?api_key=KEY",
    ):
        assert f"`{place}`" in PROTOCOL.replace("header `", "`").replace("query `", "`")


# ── the recorded conversation ──────────────────────────────────────────────────────────────────


def test_the_recorded_conversation_is_still_what_would_be_said() -> None:
    lines = transcript.in_document()
    for line in lines:
        if line.json is not None:
            check(line.json)
            kinds = CLIENT if line.from_client else SERVER
            assert line.json["type"] in kinds
    said = [line.json["type"] for line in lines if line.json is not None]
    assert list(dict.fromkeys(said)) == [
        "ready",
        "start",
        "started",
        "text",
        "chunk",
        "words",
        "report",
        "cancel",
        "cancelled",
        "end",
        "done",
        "close",
    ]
    assert lines[-1].close_code == 1000


def test_the_audio_of_the_recorded_conversation_adjoins() -> None:
    generation, number, timestamp, talkspurt_open = 0, 0, 0, False
    folded = 0
    for line in transcript.in_document():
        folded += line.folded
        if line.json is not None and line.json["type"] == "cancelled":
            assert line.json["generation"] == generation + 1
            generation, number, timestamp, talkspurt_open = generation + 1, 0, 0, False
        if line.json is not None and line.json["type"] == "done":
            assert line.json["frames"] == number
            assert not talkspurt_open
        if line.audio is None:
            continue
        header, frames = line.audio
        if folded:  # up to three frames each, from those before to these
            assert 0 < header.sequence_number - number <= 3 * folded
            number, timestamp, folded = header.sequence_number, header.timestamp, 0
            assert timestamp == number * header.frame_duration_samples
        assert header.generation == generation
        assert (header.sequence_number, header.timestamp) == (number, timestamp)
        assert header.marker is not talkspurt_open
        number += frames
        timestamp += frames * header.frame_duration_samples
        talkspurt_open = not header.last
    assert generation == 1


def test_the_recorded_conversation_says_what_was_heard() -> None:
    (cancelled,) = [
        line.json
        for line in transcript.in_document()
        if line.json is not None and line.json["type"] == "cancelled"
    ]
    heard = cancelled["heard"]
    assert isinstance(heard, dict)
    said = [
        line.json["text"]
        for line in transcript.in_document()
        if line.json is not None and line.json["type"] == "text"
    ]
    text = "".join(str(token) for token in said)
    assert text[: heard["text_offset"]].endswith(heard["word"])
    assert heard["word"]
