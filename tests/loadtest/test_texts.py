from itertools import islice

from gateway.settings import TextSettings
from gateway.text.chunker import Chunker
from loadtest.texts import long_text, opening, sentences


def test_no_two_texts_are_alike() -> None:
    texts = {long_text(seed, 300) for seed in range(300)}

    assert len(texts) == 300


def test_no_two_first_chunks_are_alike() -> None:
    spoken = [opening(seed).chunk.spoken for seed in range(300)]

    assert len(set(spoken)) == 300


def test_a_seed_always_gives_the_same_text() -> None:
    assert long_text(7, 500) == long_text(7, 500)


def test_a_long_text_is_whole_sentences_of_at_least_the_length() -> None:
    text = long_text(3, 1000)

    assert 1000 <= len(text) < 1200
    assert text.endswith(".")


def test_sentences_are_sentences() -> None:
    for sentence in islice(sentences(5), 50):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert sentence.count(".") == 1


def test_what_is_spoken_is_what_was_sent() -> None:
    for seed in range(50):
        chunk = opening(seed).chunk
        assert chunk.spoken.strip() == chunk.source.strip()


def test_the_gateway_speaks_only_when_the_opening_is_complete() -> None:
    for seed in range(50):
        text = opening(seed)
        chunker = Chunker(TextSettings())
        chunker.receive_text(text.before, 0.0)
        assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is None
        chunker.receive_text(text.completing, 0.0)
        assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) == text.chunk
