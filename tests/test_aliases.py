from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.aliases import Aliases
from gateway.errors import InvalidValue
from gateway.settings import VoiceSettings


@dataclass(frozen=True)
class Known:
    id: str
    language: str = "en-us"
    engine: str = "ours"
    gender: str = ""


VOICES = (
    Known("heart", gender="female"),
    Known("bella", gender="female"),
    Known("adam", gender="male"),
    Known("klaus", "de", gender="male"),
    Known("robot", engine="other", gender="male"),
)


def resolve(voice: str | None, language: str | None) -> tuple[str, str]:
    if voice is None:
        voice = "klaus" if language == "de" else "heart"
    for known in VOICES:
        if known.id == voice:
            return known.id, language or known.language
    raise InvalidValue(f"voice: {voice}", field="voice")


def aliases(**settings: object) -> Aliases:
    return Aliases(VoiceSettings(**settings), resolve, lambda: VOICES)  # type: ignore[arg-type]


def test_our_own_names_stay_as_they_are() -> None:
    assert aliases().resolve("adam", None) == ("adam", "en-us")
    assert aliases().resolve(None, "de") == ("klaus", "de")


def test_an_operator_s_alias_overrides_everything() -> None:
    table = {"adam": "bella", "Rachel": "klaus", "onyx": "heart"}
    found = aliases(aliases=table)
    assert found.resolve("adam", None)[0] == "bella"
    assert found.resolve("rachel", None)[0] == "klaus"
    assert found.resolve("ONYX", None)[0] == "heart"


def test_names_that_clients_insist_on_find_a_voice_of_their_gender() -> None:
    assert aliases().resolve("onyx", None) == ("adam", "en-us")
    assert aliases().resolve("alloy", None)[0] != aliases().resolve("coral", None)[0]
    assert aliases().resolve("21m00Tcm4TlvDq8ikWAM", None) == ("heart", "en-us")


def test_they_take_the_default_where_there_is_none_of_that_gender() -> None:
    assert aliases().resolve("nova", "de") == ("klaus", "de")


def test_a_model_of_deepgram_speaks_its_language() -> None:
    assert aliases().resolve("aura-2-thalia-en", None)[0] == "heart"
    assert aliases().resolve("aura-2-julius-de", None) == ("klaus", "de")


def test_what_nobody_knows_is_an_error_unless_the_operator_says_otherwise() -> None:
    with pytest.raises(InvalidValue, match="nobody"):
        aliases().resolve("nobody", None)
    assert aliases(unknown="default").resolve("nobody", "de") == ("klaus", "de")
