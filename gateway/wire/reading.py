"""Reading clients' JSON: pydantic says what is wrong, we say it in words that name the field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.errors import ClientError, InvalidValue, ProtocolViolation

M = TypeVar("M", bound=BaseModel)

_BOUNDS = ("ge", "le", "gt", "lt", "min_length", "max_length", "expected")


class Message(BaseModel):
    """A message or request: types are strict, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)


def read(model: type[M], message: str | bytes) -> M:
    """``message`` as a ``model``.

    Raises ProtocolViolation if it is no JSON object, InvalidValue if a field is wrong or missing.
    """
    return validate(TypeAdapter(model), message)  # type: ignore[no-any-return]


def field_of(message: str | bytes, *names: str) -> str | None:
    """The first of the fields that is a text, of a message that may be wrong otherwise.

    An error must name the context that its message was about, whatever else is wrong with it.
    """
    try:
        found = orjson.loads(message)
    except ValueError:
        return None
    fields = found if isinstance(found, dict) else {}
    return next((value for name in names if isinstance(value := fields.get(name), str)), None)


def validate(adapter: TypeAdapter[Any], message: str | bytes, kinds: Iterable[str] = ()) -> Any:
    """As ``read``; ``kinds`` are the values of ``type`` if that chooses among several models."""
    try:
        # A lone surrogate cannot be UTF-8, so it would fail deep inside an engine.
        data = message.encode() if isinstance(message, str) else message
        return adapter.validate_json(data)
    except UnicodeEncodeError as error:
        raise ProtocolViolation(
            f"the message has an unpaired surrogate at character {error.start}"
        ) from None
    except ValidationError as error:
        raise fault(error, tuple(kinds)) from None


def fault(error: ValidationError, kinds: Sequence[str] = ()) -> ClientError:
    """The first thing that is wrong, in words that name the field and the limit."""
    first = error.errors(include_url=False, include_input=False)[0]
    kind = first["type"]
    context = first.get("ctx", {})
    if kind == "json_invalid":
        return ProtocolViolation(f"the message is no valid JSON: {context['error']}")
    if kind.startswith("union_tag"):
        listed = ", ".join(kinds)
        return ProtocolViolation(f"type: expected one of {listed}", field="type", limit=listed)
    path = first["loc"][1 if kinds else 0 :]  # which model it was is not the client's concern
    if not path:
        return ProtocolViolation("the message is no JSON object with the fields that are needed")
    field = ".".join(map(str, path))
    bounds = [context[name] for name in _BOUNDS if name in context]
    return InvalidValue(
        f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}",
        field=field,
        limit=bounds[0] if bounds else None,
    )
