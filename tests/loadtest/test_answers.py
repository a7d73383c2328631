import pytest

from gateway.settings import TextSettings
from gateway.text.chunker import Chunker
from loadtest.answers import KINDS, LONG, MEDIUM, SHORT, first_clause_end


def test_a_clause_ends_with_the_character_after_its_punctuation() -> None:
    assert first_clause_end("Yes, of course I will. Right away.") == 23
    assert first_clause_end("At 3.14 it is past noon, sir.") == 25
    assert first_clause_end("no end in sight") == 15


def test_answers_are_varied() -> None:
    everything = [text for kind in KINDS for text in kind]

    assert len(set(everything)) == len(everything) >= 28
    assert max(map(len, SHORT)) < min(map(len, MEDIUM))
    assert max(map(len, MEDIUM)) < min(map(len, LONG))
    assert sum(map(len, everything)) > 5000


@pytest.mark.parametrize("text", [text for kind in KINDS for text in kind])
def test_a_first_clause_is_where_the_gateway_finds_it(text: str) -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text(text[: first_clause_end(text)], 0.0)
    if first_clause_end(text) == len(text):
        chunker.receive_end(0.0)

    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is not None
