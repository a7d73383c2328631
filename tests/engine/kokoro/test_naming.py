"""What the engines of models and their voices are called."""

from pathlib import Path

from gateway.engine.kokoro.naming import Naming, directory_of, is_path, name_models


def test_the_first_models_voices_go_by_their_own_names():
    assert name_models(["kokoro-v1.1-fp32", "/srv/kokoro-int8/"], taken=("espeak",)) == {
        "kokoro-v1.1-fp32": Naming("kokoro-v1.1-fp32", ""),
        "/srv/kokoro-int8/": Naming("kokoro-int8", "kokoro-int8~"),
    }


def test_engines_of_one_name_are_told_apart_by_a_number():
    namings = name_models(["a/espeak", "b/espeak", "c/espeak"], taken=("espeak",))
    assert [naming.engine for naming in namings.values()] == ["espeak-2", "espeak-3", "espeak-4"]


def test_a_model_that_is_given_twice_is_loaded_once():
    assert list(name_models(["a", "b", "a"], taken=())) == ["a", "b"]


def test_names_fit_in_a_url():
    (naming,) = name_models(["/srv/My Model (new)"], taken=()).values()
    assert naming.engine == "My-Model-new"
    (naming,) = name_models(["/srv/模型"], taken=()).values()
    assert naming.engine == "kokoro"


def test_what_has_a_separator_is_a_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert [is_path(each) for each in ("kokoro", "./kokoro", "/a/b", ".", "~/m")] == [
        False,
        True,
        True,
        True,
        True,
    ]
    assert directory_of("~/m") == Path("/home/somebody/m")
    assert directory_of("/a/../b/") == Path("/b")
