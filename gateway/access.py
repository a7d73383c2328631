"""Who may connect: API keys and browser origins.  Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from gateway.errors import ForbiddenOrigin, Unauthorized
from gateway.settings import ServerSettings

BEARER_SUBPROTOCOL = "bearer."
"""A browser cannot set headers on a WebSocket, but it can offer a subprotocol ``bearer.KEY``."""


def offered_keys(
    headers: Mapping[str, str], query: Mapping[str, str], subprotocols: Sequence[str]
) -> Iterable[str]:
    """Every place in which a client may show its key."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and token:
        yield token.strip()
    for name in ("x-api-key", "xi-api-key"):
        if name in headers:
            yield headers[name]
    for subprotocol in subprotocols:
        if subprotocol.startswith(BEARER_SUBPROTOCOL):
            yield subprotocol.removeprefix(BEARER_SUBPROTOCOL)
    if len(subprotocols) == 2 and subprotocols[0].lower() in ("token", "bearer"):
        yield subprotocols[1]
    for name in ("api_key", "authorization", "xi-api-key", "xi_api_key"):
        if name in query:
            yield query[name].removeprefix("Bearer ")


def check_key(offered: Iterable[str], settings: ServerSettings) -> None:
    """Raises Unauthorized unless a key is right, or none is needed.

    Every pair is compared in constant time, so that the answer's delay tells nothing about a key.
    """
    if not settings.api_keys:
        return
    keys = [key.get_secret_value().encode() for key in settings.api_keys]
    right = False
    shown = False
    for candidate in offered:
        shown = True
        for key in keys:
            right |= hmac.compare_digest(candidate.encode("utf-8", "replace"), key)
    if not right:
        raise Unauthorized(
            "the API key is wrong" if shown else "an API key is needed; see docs/protocol.md",
            field="api_key",
        )


def check_origin(origin: str | None, host: str | None, settings: ServerSettings) -> None:
    """Raises ForbiddenOrigin for a browser page that is neither ours nor allowed.

    Programs send no Origin and are let through: the check protects browsers' users only.
    """
    if origin is None or "*" in settings.allowed_origins or origin in settings.allowed_origins:
        return
    if host is not None and urlsplit(origin).netloc == host:
        return
    raise ForbiddenOrigin(
        f"pages of {origin} may not connect; add it to server.allowed_origins", field="origin"
    )
