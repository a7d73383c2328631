"""The embedded voice from end to end: real workers, real espeak-ng."""

import importlib.util
import sys
import time

import numpy as np
import pytest

from gateway.engine.espeak import EspeakEngine, espeak_available, espeak_facts
from gateway.errors import InvalidValue, SetupError, SynthesisError
from gateway.media import to_media_samples
from gateway.settings import EspeakSettings
from tests.engine.speaking import audio, planned, request, speak, words

RATE = 22_050


@pytest.fixture(scope="module")
def engine():
    engine = EspeakEngine(EspeakSettings(workers=2))
    engine.start()
    yield engine
    engine.close()


def texts(spoken: str, renderings) -> list[str]:
    return [spoken[word.spoken_start : word.spoken_end] for word in words(renderings)]


def test_the_facts_of_the_engine(engine):
    info = engine.info
    assert (info.name, info.sample_rate, info.default_voice) == ("espeak", RATE, "en-us")
    assert (info.lanes, info.batch_max, info.plans_ahead) == (2, 1, False)
    assert info.version.startswith("1.5")
    assert {"en-us", "en-us.f2", "en-gb", "de", "fr-fr"} <= {voice.id for voice in info.voices}


def test_the_gateway_never_loads_the_library(engine):
    speak(engine, "Hello.")
    with open("/proc/self/maps") as maps:
        assert "libespeak" not in maps.read()
    assert "espeakng_loader" not in sys.modules


def test_blocks_have_the_length_of_the_settings(engine):
    out = speak(engine, "The quick brown fox jumps over the lazy dog.")
    assert {len(rendering.pcm.samples) for rendering in out[:-1]} == {2205}
    assert all(rendering.pcm.sample_rate == RATE for rendering in out)


def test_words_come_with_the_block_in_which_they_begin(engine):
    spoken = "The quick brown fox jumps over the lazy dog, doesn't it?"
    begin = 0
    for rendering in speak(engine, spoken):
        end = begin + len(rendering.pcm.samples)
        for word in rendering.words:
            assert to_media_samples(begin, RATE) <= word.start_samples < to_media_samples(end, RATE)
        begin = end


def test_words_of_several_sentences_are_the_words_of_the_text(engine):
    spoken = "Hello world. This is Mr. Smith, a café owner! 😀 “Really?” Yes: 42."
    out = speak(engine, spoken)
    expected = "Hello|world|This|is|Mr|Smith|a|café|owner|😀|Really|Yes|42"
    assert "|".join(texts(spoken, out)) == expected


def test_a_title_does_not_end_a_sentence(engine):
    with_dot = len(audio(speak(engine, "We met Capt. Jones there")))
    without = len(audio(speak(engine, "We met Capt Jones there")))
    assert abs(with_dot - without) < 0.02 * RATE  # espeak itself rests 0.34 s


@pytest.mark.parametrize("spoken", ["", "   ", "\n", "...", "—", "\0", "“”"])
def test_what_cannot_be_spoken_is_one_final_rendering_of_no_samples(engine, spoken):
    (only,) = speak(engine, spoken)
    assert only.final
    assert len(only.pcm.samples) == 0
    assert only.words == ()


def test_text_behind_a_nul_is_spoken(engine):
    spoken = "Hello\0world"
    assert texts(spoken, speak(engine, spoken)) == ["Hello", "world"]


def test_phoneme_brackets_and_markup_are_only_text(engine):
    assert len(audio(speak(engine, "[[h@loU]]"))) > len(audio(speak(engine, "h"))) * 2
    assert len(audio(speak(engine, '<break time="9s"/>'))) < 9 * RATE


def test_espeak_commands_in_the_text_are_inert(engine):
    slow = audio(speak(engine, "\x01" + "80S one two three four five six"))
    plain = audio(speak(engine, "80S one two three four five six"))
    assert abs(len(slow) - len(plain)) < 0.1 * RATE


@pytest.mark.parametrize(
    ("end", "least_s", "most_s"),
    [(".", 0.25, 0.36), (",", 0.1, 0.2), ("", 0.0, 0.05), (".”", 0.25, 0.36)],
)
def test_the_pause_at_the_end_is_that_of_the_punctuation(engine, end, least_s, most_s):
    samples = audio(speak(engine, "Hello world" + end))
    silence = len(samples) - 1 - np.flatnonzero(np.abs(samples) > 0.002)[-1]
    assert least_s < silence / RATE < most_s


@pytest.mark.parametrize(("speed", "factor"), [(0.5, 2.0), (2.0, 0.5)])
def test_speed_changes_the_length(engine, speed, factor):
    spoken = "The quick brown fox jumps over the lazy dog and runs into the forest"
    normal = len(audio(speak(engine, spoken)))
    assert len(audio(speak(engine, spoken, speed=speed))) / normal == pytest.approx(factor, rel=0.1)


def test_no_voice_clips(engine):
    spoken = "The birch canoe slid on the smooth planks; glue the sheet to the dark background!"
    for voice in ("en-us", "en-us.plain", "en-us.klatt4", "en-gb", "en-us.f5", "de"):
        assert np.abs(audio(speak(engine, spoken, voice=voice))).max() < 1.0


def test_voices_differ_and_languages_are_read_by_their_rules(engine):
    def pitch(voice: str) -> float:
        samples = audio(speak(engine, "oh no no no", voice=voice))[2000:6000]
        similarity = np.correlate(samples, samples, "full")[len(samples) - 1 :]
        return RATE / (60 + float(similarity[60:300].argmax()))  # 75 to 370 Hz

    assert pitch("en-us") < 150 < pitch("en-us.f2")
    assert len(audio(speak(engine, "1234567", voice="de"))) != len(
        audio(speak(engine, "1234567", voice="fr"))
    )


def test_the_default_voice_keeps_its_timing_from_call_to_call(engine):
    spoken = "Hello world. This is not the same bit by bit, but as long."
    first, second = speak(engine, spoken), speak(engine, spoken)
    assert words(first) == words(second)
    assert len(audio(first)) == len(audio(second))


def test_a_worker_changes_voice_and_speed_for_each_utterance(engine):
    before = len(audio(speak(engine, "One two three four five.")))
    for _ in range(2):
        speak(engine, "Eins zwei drei.", voice="de", speed=2.0)
    assert len(audio(speak(engine, "One two three four five."))) == before


def test_nobody_wants_it_any_more(engine):
    pids = engine.worker_pids()
    calls = []

    def emit(index, rendering):
        calls.append(rendering)
        return len(calls) < 3

    started = time.monotonic()
    engine.render(planned(engine, "This is a very long story. " * 3000).windows, emit)
    assert len(calls) == 3
    assert not calls[-1].final
    assert time.monotonic() - started < 1.0
    assert engine.worker_pids() == pids
    assert texts("Hello again", speak(engine, "Hello again")) == ["Hello", "again"]


def test_an_emit_that_fails_leaves_the_worker_usable(engine):
    pids = engine.worker_pids()

    def emit(index, rendering):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.render(planned(engine, "A story. " * 500).windows, emit)
    assert texts("Hello again", speak(engine, "Hello again")) == ["Hello", "again"]
    assert engine.worker_pids() == pids


def test_text_of_many_pages_is_spoken_to_its_end(engine):
    spoken = "word " * 4000
    out = speak(engine, spoken, speed=2.0)
    assert len(words(out)) == 4000
    assert words(out)[-1].spoken_end == len(spoken) - 1


def test_a_request_that_is_too_long_fails_alone(engine):
    long, short = engine.plan([request("a" * 100_001), request("Hello.")])
    assert isinstance(long, SynthesisError)
    assert long.limit == 100_000
    assert not isinstance(short, SynthesisError)


def test_a_plan_is_one_final_window_without_a_length(engine):
    (plan,) = engine.plan([request("Hello.")])
    assert not isinstance(plan, SynthesisError)
    assert [(window.index, window.final) for window in plan.windows] == [(0, True)]
    assert plan.length_samples is None


def test_an_unknown_voice_fails_its_own_plan_only(engine):
    bad, good = engine.plan([request("Hello.", voice="en-uss"), request("Hello.")])
    assert isinstance(bad, SynthesisError)
    assert bad.field == "voice"
    assert "did you mean en-us" in bad.message
    assert not isinstance(good, SynthesisError)


def test_a_voice_is_found_by_name_by_language_or_by_default(engine):
    assert engine.resolve("fr", "de").voice.id == "fr-fr"
    assert engine.resolve("", "de-at").voice.id == "de"
    assert engine.resolve("").voice.id == "en-us"
    with pytest.raises(InvalidValue):
        engine.resolve("", "tlh")


def test_every_language_speaks_and_every_listed_voice_exists(engine):
    for voice in engine.info.voices:
        out = speak(engine, "7, Obama 2.", voice=voice.id)
        assert len(audio(out)) > 2_000, voice


def test_the_default_voice_may_be_set():
    engine = EspeakEngine(EspeakSettings(workers=1), default_voice="de")
    engine.start()
    assert engine.info.default_voice == "de"
    engine.close()


def test_a_default_voice_that_does_not_exist_is_a_setup_error():
    engine = EspeakEngine(EspeakSettings(workers=1), default_voice="en-uss")
    with pytest.raises(SetupError, match=r"engine\.default_voice: .*did you mean en-us"):
        engine.start()
    assert engine.worker_pids() == ()


def test_the_facts_for_the_doctor():
    facts = espeak_facts()
    assert facts["library"].endswith(("libespeak-ng.so", "libespeak-ng.dylib"))
    assert facts["data"].endswith("espeak-ng-data")
    assert facts["version"].startswith("1.5")
    assert facts["wheel"].startswith("espeakng-loader 0.")
    assert int(facts["voices"]) > 100


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    assert espeak_available()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not espeak_available()
    with pytest.raises(SetupError, match=r"pip install 'voice-gateway\[espeak\]'"):
        EspeakEngine(EspeakSettings(workers=1)).start()
    with pytest.raises(SetupError, match="not installed"):
        espeak_facts()
