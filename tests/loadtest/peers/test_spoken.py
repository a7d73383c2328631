"""What a listener heard, with times and samples as literals."""

import numpy as np
import pytest

from loadtest.peers.spoken import Listener

RATE = 24_000


def tone(seconds: float, rate: int = RATE) -> bytes:
    return np.full(round(seconds * rate), 8000, "<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def test_leading_silence_is_no_audio() -> None:
    listener = Listener()
    listener.receive(silence(0.3) + tone(1.0), RATE, now=10.5)
    listener.end(10.6)

    outcome = listener.outcome(first_token_s=10.0, sentence_end_s=10.4, now=20.0)

    assert outcome.first_audio_s == pytest.approx(0.8)
    assert outcome.after_sentence_s == pytest.approx(0.4)
    assert outcome.speech_s == pytest.approx(1.3)
    assert outcome.gapless


def test_waiting_for_the_next_sentence_is_a_gap() -> None:
    listener = Listener()
    listener.receive(tone(1.0), RATE, now=0.0)
    listener.receive(tone(1.0), RATE, now=1.2)
    listener.end(1.2)

    outcome = listener.outcome(0.0, 0.0, now=5.0)

    assert (outcome.gaps, outcome.gapless) == (1, False)
    assert outcome.worst_gap_s == pytest.approx(0.2)


def test_a_gap_up_to_50_ms_is_not_heard() -> None:
    listener = Listener()
    listener.receive(tone(1.0), RATE, now=0.0)
    listener.receive(tone(1.0), RATE, now=1.04)
    listener.end(1.04)

    assert listener.outcome(0.0, 0.0, now=5.0).gapless


def test_pieces_may_end_within_a_sample() -> None:
    listener = Listener()
    data = tone(0.5)
    for start in range(0, len(data), 1001):
        listener.receive(data[start : start + 1001], RATE, now=0.0)
    listener.end(0.0)

    assert listener.outcome(0.0, 0.0, now=1.0).speech_s == 0.5


def test_rates_that_do_not_divide_48_khz_keep_their_length() -> None:
    listener = Listener()
    for _ in range(100):
        listener.receive(tone(0.01, 22_050), 22_050, now=0.0)

    assert listener.outcome(0.0, 0.0, now=9.0).speech_s == pytest.approx(0.998, abs=0.001)


def test_silence_alone_is_never_heard() -> None:
    listener = Listener()
    listener.receive(silence(1.0), RATE, now=0.0)
    listener.end(0.0)

    outcome = listener.outcome(0.0, 0.0, now=2.0)

    assert outcome.first_audio_s is None
    assert not outcome.gapless


def test_an_answer_that_broke_off_is_not_gapless() -> None:
    listener = Listener()
    listener.receive(tone(1.0), RATE, now=0.0)

    outcome = listener.outcome(0.0, 0.0, now=0.5, problem="the server closed")

    assert (outcome.gaps, outcome.gapless) == (0, False)
