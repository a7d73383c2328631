"""Phonemes from real workers, also from workers that die and hang."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gateway.engine.espeak_phonemizer import EspeakPhonemizer
from gateway.errors import EngineTimeout, SynthesisError
from gateway.settings import EspeakSettings
from tests.engine.processes import state_of, wait_until

AMERICAN = "gmw/en-US"


@pytest.fixture
def phonemizer() -> Iterator[EspeakPhonemizer]:
    phonemizer = EspeakPhonemizer(EspeakSettings(timeout_s=0.5))
    phonemizer.start()
    yield phonemizer
    phonemizer.close()


def test_each_text_gets_its_tied_phonemes(phonemizer):
    assert phonemizer.phonemize(AMERICAN, ["Hello there", "", "go, now"]) == [
        "həlˈo^ʊ ðˈɛ^ɹ",
        "",
        "ɡˈo^ʊ nˈa^ʊ",
    ]


def test_languages_may_change_between_requests(phonemizer):
    assert phonemizer.phonemize("roa/fr", ["bon jour"]) == ["bˈɔ̃ ʒˈuʁ"]
    assert phonemizer.phonemize(AMERICAN, ["chat"]) == ["t^ʃˈæt"]
    assert phonemizer.phonemize("roa/fr", ["chat"]) == ["ʃˈa"]


def test_an_unknown_language_is_refused_and_the_worker_goes_on(phonemizer):
    with pytest.raises(SynthesisError, match="espeak-ng has no voice 'art/none'"):
        phonemizer.phonemize("art/none", ["x"])
    (pid,) = phonemizer.worker_pids()
    assert phonemizer.phonemize(AMERICAN, ["go"]) == ["ɡˈo^ʊ"]
    assert phonemizer.worker_pids() == (pid,)


def test_a_worker_that_died_costs_nothing_but_a_moment(phonemizer):
    (pid,) = phonemizer.worker_pids()
    os.kill(pid, signal.SIGKILL)
    assert phonemizer.phonemize(AMERICAN, ["go"]) == ["ɡˈo^ʊ"]
    assert phonemizer.worker_pids() != (pid,)


def test_a_worker_that_dies_at_work_is_replaced_and_the_text_tried_again(phonemizer):
    (pid,) = phonemizer.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
    killer.start()
    assert phonemizer.phonemize(AMERICAN, ["go"]) == ["ɡˈo^ʊ"]
    killer.join()


def test_a_worker_that_hangs_is_a_timeout_and_is_replaced(phonemizer):
    (pid,) = phonemizer.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EngineTimeout, match=r"no phonemes for 0.5 s .*is replaced"):
        phonemizer.phonemize(AMERICAN, ["go"])
    wait_until(lambda: state_of(pid) == "gone" and len(phonemizer.worker_pids()) == 1)
    assert phonemizer.phonemize(AMERICAN, ["go"]) == ["ɡˈo^ʊ"]


def test_threads_take_turns(phonemizer):
    results: list[list[str]] = []
    threads = [
        threading.Thread(
            target=lambda: results.extend(phonemizer.phonemize(AMERICAN, ["go"]) for _ in range(50))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [["ɡˈo^ʊ"]] * 200


def test_a_closed_one_refuses(phonemizer):
    phonemizer.close()
    with pytest.raises(SynthesisError, match="closed"):
        phonemizer.phonemize(AMERICAN, ["go"])
