"""What every engine must keep, whatever it speaks with.

A new engine joins by one line in ``ENGINES``: a function that makes it, not yet started, with two
lanes or more, or that skips where it cannot run.
"""

import re
import threading
import time
import unicodedata
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from gateway.engine.base import Engine
from gateway.engine.espeak import EspeakEngine, espeak_available
from gateway.engine.kokoro.engine import kokoro_engine
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.serving import model_engine
from gateway.errors import SynthesisError
from gateway.media import to_media_samples
from gateway.settings import EngineSettings, EspeakSettings, KokoroSettings
from gateway.synthesis import Plan, Rendering, SpokenWord
from tests.engine.kokoro.model_files import write_archive
from tests.engine.kokoro.onnx_bytes import speaking_graph
from tests.engine.speaking import audio, planned, rendered, request, speak, words

TINY_KOKORO = Path(__file__).parents[1] / "data" / "kokoro-tiny"

TEXTS = [
    "Hello.",
    "The quick brown fox jumps over the lazy dog, and then it runs away.",
    "One. Two? Three! Four; five: six - seven…",
    "She said: “I can't — won't — go!” (Really?)",
    "On May 5th, 1,234 naïve users paid 50% more.",
    "A face 😀, a flag 🇫🇷, and a family 👨‍👩‍👧 walk into a bar.",
    "hello " * 60,
    "Dr. Smith met Mr. Jones at St. Paul's, e.g. on Friday.",
    "line one\nline two\n\nline four",
    "odd\0bytes\x01here\ud800now",
]
SILENT_TEXTS = ["", " ", "\n\n", "...", "“ ”"]


def make_espeak() -> Engine:
    if not espeak_available():
        pytest.skip("the extra 'espeak' is not installed")
    return EspeakEngine(EspeakSettings(workers=2))


def make_kokoro() -> Engine:
    if not espeak_available():
        pytest.skip("the extra 'espeak' is not installed, which reads texts for Kokoro")
    return kokoro_engine(TINY_KOKORO, EngineSettings(kokoro=KokoroSettings(lanes=2)))


def make_whole() -> Engine:
    """A whole graph as it is published; its folder lives as long as the engine."""
    if not espeak_available():
        pytest.skip("the extra 'espeak' is not installed, which reads texts for Kokoro")
    folder = TemporaryDirectory()
    (Path(folder.name) / "model.onnx").write_bytes(speaking_graph())
    write_archive(Path(folder.name) / "voices.bin")
    settings = EngineSettings(kokoro=KokoroSettings(lanes=2, plan_threads=1))
    engine = model_engine(folder.name, settings, Naming())
    weakref.finalize(engine, folder.cleanup)
    return engine


ENGINES: dict[str, Callable[[], Engine]] = {
    "espeak": make_espeak,
    "kokoro": make_kokoro,
    "whole": make_whole,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = ENGINES[request.param]()
    engine.start()
    yield engine
    engine.close()


def spoken_words(plan: Plan, renderings: list[Rendering]) -> list[SpokenWord]:
    return [*plan.words, *words(renderings)]


def test_the_facts_fit_together(engine):
    info = engine.info
    ids = [voice.id for voice in info.voices]
    assert info.default_voice in ids
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", voice_id) for voice_id in ids), "fit in a URL"
    assert all(voice.engine == info.name and voice.name for voice in info.voices)
    assert all(voice.language == voice.language.lower() for voice in info.voices)
    assert info.sample_rate >= 8_000
    assert info.lanes >= 2
    assert info.batch_max >= 1


@pytest.mark.parametrize("text", TEXTS)
def test_of_every_window_the_last_rendering_is_final_and_no_other(engine, text):
    plan = planned(engine, text)
    assert [window.final for window in plan.windows] == [False] * (len(plan.windows) - 1) + [True]
    for window in plan.windows:
        finals: list[bool] = []

        def emit(index: int, rendering: Rendering, finals: list[bool] = finals) -> bool:
            finals.append(rendering.final)
            return True

        engine.render([window], emit)
        assert finals == [False] * (len(finals) - 1) + [True]


@pytest.mark.parametrize("text", TEXTS)
def test_speakable_text_sounds(engine, text):
    samples = audio(speak(engine, text))
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1.0
    assert np.sqrt(np.mean(samples**2)) > 0.01


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_in_order_inside_the_text_and_inside_the_audio(engine, text):
    plan = planned(engine, text)
    out = rendered(engine, plan)
    found = spoken_words(plan, out)
    assert found
    text_end = audio_end = 0
    for word in found:
        assert text_end <= word.spoken_start < word.spoken_end <= len(text)
        assert audio_end <= word.start_samples <= word.end_samples
        text_end, audio_end = word.spoken_end, word.end_samples
    assert audio_end <= to_media_samples(len(audio(out)), engine.info.sample_rate)


@pytest.mark.parametrize("text", TEXTS)
def test_every_letter_and_digit_belongs_to_a_word(engine, text):
    plan = planned(engine, text)
    covered = {
        offset
        for word in spoken_words(plan, rendered(engine, plan))
        for offset in range(word.spoken_start, word.spoken_end)
    }
    spoken = {i for i, char in enumerate(text) if unicodedata.category(char)[0] in "LN"}
    assert spoken <= covered


def test_words_come_no_later_than_the_audio_in_which_they_begin(engine):
    plan = planned(engine, TEXTS[1])
    begin = 0
    for rendering in rendered(engine, plan):
        for word in rendering.words:
            assert word.start_samples >= to_media_samples(begin, engine.info.sample_rate)
        begin += len(rendering.pcm.samples)


@pytest.mark.parametrize("text", SILENT_TEXTS)
def test_text_without_a_word_ends_at_once_without_a_sample(engine, text):
    plan = planned(engine, text)
    out = rendered(engine, plan)
    assert out[-1].final
    assert len(audio(out)) == 0
    assert spoken_words(plan, out) == []


def test_a_length_that_was_planned_is_exact(engine):
    plan = planned(engine, TEXTS[1])
    length = to_media_samples(len(audio(rendered(engine, plan))), engine.info.sample_rate)
    assert plan.length_samples in (None, length)
    assert (plan.length_samples is not None) == engine.info.plans_ahead


def test_blocks_have_the_rate_of_the_facts(engine):
    rates = {rendering.pcm.sample_rate for rendering in speak(engine, TEXTS[0])}
    assert rates == {engine.info.sample_rate}


def test_twice_the_speed_is_about_half_the_length(engine):
    text = "the quick brown fox jumps over the lazy dog and runs into the deep forest"
    lengths = [len(audio(speak(engine, text, speed=speed))) for speed in (0.5, 1.0, 2.0)]
    assert lengths[0] / lengths[1] == pytest.approx(2.0, rel=0.15)
    assert lengths[2] / lengths[1] == pytest.approx(0.5, rel=0.15)


def test_speaking_stops_soon_when_nobody_wants_it(engine):
    plan = planned(engine, "This is a long story that nobody wants to hear. " * 40)
    whole_started = time.perf_counter()
    rendered(engine, plan)
    whole_s = time.perf_counter() - whole_started
    calls: list[bool] = []

    def emit(index: int, rendering: Rendering) -> bool:
        calls.append(rendering.final)
        return False

    started = time.perf_counter()
    engine.render(plan.windows[:1], emit)
    assert calls in ([False], [True])
    assert time.perf_counter() - started < max(0.05, 0.5 * whole_s)
    assert len(audio(speak(engine, TEXTS[0]))) > 0


def test_renderings_of_lanes_do_not_mix(engine):
    texts = [
        "one two three four",
        "a quite different sentence, which is rather longer than the first",
    ]
    alone = [timed_words(engine, text) for text in texts]
    together: list[list[tuple[str, int]]] = []

    def lane(index: int) -> None:
        together.extend(timed_words(engine, texts[index % 2]) for _ in range(10))

    threads = [threading.Thread(target=lane, args=(i,)) for i in range(engine.info.lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 10 * engine.info.lanes
    for found in together:
        expected = alone[0] if found[0][0] == "one" else alone[1]
        assert [word for word, _ in found] == [word for word, _ in expected]
        assert [end for _, end in found] == pytest.approx([end for _, end in expected], rel=0.03)


def test_an_unknown_voice_is_refused_by_name_and_fails_alone(engine):
    bad, good = engine.plan([request("Hello.", voice="no-such-voice"), request("Hello.")])
    assert isinstance(bad, SynthesisError)
    assert bad.field == "voice"
    assert "'no-such-voice'" in bad.message
    assert not bad.retryable
    assert isinstance(good, Plan)


def test_the_first_voice_of_some_languages_speaks(engine):
    by_language = {voice.language: voice.id for voice in reversed(engine.info.voices)}
    for voice in list(by_language.values())[:5]:
        assert len(audio(speak(engine, "Hello 2.", voice=voice))) > 0


@pytest.mark.parametrize("name", ENGINES)
def test_close_is_idempotent_at_any_time(name):
    never_started = ENGINES[name]()
    never_started.close()
    never_started.close()
    started = ENGINES[name]()
    started.start()
    plan = planned(started, "Hello.")
    started.close()
    started.close()
    with pytest.raises(SynthesisError):
        rendered(started, plan)


def timed_words(engine: Engine, text: str) -> list[tuple[str, int]]:
    """Each word and the media time at which it ends."""
    plan = planned(engine, text)
    return [
        (text[word.spoken_start : word.spoken_end], word.end_samples)
        for word in spoken_words(plan, rendered(engine, plan))
    ]
