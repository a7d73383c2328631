"""Whole graphs, in the contracts that are published; their tokens last 2 (1 + id % 4) frames."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from gateway.engine.base import Engine
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.symbols import TOKENS
from gateway.engine.kokoro.whole import WholeEngine
from gateway.errors import InvalidValue, SetupError, SynthesisError
from gateway.settings import KokoroSettings
from gateway.synthesis import Rendering
from tests.engine.kokoro.model_files import write_archive
from tests.engine.kokoro.onnx_bytes import FLOAT16, INT32, speaking_graph
from tests.engine.kokoro.spelling import SpellingReader
from tests.engine.speaking import audio, planned, request, speak, words

FRAME = 600
FRAME_MEDIA = 1200


def frames_of(text: str) -> list[int]:
    """What the graph gives each token, with both boundaries."""
    return [2, *(2 * (1 + TOKENS[symbol] % 4) for symbol in text), 2]


def start(folder: Path, name: str = "model.onnx", **contract) -> WholeEngine:
    (folder / name).write_bytes(speaking_graph(**contract))
    write_archive(folder / "voices.bin")
    engine = WholeEngine(folder, SpellingReader(), KokoroSettings(lanes=4, plan_threads=2))
    engine.start()
    return engine


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("model.onnx", {"durations": None}),
        ("model.onnx", {"durations": "durations"}),
        ("kokoro-v1.0.onnx", {"tokens": "tokens", "speech": "audio", "durations": None}),
        ("kokoro-v1.0.onnx", {}),
        ("kokoro-v1.0.fp16.onnx", {"style_type": FLOAT16, "speech_type": FLOAT16}),
        ("kokoro-v1.0.int8.onnx", {"speed_type": INT32}),
    ],
)
def test_each_published_contract_speaks(tmp_path, name, contract):
    engine = start(tmp_path, name, **contract)
    heard = audio(speak(engine, "one two"))
    assert heard.dtype == np.float32
    assert len(heard) == FRAME * sum(frames_of("one two"))
    assert 0.5 < np.abs(heard).max() <= 1.0


def test_words_lie_where_the_durations_put_them(tmp_path):
    engine = start(tmp_path)
    frames = frames_of("one two")
    spans = [
        (word.spoken_start, word.spoken_end, word.start_samples, word.end_samples)
        for word in words(speak(engine, "one two"))
    ]
    assert spans == [
        (0, 3, FRAME_MEDIA * sum(frames[:1]), FRAME_MEDIA * sum(frames[:4])),
        (4, 7, FRAME_MEDIA * sum(frames[:5]), FRAME_MEDIA * sum(frames[:8])),
    ]
    assert "estimated" not in engine.info.voices[0].description


def test_without_durations_word_times_are_estimated_and_that_is_said(tmp_path, caplog):
    engine = start(tmp_path, durations=None)
    assert "word times are estimated" in engine.info.voices[0].description
    assert "word times are estimated" in caplog.text
    (one, two) = words(renderings := speak(engine, "one two"))
    length = 2 * len(audio(renderings))
    # Nine tokens with the boundaries: "one" is the second to the fourth, "two" the sixth and on.
    for found, share in ((one.start_samples, 1 / 9), (two.start_samples, 5 / 9)):
        assert found == pytest.approx(length * share, abs=FRAME_MEDIA / 2)
    assert two.end_samples <= length


def test_a_chunk_that_is_too_long_comes_in_parts_with_the_times_of_one(tmp_path):
    engine = start(tmp_path)
    text = ("abcd " * 150).strip()
    renderings = speak(engine, text)
    assert [rendering.final for rendering in renderings] == [False, True]
    found = words(renderings)
    assert len(found) == 150
    starts = [word.start_samples for word in found]
    assert starts == sorted(starts)
    assert found[-1].end_samples <= 2 * len(audio(renderings))


def test_speaking_stops_between_parts_when_nobody_listens(tmp_path):
    engine = start(tmp_path)
    heard: list[Rendering] = []

    def emit(_: int, rendering: Rendering) -> bool:
        heard.append(rendering)
        return False

    engine.render(planned(engine, "abcd " * 200).windows, emit)
    assert [rendering.final for rendering in heard] == [False]


def test_nothing_to_say_is_silence(tmp_path):
    (only,) = speak(start(tmp_path), "... !")
    assert (len(only.pcm.samples), only.final, only.words) == (0, True, ())


def test_a_graph_of_whole_speeds_is_given_the_nearest_which_is_logged_once(tmp_path, caplog):
    engine = start(tmp_path, speed_type=INT32)
    for speed in (1.0, 1.4, 0.5):
        speak(engine, "one", speed=speed)
    assert re.findall(r"whole speeds only: (\S+) was rounded to (\d)", caplog.text) == [
        ("1.4", "1")
    ]


def test_lanes_share_the_threads(tmp_path):
    info = start(tmp_path).info
    assert (info.lanes, info.batch_max, info.plans_ahead) == (2, 1, False)
    assert (info.sample_rate, info.version, info.stand_in) == (24_000, tmp_path.name, False)


def test_voices_of_a_second_model_carry_its_name(tmp_path):
    (tmp_path / "model.onnx").write_bytes(speaking_graph())
    write_archive(tmp_path / "voices.bin")
    naming = Naming("other", "other~")
    engine: Engine = WholeEngine(tmp_path, SpellingReader(), KokoroSettings(), naming)
    engine.start()
    assert (engine.info.name, engine.info.default_voice) == ("other", "other~af_heart")
    assert {voice.engine for voice in engine.info.voices} == {"other"}
    for name in ("other~am_adam", "am_adam"):
        assert engine.find(name, "").id == "other~am_adam"
    assert engine.find("other~af_heart+am_adam", "").id == "other~af_heart*0.5+am_adam*0.5"
    assert len(audio(speak(engine, "one", voice="other~am_adam")))
    with pytest.raises(InvalidValue, match="nobody"):
        engine.find("other~nobody", "")


def test_what_is_wrong_with_a_request_fails_that_chunk(tmp_path):
    engine = start(tmp_path)
    bad, worse = engine.plan([request("one", voice="nobody"), request("a", language="xx-yy")])
    assert isinstance(bad, SynthesisError)
    assert isinstance(worse, SynthesisError)
    assert (bad.field, worse.field) == ("voice", "language")
    assert "no Kokoro voice 'nobody'" in bad.message


def test_a_text_that_can_not_be_read_fails_when_it_is_spoken(tmp_path):
    class Failing(SpellingReader):
        def read(self, spoken: str, language: str):
            raise SynthesisError("no phonemes", field="text")

    (tmp_path / "model.onnx").write_bytes(speaking_graph())
    write_archive(tmp_path / "voices.bin")
    engine = WholeEngine(tmp_path, Failing(), KokoroSettings())
    engine.start()
    with pytest.raises(SynthesisError, match="no phonemes"):
        speak(engine, "one")


def test_a_graph_that_fails_fails_that_chunk_alone(tmp_path):
    engine = start(tmp_path)
    with pytest.raises(SynthesisError, match="onnxruntime failed on a text"):
        speak(engine, "one", speed=1e-9)  # a length beyond all memory
    assert len(audio(speak(engine, "one")))


def test_sound_that_is_no_number_is_found_at_the_start(tmp_path):
    with pytest.raises(SetupError, match="does not compute speech"):
        start(tmp_path, wave="Acos")


def test_durations_that_are_not_of_the_tokens_are_found_at_the_start(tmp_path):
    with pytest.raises(SetupError, match=r"gives \d+ durations for 6 tokens"):
        start(tmp_path, given="steps")


def test_a_graph_of_another_contract_is_refused(tmp_path):
    with pytest.raises(SetupError, match="is not a whole Kokoro graph"):
        start(tmp_path, speech="mel")


def test_a_closed_engine_says_so(tmp_path):
    engine = start(tmp_path)
    plan = planned(engine, "one")
    engine.warm_up()
    engine.close()
    engine.close()
    with pytest.raises(SynthesisError, match="engine kokoro is closed"):
        engine.render(plan.windows, lambda *_: True)


def test_planning_computes_nothing(tmp_path):
    (plan,) = start(tmp_path).plan([request("one two")])
    assert (len(plan.windows), plan.length_samples, plan.words) == (1, None, ())
