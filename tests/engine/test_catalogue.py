import pytest

from gateway.engine.base import Voice
from gateway.engine.catalogue import Catalogue
from gateway.errors import InvalidValue, SetupError
from tests.engine.scripted import ScriptedEngine


def catalogue(default_voice: str = "") -> Catalogue:
    return Catalogue([ScriptedEngine(plans_ahead=False)], default_voice)


def test_the_default_voice_is_the_first_engines_unless_set() -> None:
    assert catalogue().resolve(None, None) == ("v", "en-us")
    assert catalogue("w").resolve(None, None) == ("w", "de")


def test_a_language_chooses_a_voice_that_speaks_it() -> None:
    assert catalogue().resolve(None, "DE") == ("w", "de")
    assert catalogue().resolve(None, "en-us") == ("v", "en-us")


def test_a_voice_may_be_told_to_speak_another_language() -> None:
    assert catalogue().resolve("v", "fr") == ("v", "fr")


def test_unknown_names_are_refused_with_the_field() -> None:
    with pytest.raises(InvalidValue, match="no voice 'nobody'") as caught:
        catalogue().resolve("nobody", None)
    assert caught.value.field == "voice"
    with pytest.raises(InvalidValue, match="no voice speaks 'tlh'") as caught:
        catalogue().resolve(None, "tlh")
    assert caught.value.field == "language"


def test_a_wrong_default_is_the_operators_fault() -> None:
    with pytest.raises(SetupError, match=r"engine\.default_voice"):
        catalogue("nobody")


def test_without_engines_it_says_what_to_install() -> None:
    with pytest.raises(SetupError, match="pip install"):
        Catalogue([])


def test_the_engine_of_a_voice_is_known() -> None:
    engine = ScriptedEngine(plans_ahead=False)
    assert Catalogue([engine]).engine_of("w") is engine


def test_voices_that_are_found_are_remembered_but_not_without_bound() -> None:
    class Mixer(ScriptedEngine):
        def find(self, voice: str, language: str) -> Voice:
            return Voice(voice, voice, "en-us", "scripted")

    engine = Mixer(plans_ahead=False)
    catalogue = Catalogue([engine])
    for number in range(3000):
        catalogue.resolve(f"mix{number}", None)
    assert catalogue.engine_of("mix0") is engine
    assert len(catalogue._found) == 1024
    assert len(catalogue.voices) == 2
