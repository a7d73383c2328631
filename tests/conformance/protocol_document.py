"""docs/asyncapi.yaml and docs/protocol.md, as the tests read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
ASYNCAPI: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))

CLIENT = ("start", "text", "flush", "end", "cancel", "report", "ack", "resume", "close")
SERVER = ("ready", "resumed", "ack", "started", "chunk", "words", "flushed", "done", "cancelled")
SERVER += ("warning", "error")
BOTH = {"ack"}
"""Types that either side sends, in the same form."""


def resolved(node: Any) -> Any:
    """``node`` with every ``$ref`` replaced by what it points to."""
    if isinstance(node, list):
        return [resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        assert len(node) == 1, f"beside a $ref, {node} is ignored"
        return resolved(target(node["$ref"]))
    return {key: resolved(value) for key, value in node.items()}


def target(reference: str) -> Any:
    found = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def schema_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = resolved(ASYNCAPI["components"]["messages"][kind]["payload"])
    return schema


def closed(schema: Any) -> Any:
    """The schema, but with a fault in each property that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: closed(value) for key, value in schema.items()}
    return {**strict, "additionalProperties": False} if "properties" in schema else strict


@cache
def strict_validator(kind: str) -> Draft7Validator:
    return Draft7Validator(closed(schema_of(kind)))


def check(message: Mapping[str, Any]) -> None:
    """The message is documented: its type, every field, every value."""
    strict_validator(message["type"]).validate(message)


def table(heading: str) -> dict[str, list[str]]:
    """The table under a heading of docs/protocol.md, by its first column."""
    section = PROTOCOL.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    # A pipe within code would need a backslash; there is none.
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 1, heading
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows[1:]}
