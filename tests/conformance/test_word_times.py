"""From the client's characters to media time: normaliser, engine, and what the client is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.engine.base import Engine
from gateway.media import to_media_samples
from gateway.session.events import Word
from gateway.session.heard import ChunkWords, HeardWords
from gateway.settings import TextSettings
from gateway.synthesis import Plan, RequestId, SynthesisRequest, TextChunk
from gateway.text.chunker import Chunker
from tests.conformance.test_engines import ENGINES
from tests.engine.speaking import audio, rendered


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = ENGINES[request.param]()
    engine.start()
    yield engine
    engine.close()


def chunks_of(text: str) -> list[TextChunk]:
    chunker = Chunker(TextSettings(), "en-us")
    chunker.receive_text(text, 0.0)
    chunker.receive_end(0.0)
    chunks = []
    while (chunk := chunker.next_chunk(lead_s=0.0, first=not chunks, now=0.0)) is not None:
        chunks.append(chunk)
    return [chunk for chunk in chunks if chunk.spoken]


def told(engine: Engine, text: str) -> list[tuple[int, int, tuple[Word, ...]]]:
    """Of each chunk: where it begins and ends in media time, and its words."""
    position, out = 0, []
    for number, chunk in enumerate(chunks_of(text)):
        request = SynthesisRequest(
            RequestId("s", "c", 0, number), chunk, "", "en-us", 1.0, 0.0, number == 0
        )
        (plan,) = engine.plan([request])
        assert isinstance(plan, Plan)
        renderings = rendered(engine, plan)
        words = ChunkWords(chunk, position)
        spoken = [words.receive(plan.words, final=False)]
        spoken += [words.receive(part.words, final=False) for part in renderings]
        spoken.append(words.receive((), final=True))
        length = to_media_samples(len(audio(renderings)), engine.info.sample_rate)
        if plan.length_samples is not None:
            assert plan.length_samples == length
        out.append((position, position + length, tuple(word for part in spoken for word in part)))
        position += length
    return out


def test_five_dollars_are_the_clients_two_characters(engine: Engine) -> None:
    text = "It costs $5, not $12.50. Dr. Smith paid 3% on May 5th."
    words = [word for _, _, part in told(engine, text) for word in part]
    assert [word.text.strip(".,") for word in words][:3] == ["It", "costs", "$5"]
    five = words[2]
    assert (five.start, text[five.start : five.end].strip(",")) == (9, "$5")
    heard = HeardWords()
    heard.add(words)
    middle = five.timestamp_samples + five.duration_samples // 2
    assert heard.at(middle, "client").word.strip(",") == "$5"
    assert {word.text.strip(".,") for word in words} >= {"$12.50", "Dr", "Smith", "3%", "May 5th"}


PIECES = st.sampled_from(
    ["Hello", "$5", "12:30", "Dr. Smith", "50%", "it's", "3,000", "naïve", "-", "(or", "so)", "1st"]
)
ENDS = st.sampled_from([".", "!", "?", ","])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.lists(PIECES, min_size=1, max_size=8), ENDS), min_size=1, max_size=4))
def test_words_are_in_order_and_inside_their_chunk(
    engine: Engine, sentences: list[tuple[list[str], str]]
) -> None:
    text = " ".join(" ".join(pieces) + end for pieces, end in sentences)
    at, offset = 0, 0
    for begin, end, words in told(engine, text):
        for word in words:
            assert word.text == text[word.start : word.end] != ""
            assert offset <= word.start < word.end
            assert max(at, begin) <= word.timestamp_samples
            assert word.duration_samples >= 0
            at = word.timestamp_samples + word.duration_samples
            assert at <= end
            offset = word.end
