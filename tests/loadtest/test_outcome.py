import pytest

from gateway.client.jitter_buffer import Underrun
from loadtest.outcome import Interruption, SpokenChunk, judge_silences, known_at

from .calls import turn


def test_a_chunk_is_known_with_the_character_after_it() -> None:
    tokens = turn().tokens

    assert known_at(tokens, 12) == 1.5
    assert known_at(tokens, 13) == pytest.approx(1.6)
    assert known_at(tokens, 21) == pytest.approx(1.6)


def test_silence_counts_from_when_the_text_was_there() -> None:
    chunks = [SpokenChunk(0, 13, 0), SpokenChunk(13, 21, 48_000)]
    (silence,) = judge_silences([Underrun(1.2, 0.5, 47_000, 0)], chunks, turn())

    assert silence.duration_s == 0.5
    assert silence.excess_s == pytest.approx(0.1)
    assert silence.text_was_late


def test_silence_in_the_middle_of_a_chunk_is_the_servers() -> None:
    chunks = [SpokenChunk(0, 21, 0)]
    (silence,) = judge_silences([Underrun(1.2, 0.5, 20_000, 0)], chunks, turn())

    assert silence.excess_s == pytest.approx(0.5)


def test_silence_after_late_audio_of_known_text_is_the_servers() -> None:
    chunks = [SpokenChunk(0, 13, 0), SpokenChunk(13, 21, 48_000)]
    (silence,) = judge_silences([Underrun(3.0, 0.25, 48_000, 0)], chunks, turn())

    assert silence.excess_s == pytest.approx(0.25)
    assert not silence.text_was_late


def test_an_interruption_is_heard_until_the_answer_or_until_the_buffer_is_empty() -> None:
    answered = Interruption(5.0, 0, 48_000, told=True, answer_s=5.2)
    nearly_dry = Interruption(5.0, 0, 4800, told=True, answer_s=5.2)

    assert answered.audible_for_s == pytest.approx(0.2)
    assert nearly_dry.audible_for_s == pytest.approx(0.1)
    assert Interruption(5.0, 0, 48_000, told=True).audible_for_s is None
    assert answered.frames_for_s == 0.0
