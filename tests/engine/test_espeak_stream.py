"""Marks and PCM in, renderings out."""

import numpy as np
import pytest

from gateway.engine.espeak_stream import SpeechStream
from gateway.synthesis import SpokenWord

RATE = 24_000  # one sample is two ticks of media time
LOUD = 16_384


def pcm(count: int, value: int = LOUD) -> bytes:
    return np.full(count, value, np.int16).tobytes()


def stream(text: str = "one two three") -> SpeechStream:
    return SpeechStream(text, RATE, block_samples=100)


def lengths(renderings) -> list[int]:
    return [len(rendering.pcm.samples) for rendering in renderings]


def test_blocks_wait_until_the_words_that_begin_in_them_are_known():
    speech = stream()
    assert list(speech.receive([(0, 0)], pcm(250))) == []
    ready = list(speech.receive([(4, 250)], pcm(100)))
    assert lengths(ready) == [100, 100]
    assert ready[0].words == (SpokenWord(0, 3, 0, 500),)
    assert ready[1].words == ()


def test_a_block_in_which_a_word_begins_waits_for_its_end():
    speech = stream()
    ready = list(speech.receive([(0, 0), (4, 199)], pcm(300)))
    assert lengths(ready) == [100]
    ready = list(speech.receive([(8, 300)], pcm(100)))
    assert lengths(ready) == [100, 100]
    assert ready[0].words == (SpokenWord(4, 7, 398, 600),)


def test_the_last_word_ends_with_the_audio_and_the_last_block_is_final():
    speech = stream()
    assert list(speech.receive([(0, 0)], pcm(230))) == []
    left = list(speech.finish())
    assert lengths(left) == [100, 100, 30]
    assert [rendering.final for rendering in left] == [False, False, True]
    assert left[0].words == (SpokenWord(0, 13, 0, 460),)


def test_audio_of_a_whole_number_of_blocks_ends_with_a_full_block():
    speech = stream()
    assert list(speech.receive([(0, 0)], pcm(200))) == []
    assert lengths(speech.finish()) == [100, 100]


def test_samples_are_conserved_and_scaled_to_one():
    speech = stream()
    ramp = np.arange(-32_768, -32_768 + 1000, dtype=np.int16)
    out = [*speech.receive([(0, 0), (4, 400), (8, 700)], ramp.tobytes()), *speech.finish()]
    joined = np.concatenate([rendering.pcm.samples for rendering in out])
    assert joined.dtype == np.float32
    assert joined[0] == -1.0
    np.testing.assert_array_equal(joined, ramp / np.float32(32_768))


def test_silence_before_the_first_word_is_dropped_and_times_follow():
    speech = stream()
    assert list(speech.receive([(0, 120)], pcm(120, 5) + pcm(100))) == []
    (only,) = speech.finish()
    assert len(only.pcm.samples) == 100
    assert only.words == (SpokenWord(0, 13, 0, 200),)


@pytest.mark.parametrize("value", [LOUD, -LOUD, -32_768])
def test_sound_before_the_first_word_is_kept(value):
    speech = stream()
    assert list(speech.receive([], pcm(60, value))) == []
    assert list(speech.receive([(0, 60)], pcm(20))) == []
    (only,) = speech.finish()
    assert len(only.pcm.samples) == 80
    assert only.words[0].start_samples == 120


def test_silence_without_a_word_is_nothing():
    speech = stream("...")
    assert list(speech.receive([], pcm(154, 3))) == []
    (only,) = speech.finish()
    assert only.final
    assert len(only.pcm.samples) == 0
    assert only.words == ()


def test_sound_without_a_word_is_kept():
    speech = stream("?")
    assert list(speech.receive([], pcm(154))) == []
    assert lengths(speech.finish()) == [100, 54]


def test_nothing_at_all_ends_with_one_empty_final_rendering():
    (only,) = stream().finish()
    assert only.final
    assert len(only.pcm.samples) == 0


def test_further_marks_of_one_word_do_not_move_it():
    speech = stream("42 dogs")
    assert lengths(speech.receive([(0, 0), (1, 90), (3, 150)], pcm(200))) == [100]
    (rest,) = speech.finish()
    assert rest.words == (SpokenWord(3, 7, 300, 400),)


def test_a_word_that_begins_where_the_audio_ends_is_not_lost():
    speech = stream("one two")
    out = [*speech.receive([(0, 0), (4, 100)], pcm(100)), *speech.finish()]
    assert lengths(out) == [100, 0]
    assert out[0].words == (SpokenWord(0, 3, 0, 200),)
    assert out[1].words == (SpokenWord(4, 7, 200, 200),)


def test_block_length_is_of_no_consequence_to_times():
    for size in (1, 7, 64, 1000):
        speech = stream()
        data, words = pcm(900), []
        marks = {0: (0, 0), 330: (4, 330), 650: (8, 650)}
        for begin in range(0, 900, size):
            arrived = [mark for sample, mark in marks.items() if begin <= sample < begin + size]
            for out in speech.receive(arrived, data[2 * begin : 2 * (begin + size)]):
                words += out.words
        for out in speech.finish():
            words += out.words
        assert words == [
            SpokenWord(0, 3, 0, 660),
            SpokenWord(4, 7, 660, 1300),
            SpokenWord(8, 13, 1300, 1800),
        ]
