import pytest
from pydantic import SecretStr, ValidationError

from gateway.access import check_key, check_origin, offered_keys
from gateway.errors import ForbiddenOrigin, Unauthorized
from gateway.settings import ServerSettings

OPEN = ServerSettings()
LOCKED = ServerSettings(api_keys=(SecretStr("first"), SecretStr("second")))


def test_without_keys_everybody_may_connect() -> None:
    check_key([], OPEN)


@pytest.mark.parametrize("offered", [["first"], ["wrong", "second"]])
def test_any_right_key_opens(offered: list[str]) -> None:
    check_key(offered, LOCKED)


def test_a_missing_key_and_a_wrong_one_are_told_apart() -> None:
    with pytest.raises(Unauthorized, match="is needed"):
        check_key([], LOCKED)
    with pytest.raises(Unauthorized, match="is wrong"):
        check_key(["firs", "first "], LOCKED)


@pytest.mark.parametrize(
    ("headers", "query", "subprotocols"),
    [
        ({"authorization": "Bearer k"}, {}, []),
        ({"authorization": "token k"}, {}, []),
        ({"x-api-key": "k"}, {}, []),
        ({}, {"api_key": "k"}, []),
        ({}, {}, ["voice.v1", "bearer.k"]),
    ],
)
def test_a_key_is_found_wherever_a_client_can_put_it(
    headers: dict[str, str], query: dict[str, str], subprotocols: list[str]
) -> None:
    assert list(offered_keys(headers, query, subprotocols)) == ["k"]


def test_programs_send_no_origin_and_pass() -> None:
    check_origin(None, "gateway:8000", OPEN)


def test_our_own_page_passes_and_another_does_not() -> None:
    check_origin("http://gateway:8000", "gateway:8000", OPEN)
    with pytest.raises(ForbiddenOrigin, match=r"https://evil\.example"):
        check_origin("https://evil.example", "gateway:8000", OPEN)


def test_allowed_origins_pass() -> None:
    check_origin(
        "https://app.example", "h", ServerSettings(allowed_origins=("https://app.example",))
    )
    check_origin("https://any.example", "h", ServerSettings(allowed_origins=("*",)))


@pytest.mark.parametrize("key", ["", "schlüssel", "two words", "tab\t"])
def test_a_key_that_cannot_travel_in_a_header_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="printable ASCII"):
        ServerSettings(api_keys=(SecretStr(key),))


def test_a_slash_at_the_end_of_an_origin_does_not_matter() -> None:
    settings = ServerSettings(allowed_origins=("https://app.example/",))
    check_origin("https://app.example", "h", settings)
