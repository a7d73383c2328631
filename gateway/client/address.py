"""Where a gateway is: the forms in which people write it, and what failed connections mean.

    127.0.0.1:8000        ws://127.0.0.1:8000        http://127.0.0.1:8000/
    ws://127.0.0.1:8000/v1/speak      https://example.org/voice   (behind a proxy, with a prefix)

all name one gateway, with the WebSocket at ``/v1/speak`` and the HTTP routes beside it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway import errors
from gateway.client.wire import PATH
from gateway.errors import GatewayError, InvalidValue

_WEBSOCKET_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address; ``prefix`` is the path in front of ``/v1``, without a final slash."""

    secure: bool
    authority: str
    host: str
    prefix: str

    @property
    def websocket_url(self) -> str:
        """Where sessions are opened."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.prefix}{PATH}"

    def http_url(self, path: str) -> str:
        """Where ``path``, such as ``/v1/voices``, is found."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.prefix}{path}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, so that no proxy lies in between."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(url: str) -> Address:
    """Read any of the forms above; raises InvalidValue that says what is wrong."""
    with_scheme = url if "://" in url else f"ws://{url}"
    try:
        parts = urlsplit(with_scheme)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError as error:
        raise InvalidValue(f"url: {url!r} is no address: {error}", field="url") from None
    scheme = _WEBSOCKET_SCHEMES.get(parts.scheme)
    if scheme is None:
        raise InvalidValue(
            f"url: {url!r} has the scheme {parts.scheme!r}; use ws, wss, http or https",
            field="url",
            limit="ws, wss, http, https",
        )
    if not host:
        raise InvalidValue(f"url: {url!r} names no host", field="url")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidValue(
            f"url: {url!r} has more than a host and a path; give a key as api_key", field="url"
        )
    path = parts.path.rstrip("/")
    return Address(
        secure=scheme == "wss",
        authority=parts.netloc,
        host=host,
        prefix=path.removesuffix(PATH),
    )


def refusal(address: Address, http_status: int, reason: str = "") -> Exception:
    """The exception for a gateway that answered a request with ``http_status``."""
    text = f"{address.authority} answered {http_status}{f' {reason}' if reason else ''}"
    if http_status == 401:
        return errors.Unauthorized(f"{text}: an API key is missing or wrong")
    if http_status == 403:
        return errors.ForbiddenOrigin(f"{text}: this client is not allowed")
    if http_status == 404:
        return ConnectionError(f"{text}: is it a voice-gateway, and is the path right?")
    if http_status == 503:
        return errors.Unavailable(f"{text}: overloaded or shutting down; try again later")
    return ConnectionError(text)


_BY_CLOSE_CODE: dict[int, tuple[type[GatewayError], str]] = {
    1002: (errors.ProtocolViolation, "a protocol violation"),
    1008: (errors.ClientError, "a broken rule"),
    1009: (errors.LimitExceeded, "a message that is too big"),
    1011: (GatewayError, "a fault of the gateway"),
    1012: (errors.Draining, "the gateway restarts; connect again"),
    1013: (errors.Overloaded, "the gateway is overloaded; try later"),
    4401: (errors.Unauthorized, "the API key is missing or wrong"),
    4403: (errors.ForbiddenOrigin, "this origin is not allowed"),
    4404: (errors.ResumeRefused, "the session is gone"),
    4409: (errors.ClientError, "another client took the session over"),
    4408: (errors.LimitExceeded, "this client reads too slowly"),
}


def closure(code: int | None, reason: str) -> Exception:
    """The exception for a session that the gateway closed with ``code`` (None: without one)."""
    if code is None or code == 1006:
        return ConnectionError("the connection to the gateway was lost")
    kind, meaning = _BY_CLOSE_CODE.get(code, (None, "the session is over"))
    text = f"the gateway closed the session with {code}: {reason or meaning}"
    return ConnectionError(text) if kind is None else kind(text)
