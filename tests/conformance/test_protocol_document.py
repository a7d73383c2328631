"""docs/asyncapi.yaml says what the code does: all of it, and nothing else.

Three witnesses: the models that read client messages, the encoder of server messages, and real
traffic of a gateway in memory.  docs/protocol.md is checked in test_protocol_text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator
from starlette.applications import Starlette

from gateway.client.wire import parse_message
from gateway.errors import GatewayError, InvalidValue, LimitExceeded, Overloaded
from gateway.session import events
from gateway.settings import Settings
from gateway.wire import voice_v1
from gateway.wire.audio_header import HEADER_BYTES, AudioHeader, unpack_message
from tests.conformance.protocol_document import (
    ASYNCAPI,
    BOTH,
    CLIENT,
    PROTOCOL,
    SERVER,
    check,
    references,
    schema_of,
    target,
)
from tests.engine.scripted import ScriptedEngine
from tests.shell.asgi import Client, running

SETTINGS = Settings()


# ── the document by itself ─────────────────────────────────────────────────────────────────────


def test_every_reference_leads_somewhere() -> None:
    found = set(references(ASYNCAPI))
    assert all(target(reference) for reference in found)
    kept = {
        f"#/components/{kind}/{name}"
        for kind, all_ in ASYNCAPI["components"].items()
        for name in all_
    }
    assert kept <= found, "components that nothing refers to"


def test_every_message_is_in_the_channel_and_in_an_operation_of_its_direction() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert set(ASYNCAPI["components"]["messages"]) == {*CLIENT, *SERVER, "audio"}
    assert set(CLIENT) & set(SERVER) == BOTH
    channel = ASYNCAPI["channels"]["speak"]
    assert channel["address"] == "/v1/speak"
    assert list(channel["messages"]) == list(ASYNCAPI["components"]["messages"])
    directions: dict[str, set[str]] = {"receive": set(), "send": set()}
    for operation in ASYNCAPI["operations"].values():
        directions[operation["action"]] |= set(references(operation["messages"]))
        directions["send"] |= set(references(operation.get("reply", {}).get("messages", [])))
    prefix = "#/channels/speak/messages/"
    assert directions["receive"] == {prefix + kind for kind in CLIENT}
    assert directions["send"] == {prefix + kind for kind in (*SERVER, "audio")}


@pytest.mark.parametrize("kind", sorted({*CLIENT, *SERVER}))
def test_every_message_has_a_valid_schema_and_examples_that_fit_it(kind: str) -> None:
    Draft7Validator.check_schema(schema_of(kind))
    examples = ASYNCAPI["components"]["messages"][kind]["examples"]
    for example in examples:
        assert example["payload"]["type"] == kind
        check(example["payload"])
    shown = set().union(*(example["payload"] for example in examples))
    if kind in CLIENT:
        assert shown == set(schema_of(kind)["properties"]) - ({"context"} - shown)


# ── the client's messages: the models ──────────────────────────────────────────────────────────


def model_schemas() -> dict[str, dict[str, Any]]:
    """What the wire module takes, in the form of the document."""
    definitions = voice_v1._MESSAGES.json_schema()["$defs"]
    return {
        definition["properties"]["type"]["const"]: {
            "required": sorted(definition["required"]),
            "properties": {
                name: as_documented(field) for name, field in definition["properties"].items()
            },
        }
        for definition in definitions.values()
    }


def as_documented(field: dict[str, Any]) -> dict[str, Any]:
    """pydantic's ``anyOf`` with null becomes a list of types; prose is left out."""
    plain = {key: value for key, value in field.items() if key not in ("title", "description")}
    if "anyOf" in plain:
        wanted, null = plain.pop("anyOf")
        assert null == {"type": "null"}
        plain |= {**wanted, "type": [wanted["type"], "null"]}
        if "enum" in wanted:
            plain["enum"] = [*wanted["enum"], None]
        assert plain.pop("default") is None
    return plain


@pytest.mark.parametrize("kind", CLIENT)
def test_the_fields_that_are_read_are_the_ones_documented(kind: str) -> None:
    schema = schema_of(kind)
    documented = {
        "required": sorted(schema["required"]),
        "properties": {name: as_documented(field) for name, field in schema["properties"].items()},
    }
    assert documented == model_schemas()[kind]


def test_no_client_message_is_left_out() -> None:
    assert set(model_schemas()) == set(CLIENT) == set(voice_v1._EVENTS)


VALUES: list[Any] = [None, True, "", "x", "x" * 60, "opus", "mp3", [], {}, "x" * 257]
VALUES += [-1, 0, 1, 7, 20, 24_000, 5_999, 6_000, 256_000, 256_001, 2**40, 2**40 + 1]
VALUES += [0.49, 0.5, 2.0, 2.01]


@pytest.mark.parametrize("kind", CLIENT)
def test_the_decoder_takes_a_value_if_and_only_if_the_schema_does(kind: str) -> None:
    schema = schema_of(kind)
    validator = Draft7Validator(schema)
    (example, *_) = ASYNCAPI["components"]["messages"][kind]["examples"]
    refused = 0
    for name in set(schema["properties"]) - {"type"}:
        for value in VALUES:
            if isinstance(value, float) and value.is_integer() and name != "speed":
                continue  # JSON Schema takes 2.0 for an integer; we don't
            message = {**example["payload"], name: value}
            try:
                voice_v1.decode(orjson.dumps(message).decode(), SETTINGS)
                taken = True
            except LimitExceeded:
                taken = True  # the length of a context id is a setting
            except InvalidValue as error:
                taken = error.field != name
            assert taken is validator.is_valid(message), (name, value)
            refused += not taken
    assert refused or kind == "close"


def test_examples_of_the_client_are_read_as_what_they_are() -> None:
    for kind in CLIENT:
        for example in ASYNCAPI["components"]["messages"][kind]["examples"]:
            event = voice_v1.decode(orjson.dumps(example["payload"]).decode(), SETTINGS)
            assert type(event) is voice_v1._EVENTS[kind]


# ── the server's messages: the encoder ─────────────────────────────────────────────────────────

WORD = events.Word("Hi", 0, 2, 0, 4800)
OPUS = events.CodecOptions("opus", 24_000, 32_000, 20)
ERROR = Overloaded("busy", field="utilisation_max", limit=0.9, retry_after_s=2.5)
FULL: tuple[events.ServerEvent, ...] = (
    events.Ready("s", "v", events.ResumeOffer("secret", 30.0)),
    events.Resumed("s", 2, 30.0, (events.ContextPosition("c", 0, 1, 12, 40, True),)),
    events.Acknowledged(3),
    events.Started("c", 1, 0, "v", "en", 1.0, OPUS, 312),
    events.ChunkStarted("c", 0, 2, "Hi", 0, 2, 96, (WORD,)),
    events.WordsTimed("c", 0, 2, (WORD,)),
    events.Flushed("c", 0),
    events.Done("c", 0, 480, 1, 2),
    events.Cancelled("c", 1, events.Heard(2, "Hi", 99, "client"), True),
    events.Warned("w", "m", context="c", field="f", limit=5),
    events.Failed(ERROR, "c", fatal=False),
)
"""One event of each kind, with nothing left out."""


def paths(node: Any, prefix: str = "") -> set[str]:
    """Every field of a message: ``heard.word``, ``words.text``."""
    if isinstance(node, list):
        return set().union(*(paths(item, prefix) for item in node))
    if not isinstance(node, dict):
        return {prefix}
    return set().union(*(paths(value, f"{prefix}.{key}") for key, value in node.items()))


def documented_paths(schema: dict[str, Any], prefix: str = "") -> set[str]:
    if "items" in schema:
        return documented_paths(schema["items"], prefix)
    if "properties" not in schema:
        return {prefix}
    return set().union(
        *(documented_paths(each, f"{prefix}.{key}") for key, each in schema["properties"].items())
    )


@pytest.mark.parametrize("event", FULL, ids=lambda event: type(event).__name__)
def test_the_fields_that_are_written_are_the_ones_documented(event: events.ServerEvent) -> None:
    message = orjson.loads(voice_v1.encode(event, SETTINGS))
    check(message)
    assert paths(message) == documented_paths(schema_of(message["type"]))


def test_no_server_message_is_left_out() -> None:
    assert {type(event) for event in FULL} == set(voice_v1._ENCODERS)
    written = [orjson.loads(voice_v1.encode(event, SETTINGS))["type"] for event in FULL]
    assert sorted(written) == sorted(SERVER)


def test_what_may_be_missing_is_not_required() -> None:
    sparse: tuple[events.ServerEvent, ...] = (
        events.Ready("s", "v"),
        events.Warned("w", "m"),
        events.Failed(GatewayError("gone"), fatal=True),
        replace(FULL[3], codec=events.CodecOptions("pcm", 8_000, 32_000, 60), preskip_samples=0),  # type: ignore[type-var]
        events.ChunkStarted("c", 0, 0, "Hi", 0, 2, 0, ()),
    )
    for event in sparse:
        check(orjson.loads(voice_v1.encode(event, SETTINGS)))


def test_examples_of_the_server_are_understood_by_our_client() -> None:
    for kind in SERVER:
        for example in ASYNCAPI["components"]["messages"][kind]["examples"]:
            parsed = parse_message(orjson.dumps(example["payload"]))
            assert parsed is not None
            known = set(type(parsed).__dataclass_fields__)
            assert set(example["payload"]) - {"type"} <= known


# ── audio ──────────────────────────────────────────────────────────────────────────────────────


def test_the_audio_header_is_laid_out_as_documented() -> None:
    payload = ASYNCAPI["components"]["messages"]["audio"]["payload"]
    header = AudioHeader(0x1234, 0x5678, 1920, 0x9ABCDEF0, 0x13572468, marker=False, last=True)
    packed = header.pack(37)
    read = {
        field["name"]: int.from_bytes(
            packed[field["offset"] : field["offset"] + field["size"]], "little"
        )
        for field in payload["x-header"]
    }
    flags = {name: flag["bit"] for name, flag in payload["x-flags"].items()}
    assert flags == {"marker": 0, "last": 1}
    assert read == {
        "version_and_flags": 1 << 4 | 1 << flags["last"],
        "frames": 37,
        "context_number": 0x1234,
        "generation": 0x5678,
        "frame_duration_samples": 1920,
        "sequence_number": 0x9ABCDEF0,
        "timestamp": 0x13572468,
    }
    assert sum(field["size"] for field in payload["x-header"]) == HEADER_BYTES
    rows = [row.split("|")[1:3] for row in PROTOCOL.splitlines() if re.match(r"\| \d+ \| \d ", row)]
    assert [[int(cell) for cell in row] for row in rows] == [
        [field["offset"], field["size"]] for field in payload["x-header"]
    ]


def test_the_example_of_audio_is_one() -> None:
    example = ASYNCAPI["components"]["messages"]["audio"]["payload"]["x-example-hex"]
    header, payloads = unpack_message(bytes.fromhex(example))
    assert header == AudioHeader(2, 1, 960, 7, 7 * 960, marker=True, last=True)
    assert payloads == [b"\xf8\xff\xfe"]


# ── real traffic ───────────────────────────────────────────────────────────────────────────────


class Witness(Client):
    """A client that checks every message of either direction against the document."""

    def __init__(self, app: Starlette, **scope: Any) -> None:
        super().__init__(app, **scope)
        self.seen: dict[str, set[str]] = {}

    def say(self, **message: object) -> None:
        self._note(message)
        super().say(**message)

    async def hear(self) -> Any:
        heard = await super().hear()
        if isinstance(heard, dict) and heard["type"] != "websocket.accept":
            self._note(heard)
        return heard

    def _note(self, message: Mapping[str, Any]) -> None:
        check(message)
        self.seen.setdefault(message["type"], set()).update(paths(dict(message)))


async def test_what_really_passes_is_documented_and_what_is_documented_passes() -> None:
    seen: dict[str, set[str]] = {}
    # Word times come with the chunk, or after it.
    for plans_ahead in (True, False):
        engine = ScriptedEngine(plans_ahead=plans_ahead, window_characters=1000)
        for kind, fields in (await witnessed(engine)).items():
            seen.setdefault(kind, set()).update(fields)
    for kind, fields in (await witnessed_return()).items():
        seen.setdefault(kind, set()).update(fields)
    expected = {kind: documented_paths(schema_of(kind)) for kind in (*CLIENT, *SERVER)}
    # A warning concerns the whole session so far.
    expected["warning"] -= {".context"}
    # Nobody was refused for want of room.
    expected["error"] -= {".retry_after_s"}
    expected.pop("close")  # it would have been the end of these sessions
    assert seen == expected


async def witnessed_return() -> dict[str, set[str]]:
    """The fields of all messages of a session that another socket takes over."""
    async with running() as (app, _):
        client = Witness(app)
        ready = await client.open()
        client.say(type="start", context="c")
        await client.hear()
        other = Witness(app, query_string=f"resume={ready['session']}".encode())
        other.say(type="resume", secret=ready["resume"]["secret"], received=1)
        assert (await other.hear())["type"] == "websocket.accept"
        assert [each["context"] for each in (await other.hear())["contexts"]] == ["c"]
        assert (await other.hear())["type"] == "started"
        other.say(type="ack", received=2)
        assert (await other.hear())["type"] == "ack"
        await other.end()
    return {**client.seen, **other.seen}


async def witnessed(engine: ScriptedEngine) -> dict[str, set[str]]:
    """The fields of all messages of a session that does all there is to do."""
    settings = Settings(limits={"messages_burst_max": 20, "idle_timeout_s": 0.3})  # type: ignore[arg-type]
    async with running(settings, engine) as (app, _):
        client = Witness(app)
        await client.open()
        await speak_with_every_option(client)
        await interrupt(client)
        await make_mistakes(client)
        last: list[Any] = [None, None]
        while not isinstance(last[-1], int):
            last = [last[-1], await client.hear()]
        assert last[0]["field"] == "idle_timeout_s"
        assert last[1] == 1001
        await client.end()
    return client.seen


async def speak_with_every_option(client: Witness) -> None:
    client.say(
        type="start",
        context="a",
        voice="v",
        language="en-us",
        speed=1.5,
        codec="opus",
        sample_rate=48_000,
        bitrate=64_000,
        frame_duration_ms=40,
        paced=True,
    )
    client.say(type="text", context="a", text="Hello you")
    client.say(type="flush", context="a")
    while not isinstance(message := await client.hear(), tuple):
        assert message["type"] in ("started", "chunk", "words")
    client.say(
        type="report",
        context="a",
        played_samples=960,
        generation=0,
        depth_samples=960,
        underruns=0,
        sequence_number=1,
        jitter_samples=3,
        output_latency_samples=1200,
        received=1,
        context_number=1,
    )
    client.say(type="end", context="a")
    await client.hear_until("done")


async def interrupt(client: Witness) -> None:
    client.say(type="start", context="b", codec="pcmu", sample_rate=8_000)
    client.say(type="text", context="b", text="Hello once more, and once more, and once more. ")
    while not isinstance(await client.hear(), tuple):
        pass
    client.say(type="cancel", context="b", played_samples=100, fade_ms=10)
    await client.hear_until("cancelled")
    client.say(type="text", context="b", text="This is unplannable. ")
    await client.hear_until("error")
    client.say(type="cancel")


async def make_mistakes(client: Witness) -> None:
    for _ in range(30):
        client.say_text('{"type":"start","context":"c","speed":9}')
    client.say(type="start", context="b")
    await client.hear_until("warning")


async def test_a_finished_session_is_closed_as_documented() -> None:
    async with running() as (app, _):
        client = Witness(app)
        await client.open()
        client.say(type="close")
        assert await client.hear() == 1000
        await client.end()
