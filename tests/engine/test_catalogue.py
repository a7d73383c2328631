from dataclasses import replace

import pytest

from gateway.engine.base import Voice
from gateway.engine.catalogue import Catalogue
from gateway.errors import InvalidValue, SetupError, Unavailable
from tests.engine.scripted import ScriptedEngine


def catalogue(default_voice: str = "") -> Catalogue:
    return Catalogue.of({"scripted": ScriptedEngine(plans_ahead=False)}, default_voice)


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
        Catalogue.of({})


def test_the_engine_of_a_voice_is_known() -> None:
    engine = ScriptedEngine(plans_ahead=False)
    assert Catalogue.of({"scripted": engine}).engine_of("w") is engine


def test_voices_that_are_found_are_remembered_but_not_without_bound() -> None:
    class Mixer(ScriptedEngine):
        def find(self, voice: str, language: str) -> Voice:
            return Voice(voice, voice, "en-us", "scripted")

    engine = Mixer(plans_ahead=False)
    catalogue = Catalogue.of({"mixer": engine})
    for number in range(3000):
        catalogue.resolve(f"mix{number}", None)
    assert catalogue.engine_of("mix0") is engine
    assert len(catalogue._found) == 1024
    assert len(catalogue.voices) == 2


# ── while engines load ─────────────────────────────────────────────────────────────────────────


def engine(
    *names: str, stand_in: bool = False, language: str = "en-us", finds: str = ""
) -> ScriptedEngine:
    """An engine that lists ``names``, and finds one more that it does not list."""

    class Engine(ScriptedEngine):
        def find(self, voice: str, language: str) -> Voice:
            if voice and voice == finds:
                return Voice(f"own-{voice}", voice, "en-us", "scripted")
            return super().find(voice, language)

    made = Engine(plans_ahead=True)
    voices = tuple(Voice(name, name, language, "scripted") for name in names)
    made.info = replace(made.info, voices=voices, default_voice=names[0], stand_in=stand_in)
    return made


def test_the_best_voice_that_is_ready_speaks_by_default() -> None:
    growing = Catalogue(["noise", "model", "espeak"])
    assert not growing.usable
    growing.add("noise", engine("af_noise", stand_in=True))
    assert growing.default_voice == "af_noise"  # the only one
    growing.add("espeak", engine("en-us"))
    assert growing.default_voice == "en-us"
    growing.add("model", engine("af_heart"))
    assert growing.default_voice == "af_heart"
    assert [voice.id for voice in growing.voices] == ["af_noise", "af_heart", "en-us"]


def test_a_stand_in_speaks_a_language_only_if_nobody_else_does() -> None:
    growing = Catalogue(["noise", "espeak"])
    growing.add("noise", engine("af_noise", stand_in=True))
    assert growing.resolve(None, "en-us") == ("af_noise", "en-us")
    growing.add("espeak", engine("english"))
    assert growing.resolve(None, "en-us") == ("english", "en-us")
    assert growing.resolve("af_noise", None) == ("af_noise", "en-us")


def test_a_voice_that_may_be_loading_is_to_be_asked_for_again() -> None:
    growing = Catalogue(["model", "espeak"])
    growing.add("espeak", engine("en-us"))
    assert growing.resolve("en-us", None) == ("en-us", "en-us")
    with pytest.raises(
        Unavailable, match=r"'af_heart' may be a voice of model.*again in 1 s"
    ) as told:
        growing.resolve("af_heart", None)
    assert (told.value.field, told.value.retry_after_s) == ("voice", 1.0)
    growing.add("model", engine("af_heart"))
    assert growing.resolve("af_heart", None) == ("af_heart", "en-us")


def test_a_language_that_nobody_speaks_yet_is_to_be_asked_for_again() -> None:
    growing = Catalogue(["model", "espeak"])
    growing.add("espeak", engine("en-us"))
    with pytest.raises(Unavailable, match="no voice speaks 'fr' yet; model is still loading"):
        growing.resolve(None, "fr")
    growing.add("model", engine("ff_siwis", language="fr"))
    assert growing.resolve(None, "fr") == ("ff_siwis", "fr")


def test_a_name_means_the_same_voice_whichever_engine_is_faster() -> None:
    first, second = engine("a", finds="mix"), engine("b", finds="mix")
    growing = Catalogue(["first", "second"])
    growing.add("second", second)
    with pytest.raises(Unavailable, match="may be a voice of first"):
        growing.resolve("mix", None)
    growing.add("first", first)
    assert growing.engine_of("mix") is first


def test_an_engine_that_fails_gives_way_to_the_next() -> None:
    second = engine("b", finds="mix")
    growing = Catalogue(["first", "second"])
    growing.add("second", second)
    assert growing.loading == ("first",)
    growing.give_up("first")
    growing.check()
    assert growing.loading == ()
    assert growing.engine_of("mix") is second
    with pytest.raises(InvalidValue, match="no voice 'nobody'"):
        growing.resolve("nobody", None)


def test_a_default_voice_of_the_settings_is_waited_for() -> None:
    growing = Catalogue(["model", "espeak"], "af_heart")
    growing.add("espeak", engine("en-us"))
    assert not growing.usable
    growing.check()  # no verdict yet
    growing.add("model", engine("af_heart"))
    assert growing.default_voice == "af_heart"


def test_a_default_voice_that_failed_to_load_is_the_operators_fault() -> None:
    growing = Catalogue(["model", "espeak"], "af_heart")
    growing.add("espeak", engine("en-us"))
    growing.give_up("model")
    with pytest.raises(SetupError, match=r"engine\.default_voice: .*'af_heart'"):
        growing.check()
