"""What holds for every text, every way of splitting it, and every time of pulling."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settings import TextSettings
from gateway.synthesis import TextChunk
from gateway.text.boundaries import LOOK_AHEAD_MAX
from gateway.text.chunker import Chunker
from gateway.text.normalizer import normalize

LANGUAGES = ["en-us", "en-gb", "de", "fr-fr", "cmn", "xx"]
FRAGMENTS = [
    *("Hello world. ", "Dr. Smith ", "e.g. this, ", "3.14 ", "1,000 ", "U.S. Army ", "U.S. The "),
    *("$5.50 ", "No. 5 ", "No. I ", "p.m. ", "J. R. ", "word—word ", "wait... what? ", '"Quote." '),
    *("`a. b` ", "[x. y](http://a.b/c d) ", "<b>x</b> ", "a_b ", "**bold** ", "https://a.b/c?d=e "),
    *("\n", "\n\n", "\r\n", "```py\nx. y\n```\n", "```x` ", "~~~\n", "- item\n", "1. One\n"),
    *("# Head\n", "> q\n", "|a|b|\n", "---\n", "你好，世界。", "１，０", "नमस्ते। ", "كيف؟ "),
    *(
        "😀👨‍👩‍👧 ",
        "🇺🇸",
        "e\u0301",
        "   ",
        "\u00a0",
        "-",
        "*",
        "`",
        "``",
        "[",
        "](",
        "<a ",
        "é",
        "1",
        ".",
    ),
]
PROSE = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
TEXTS = st.one_of(PROSE, ANY_TEXT)
PULLS = st.lists(
    st.sampled_from([(0.0, True), (0.1, False), (1.0, False), (3.0, False)]), min_size=1, max_size=4
)
LIMITS = st.sampled_from([40, 60, 300])


def run(
    text: str,
    cuts: set[int],
    flushes: set[int],
    pulls: list[tuple[float, bool]],
    limit: int,
    *,
    greedy: bool,
) -> list[TextChunk]:
    """Feed ``text`` split at ``cuts``; the n-th chunk is pulled with the n-th of ``pulls``."""
    chunker = Chunker(TextSettings(chunk_chars_max=limit))
    chunks: list[TextChunk] = []

    def pull() -> None:
        while True:
            lead_s, first = pulls[len(chunks) % len(pulls)]
            chunk = chunker.next_chunk(lead_s=lead_s, first=first, now=0.0)
            if chunk is None:
                return
            chunks.append(chunk)

    points = sorted({0, len(text)} | {point for point in cuts | flushes if point < len(text)})
    for start, end in pairwise(points):
        chunker.receive_text(text[start:end], 0.0)
        if greedy:
            pull()
            chunker.next_timer()
        if end in flushes:
            chunker.receive_flush(0.0)
    chunker.receive_end(0.0)
    pull()
    assert chunker.at_end
    assert chunker.at_talkspurt_end
    return chunks


@settings(max_examples=300, deadline=None)
@given(
    TEXTS,
    st.sets(st.integers(1, 300), max_size=12),
    st.sets(st.integers(1, 300), max_size=3),
    PULLS,
    LIMITS,
)
def test_any_split_and_any_time_of_pulling_gives_the_same_chunks(
    text: str, cuts: set[int], flushes: set[int], pulls: list[tuple[float, bool]], limit: int
) -> None:
    every = set(range(len(text)))
    at_end = run(text, set(), flushes, pulls, limit, greedy=False)
    assert run(text, cuts, flushes, pulls, limit, greedy=True) == at_end
    assert run(text, every, flushes, pulls, limit, greedy=True) == at_end
    assert run(text, every, flushes, pulls, limit, greedy=False) == at_end


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sets(st.integers(1, 300), max_size=3), PULLS, LIMITS)
def test_chunks_adjoin_keep_to_the_limit_and_to_the_flushes(
    text: str, flushes: set[int], pulls: list[tuple[float, bool]], limit: int
) -> None:
    position = 0
    for chunk in run(text, set(), flushes, pulls, limit, greedy=False):
        assert chunk.source_start == position
        assert 0 < len(chunk.source) <= limit
        assert chunk.source == text[position : chunk.source_end]
        assert not any(position < flush < chunk.source_end for flush in flushes)
        position = chunk.source_end
    assert position == len(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS, PULLS, LIMITS)
def test_what_is_held_back_is_bounded(
    text: str, pulls: list[tuple[float, bool]], limit: int
) -> None:
    chunker = Chunker(TextSettings(chunk_chars_max=limit))
    lead_s, first = pulls[0]
    for char in text * 10:
        chunker.receive_text(char, 0.0)
        while chunker.next_chunk(lead_s=lead_s, first=first, now=0.0):
            pass
        assert chunker.pending_chars <= limit + LOOK_AHEAD_MAX


@settings(max_examples=200, deadline=None)
@given(TEXTS, PULLS)
def test_a_stall_only_ever_moves_a_cut_to_an_earlier_place(
    text: str, pulls: list[tuple[float, bool]]
) -> None:
    chunker = Chunker(TextSettings())
    sources = []
    lead_s, first = pulls[0]
    for now, char in enumerate(text):
        chunker.receive_text(char, float(now))
        timer = chunker.next_timer()
        assert timer is None or timer == now + 0.5
        if chunk := chunker.next_chunk(lead_s=lead_s, first=first, now=now + 0.5):
            sources.append(chunk.source)
        assert chunker.next_timer() is None or chunk
    chunker.receive_end(0.0)
    while chunk := chunker.next_chunk(lead_s=lead_s, first=first, now=0.0):
        sources.append(chunk.source)
    assert "".join(sources) == text


@settings(max_examples=400, deadline=None)
@given(
    TEXTS,
    st.integers(0, 5),
    st.sampled_from(LANGUAGES),
    st.sampled_from(["skip", "speak"]),
    st.booleans(),
)
def test_every_text_can_be_normalised_and_its_alignment_is_sound(
    source: str, start: int, language: str, code_blocks: str, inside_code: bool
) -> None:
    spoken, alignment = normalize(
        source,
        source_start=start,
        language=language,
        code_blocks=code_blocks,
        inside_code=inside_code,
    )
    spoken_end, source_end = 0, start
    for run in alignment:
        assert spoken_end <= run.spoken_start < run.spoken_end <= len(spoken)
        assert source_end <= run.source_start < run.source_end <= start + len(source)
        assert not any(char.isalnum() for char in spoken[spoken_end : run.spoken_start])
        spoken_end, source_end = run.spoken_end, run.source_end
    assert not any(char.isalnum() for char in spoken[spoken_end:])
    assert "  " not in spoken
    assert spoken == spoken.strip()
