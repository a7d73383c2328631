"""The forms of a gateway's address, and what failures mean."""

from __future__ import annotations

import pytest

from gateway import errors
from gateway.client.address import closure, parse_address, refusal
from gateway.errors import InvalidValue


@pytest.mark.parametrize(
    ("url", "websocket", "voices"),
    [
        ("ws://h:1", "ws://h:1/v1/speak", "http://h:1/v1/voices"),
        ("h:1", "ws://h:1/v1/speak", "http://h:1/v1/voices"),
        ("http://h:1/", "ws://h:1/v1/speak", "http://h:1/v1/voices"),
        ("ws://h:1/v1/speak", "ws://h:1/v1/speak", "http://h:1/v1/voices"),
        ("wss://h/v1/speak/", "wss://h/v1/speak", "https://h/v1/voices"),
        ("https://h/voice", "wss://h/voice/v1/speak", "https://h/voice/v1/voices"),
        ("ws://[::1]:8000", "ws://[::1]:8000/v1/speak", "http://[::1]:8000/v1/voices"),
    ],
)
def test_every_form_names_the_same_gateway(url: str, websocket: str, voices: str) -> None:
    address = parse_address(url)
    assert address.websocket_url == websocket
    assert address.http_url("/v1/voices") == voices


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://h", "scheme 'ftp'"),
        ("ws://", "names no host"),
        ("ws://h:99999", "is no address"),
        ("ws://h:x", "is no address"),
        ("ws://h?api_key=k", "give a key as api_key"),
        ("ws://k@h", "give a key as api_key"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("localhost:1", True),
        ("127.0.0.9:1", True),
        ("[::1]:1", True),
        ("10.0.0.1:1", False),
        ("h", False),
    ],
)
def test_no_proxy_lies_before_this_machine(url: str, loopback: bool) -> None:
    assert parse_address(url).loopback is loopback


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, errors.Unauthorized, "API key"),
        (403, errors.ForbiddenOrigin, "not allowed"),
        (404, ConnectionError, "is it a voice-gateway"),
        (503, errors.Unavailable, "try again later"),
        (500, ConnectionError, "h answered 500 Oops"),
    ],
)
def test_a_refusal_is_explained(status: int, kind: type[Exception], message: str) -> None:
    error = refusal(parse_address("h"), status, "Oops")
    assert type(error) is kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (None, ConnectionError, "was lost"),
        (1006, ConnectionError, "was lost"),
        (1001, ConnectionError, "with 1001: the session is over"),
        (1012, errors.Draining, "connect again"),
        (4408, errors.LimitExceeded, "reads too slowly"),
    ],
)
def test_a_close_code_is_explained(code: int | None, kind: type[Exception], message: str) -> None:
    error = closure(code, "")
    assert type(error) is kind
    assert message in str(error)


def test_the_gateways_own_reason_is_given() -> None:
    assert str(closure(1013, "200 sessions")) == (
        "the gateway closed the session with 1013: 200 sessions"
    )
