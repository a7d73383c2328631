"""The engine on the tiny stand-in: the same graphs as the full model, with narrow layers."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.base import Engine
from gateway.engine.kokoro.clause import Clause, Place
from gateway.engine.kokoro.engine import KokoroEngine, RenderOptions
from gateway.engine.kokoro.graphs import SplitGraphs
from gateway.engine.kokoro.store import open_model
from gateway.engine.kokoro.windows import Method, Statistics, WindowSizes, divide, whole
from gateway.errors import InvalidValue, SetupError, SynthesisError
from gateway.synthesis import Plan
from tests.engine.kokoro.spelling import SpellingReader
from tests.engine.speaking import audio, planned, rendered, request, speak

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"
TEXT = "the quick brown fox jumps over the lazy dog, and then it runs away."
FRAME_MEDIA = 1200
"""One frame of 25 ms in media samples."""


def make(**options) -> KokoroEngine:
    engine = KokoroEngine(TINY, SpellingReader(), RenderOptions(lanes=2, **options))
    engine.start()
    return engine


@pytest.fixture(scope="module")
def engine() -> Iterator[KokoroEngine]:
    engine = make()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def exact() -> Iterator[KokoroEngine]:
    engine = make(method=Method.EXACT)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def graphs() -> SplitGraphs:
    return SplitGraphs.open(open_model(TINY), plan_threads=1, render_threads=1)


def clause_of(plan: Plan) -> Clause:
    place = plan.windows[0].state
    assert isinstance(place, Place)
    assert place.clause is not None
    return place.clause


def features_of(clause: Clause, graphs: SplitGraphs) -> np.ndarray:
    return clause.acoustics(graphs).features


def test_everything_says_that_it_is_a_stand_in(engine, caplog):
    assert "standin" in engine.info.version
    assert all("random weights" in voice.description for voice in engine.info.voices)
    assert "random weights" in engine.find("", "").description
    with caplog.at_level("WARNING"):
        make().close()
    assert "its figures are not Kokoro's" in caplog.text


def test_the_length_is_known_before_a_window_is_rendered(engine):
    plan = planned(engine, TEXT)
    assert plan.length_samples == 2 * len(audio(rendered(engine, plan)))
    frames = sum(clause_of(plan).planned.durations)
    assert plan.length_samples == frames * FRAME_MEDIA


def test_words_lie_where_the_durations_put_them(engine):
    plan = planned(engine, "one two")
    ends = list(accumulate(int(each) for each in clause_of(plan).planned.durations))
    first, second = plan.words
    assert (first.spoken_start, first.spoken_end) == (0, 3)
    assert first.start_samples == ends[0] * FRAME_MEDIA
    assert first.end_samples == ends[3] * FRAME_MEDIA
    assert second.start_samples == ends[4] * FRAME_MEDIA
    assert second.end_samples == ends[7] * FRAME_MEDIA


def test_durations_have_the_rhythm_of_the_trained_model(engine):
    durations = clause_of(planned(engine, TEXT)).planned.durations
    assert 1.8 < np.mean(durations) < 3.3


def test_the_first_window_is_small_and_the_shapes_are_few(engine):
    sizes = [window.shape for window in planned(engine, TEXT).windows]
    assert sizes[:2] == [16, 32]
    assert set(sizes[2:-1]) == {48}


def test_exact_rendering_is_decoding_the_whole_clause(exact, graphs):
    plan = planned(exact, TEXT)
    assert len(plan.windows) == 1
    clause = clause_of(plan)
    span = whole(clause.planned.frames)
    own = Statistics(*np.zeros((2, graphs.statistics), np.float32), own_share=1.0)
    acoustics = clause.acoustics(graphs)
    ((reference, _),) = graphs.generate([(acoustics, span, clause.style, own)])
    heard = audio(rendered(exact, plan))
    assert np.abs(heard - np.clip(reference, -1, 1)).max() <= 1e-4


def test_windows_with_the_true_statistics_are_decoding_the_whole_clause(exact, graphs):
    clause = clause_of(planned(exact, TEXT))
    acoustics, frames = clause.acoustics(graphs), clause.planned.frames
    own = clause.given(0, graphs.statistics)
    ((reference, true),) = graphs.generate([(acoustics, whole(frames), clause.style, own)])
    given = Statistics(true.mean, true.square, own_share=0.0)
    spans = divide(frames, WindowSizes(first=12, core=40, context=4))
    windowed = replace_spans(clause, spans)
    heard = []
    for place, span in enumerate(spans):
        ((pcm, moments),) = graphs.generate([(acoustics, span, clause.style, given)])
        heard.append(windowed.receive(place, pcm, moments))
    assert len(spans) > 3
    assert np.abs(np.concatenate(heard) - np.clip(reference, -1, 1)).max() <= 1e-4


def replace_spans(clause: Clause, spans: tuple) -> Clause:
    return Clause(clause.planned, clause.style, None, spans, Method.PRIOR, seed=0)


@pytest.mark.parametrize(
    ("method", "snr_db"),
    [(Method.LOCAL, 12), (Method.CARRIED, 15), (Method.PRIOR, 18), (Method.BLENDED, 20)],
)
def test_streaming_stays_near_the_whole_clause(exact, method, snr_db):
    engine = make(method=method)
    heard, reference = (audio(speak(each, TEXT)) for each in (engine, exact))
    engine.close()
    error = np.mean((heard - reference) ** 2) / np.mean(reference**2)
    assert -10 * np.log10(error) > snr_db


def test_joins_are_not_heard(engine):
    plan = planned(engine, TEXT)
    samples = audio(rendered(engine, plan))
    steps = np.abs(np.diff(samples))
    joins = [span.end * 600 for span in clause_of(plan).spans[:-1]]
    assert all(steps[join - 1] <= np.quantile(steps, 0.999) for join in joins)


def test_the_same_text_gives_the_same_samples(engine):
    assert np.array_equal(audio(speak(engine, TEXT)), audio(speak(engine, TEXT)))


def test_a_window_rendered_once_more_gives_the_same_again(engine):
    plan = planned(engine, TEXT)
    once = rendered(engine, plan)
    again = rendered(engine, replace(plan, windows=plan.windows[1:3]))
    assert np.array_equal(audio(again), audio(once[1:3]))


def test_texts_planned_together_are_planned_as_if_alone(engine, graphs):
    texts = ["one", TEXT, "two three four"]
    together = engine.plan([request(text, speed=1.1) for text in texts])
    for text, plan in zip(texts, together, strict=True):
        alone = planned(engine, text, speed=1.1)
        assert isinstance(plan, Plan)
        assert (plan.length_samples, plan.words) == (alone.length_samples, alone.words)
        # Not the samples: the source's angles turn by 2π on 1e-7 of pitch (docs/rendering.md).
        ours, theirs = clause_of(plan), clause_of(alone)
        assert np.abs(ours.planned.f0 - theirs.planned.f0).max() < 1e-2
        assert np.abs(features_of(ours, graphs) - features_of(theirs, graphs)).max() < 1e-4


def test_windows_rendered_together_are_rendered_as_if_alone(engine):
    texts = [TEXT, "we will see what comes of it in the end, said the fox."]
    plans = [planned(engine, text) for text in texts]
    alone = [audio(rendered(engine, planned(engine, text))) for text in texts]
    heard: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for place in range(2):
        windows = [plan.windows[place] for plan in plans]
        assert len({window.shape for window in windows}) == 1

        def emit(index: int, rendering) -> bool:
            heard[index].append(rendering.pcm.samples)
            return True

        engine.render(windows, emit)
    for index, parts in heard.items():
        joined = np.concatenate(parts)
        assert np.abs(joined - alone[index][: len(joined)]).max() < 1e-4


@pytest.mark.parametrize("tokens", [510, 511, 1200])
def test_texts_longer_than_the_model_takes_are_spoken_in_parts(engine, tokens):
    text = ("abcd " * 300)[:tokens]
    plan = planned(engine, text)
    clauses = {id(window.state.clause) for window in plan.windows}
    assert len(clauses) == -(-tokens // 510)
    assert len(plan.words) == -(-tokens // 5)
    starts = [word.start_samples for word in plan.words]
    assert starts == sorted(starts)
    assert plan.words[-1].end_samples <= plan.length_samples
    assert [window.index for window in plan.windows] == list(range(len(plan.windows)))


def test_a_text_in_parts_has_the_length_that_was_planned(engine):
    plan = planned(engine, "a" * 511)
    assert 2 * len(audio(rendered(engine, plan))) == plan.length_samples


def test_voices_and_speeds_change_what_is_heard(engine):
    plain = audio(speak(engine, "hello there", voice="af_alpha"))
    other = audio(speak(engine, "hello there", voice="am_gamma"))
    mixed = audio(speak(engine, "hello there", voice="af_alpha*0.5+am_gamma*0.5"))
    fast = audio(speak(engine, "hello there", voice="af_alpha", speed=1.6))
    assert len({each[:4000].tobytes() for each in (plain, other, mixed)}) == 3
    assert len(fast) < 0.8 * len(plain)


def test_a_voice_is_found_by_language(engine):
    assert engine.find("", "en").id == "af_alpha"
    with pytest.raises(InvalidValue, match="speaks 'fr'"):
        engine.find("", "fr")
    with pytest.raises(InvalidValue, match="klingon"):
        engine.find("", "klingon")


def test_a_reader_that_fails_fails_that_text_alone(engine):
    class Failing(SpellingReader):
        def read(self, spoken: str, language: str):
            if "bad" in spoken:
                raise InvalidValue("language: no", field="language")
            if "worse" in spoken:
                raise SynthesisError("no phonemes", field="text")
            return super().read(spoken, language)

    engine = KokoroEngine(TINY, Failing())
    engine.start()
    bad, worse, good = engine.plan([request("bad"), request("worse"), request("good")])
    engine.close()
    assert isinstance(bad, SynthesisError)
    assert isinstance(worse, SynthesisError)
    assert (bad.field, worse.field) == ("language", "text")
    assert isinstance(good, Plan)


def test_lanes_do_not_disturb_one_another(engine):
    texts = [TEXT, "one two three four", "a b c"]
    alone = [audio(speak(engine, text)) for text in texts]
    wrong: list[str] = []

    def lane(first: int) -> None:
        for turn in range(6):
            index = (first + turn) % 3
            if not np.array_equal(audio(speak(engine, texts[index])), alone[index]):
                wrong.append(texts[index])

    threads = [threading.Thread(target=lane, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_reader_lives_as_long_as_the_engine():
    reader = SpellingReader()
    engine: Engine = KokoroEngine(TINY, reader)
    engine.start()
    assert reader.running
    plan = planned(engine, "hello")
    engine.close()
    engine.close()
    assert not reader.running
    with pytest.raises(SynthesisError, match="closed"):
        rendered(engine, plan)


def test_a_default_voice_that_is_not_there_is_the_operators_fault():
    engine = KokoroEngine(TINY, SpellingReader(), default_voice="af_nobody")
    with pytest.raises(SetupError, match=r"engine\.default_voice.*af_nobody"):
        engine.start()
