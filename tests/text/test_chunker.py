"""Where text is cut, and when."""

import time
from pathlib import Path

import pytest

from gateway.settings import TextSettings
from gateway.text.chunker import Chunker

DATA = Path(__file__).parent.parent / "data"
SENTENCES = 1.0  # a lead, in seconds, at which whole sentences are cut
PARAGRAPHS = 3.0


def cut(
    text: str,
    *,
    lead_s: float = SENTENCES,
    first: bool = False,
    language: str = "en-us",
    **settings: object,
) -> list[str]:
    """Sources of all chunks of ``text``, pulled with the same arguments throughout."""
    chunker = Chunker(TextSettings.model_validate(settings), language)
    chunker.receive_text(text, 0.0)
    chunker.receive_end(0.0)
    return pull(chunker, lead_s=lead_s, first=first)


def pull(
    chunker: Chunker, *, lead_s: float = SENTENCES, first: bool = False, now: float = 0.0
) -> list[str]:
    sources = []
    while chunk := chunker.next_chunk(lead_s=lead_s, first=first, now=now):
        sources.append(chunk.source)
    return sources


@pytest.mark.parametrize(
    "text",
    [
        "Hello there.| How are you?| Fine!",
        "Really?!| Yes.",
        "It costs 3.14 dollars.| Or 1,000.",
        "Dr. Smith met Mrs. Jones.| They left.",
        "Fruit, e.g. apples, i.e. food.| Good.",
        "The U.S. Army is in the U.S. now.| Yes.",
        "I live in the U.S.| The end.",
        "It is by J. R. R. Tolkien.| Read it.",
        "So did I.| Then we left.",
        "Apples, pears, etc.| They are good.",
        "See No. 5 and Fig. 3 there.| No.| I won't.",
        "Come at 5 p.m. sharp.| Or at 6 p.m.| The door is open.",
        "Go to example.com/a.b?c=d.e now.| Or mail a.b@c.de soon.",
        "Visit example.com.| Thanks.",
        "Use `a. b` here.| Or ``c. `d`. e`` there.",
        'Read [the. docs](http://a.b/c "A. b.") now.| Bye.',
        'An <a title="Hi. There.">anchor</a> here.| Bye.',
        'He said "Stop."| Then he left.',
        "(It rained.)| We stayed.",
        "**Bold end.**| Next.",
        "Well... I don't know.| Hm… no.",
        "Great!| 👍🏽 Next.",
        "Done.👨‍👩‍👧| Next.",
        "At 12:30 it began.| At 1 it ended.",
        "Steps: 1. Open it.| 2. Close it.",
        "She paid $5.| He paid $6.50.",
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str) -> None:
    assert cut(text.replace("|", "")) == text.split("|")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("cmn", "你好，世界。|今天很好！|「是吗？」|他问。"),
        ("cmn", "你好!|我很好.|再见"),
        ("ja", "今日はいい天気ですね。|そうですね。"),
        ("hi", "मैं घर जा रहा हूँ।| तुम कैसे हो?| ठीक।"),
        ("ar", "كيف حالك؟| أنا بخير."),
        ("he", "שלום עולם.| מה שלומך?"),
        ("de", "Am 3. März kam z.B. Hr. Mai.| Er ging."),
        ("de", "Äpfel usw.| Die sind gut."),
        ("fr-fr", "M. Dupont, cf. p. 3, arrive.| Il part."),
        ("pl", "Dnia 3. maja.| Tak."),
        ("hy", "Բարեւ։| Ինչպես ես։"),
    ],
)
def test_sentences_of_other_languages(language: str, text: str) -> None:
    assert cut(text.replace("|", ""), language=language) == text.split("|")


@pytest.mark.parametrize(
    "text",
    [
        "# A heading¦\nIts text goes on¦\n\nNext",
        "- one thing¦\n- another¦\nAnd text",
        "1. First¦\n2. Second",
        "Before:¦\n\n* item",
        "> quoted text\n> goes on¦\n\nafter",
        "> quoted¦\n> # Heading¦\n> text",
        "| a. b | c |¦\n| d | e |",
        "Text¦\n---¦\nMore",
        "Text¦\n--------------------¦\nMore",
        "soft\nwrap goes on.¦ Yes",
        "Windows¦\r\n\r\nlines.¦\r\nMore.",
    ],
)
def test_blocks_of_markdown_are_sentences(text: str) -> None:
    assert cut(text.replace("¦", "")) == text.split("¦")


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("Well, I think so, yes, quite.", ["Well, I think so,", " yes, quite."]),
        ("I went home—she stayed there.", ["I went home—", "she stayed there."]),
        ("I went home -- she stayed there.", ["I went home --", " she stayed there."]),
        ("We have this: apples and more", ["We have this:", " apples and more"]),
        ("First line here\nsecond line here", ["First line here", "\nsecond line here"]),
        ("On March 3, 2025 it rained, then", ["On March 3, 2025 it rained,", " then"]),
        ("From 10 – 20 people came, and", ["From 10 – 20 people came,", " and"]),
        ("Hmm... well now... alright then", ["Hmm... well now...", " alright then"]),
        ("今天的天气非常好啊我们出去，好吗", ["今天的天气非常好啊我们出去，", "好吗"]),
        ("我们一共有１，０００个苹果在这里，好", ["我们一共有１，０００个苹果在这里，", "好"]),
    ],
)
def test_a_first_chunk_ends_with_its_first_clause_of_ten_characters(
    text: str, chunks: list[str]
) -> None:
    assert cut(text, first=True) == chunks


def test_leading_white_space_does_not_count_towards_a_first_chunk() -> None:
    assert cut("       Well, I say, so", first=True) == ["       Well, I say,", " so"]


def test_with_little_lead_sentences_and_longer_clauses_are_cut() -> None:
    assert cut("Yes! It was late, and she was tired of it, so she left.", lead_s=0.2) == [
        "Yes!",
        " It was late, and she was tired of it,",
        " so she left.",
    ]


def test_with_much_lead_short_sentences_are_joined() -> None:
    text = "One is here. Two is here. Three is here. Four is here. Five."
    assert cut(text, lead_s=PARAGRAPHS, joined_chars_min=25) == [
        "One is here. Two is here.",
        " Three is here. Four is here.",
        " Five.",
    ]


def test_a_paragraph_is_never_joined_to_the_next() -> None:
    assert cut("One. Two.\n\nThree. Four.", lead_s=PARAGRAPHS) == ["One. Two.", "\n\nThree. Four."]


def test_a_sentence_that_is_too_long_is_cut_at_its_last_clause() -> None:
    text = "aaaa bbbb, cccc dddd, eeee ffff gggg hhhh iiii"
    assert cut(text, chunk_chars_max=40) == ["aaaa bbbb, cccc dddd,", " eeee ffff gggg hhhh iiii"]


def test_a_clause_that_is_too_long_is_cut_at_white_space() -> None:
    text = "aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj"
    assert cut(text, chunk_chars_max=40) == [
        "aaaa bbbb cccc dddd eeee ffff gggg hhhh",
        " iiii jjjj",
    ]


def test_a_word_that_is_too_long_is_cut_between_grapheme_clusters() -> None:
    family = "👨‍👩‍👧"  # five code points
    assert [len(chunk) for chunk in cut(family * 12, chunk_chars_max=42)] == [40, 20]
    flags = "🇺🇸" * 30
    assert [len(chunk) for chunk in cut(flags, chunk_chars_max=41)] == [40, 20]
    accents = "e\u0301\u0302" * 20
    assert [len(chunk) for chunk in cut(accents, chunk_chars_max=40)] == [39, 21]
    conjunct = "अ" * 38 + "क्ष" * 2
    assert [len(chunk) for chunk in cut(conjunct, chunk_chars_max=40)] == [38, 6]
    jamo = "\u1112\u1161\u11ab" * 20
    assert [len(chunk) for chunk in cut(jamo, chunk_chars_max=40)] == [39, 21]


def test_a_cluster_without_end_is_cut_at_the_limit() -> None:
    assert [len(chunk) for chunk in cut("\u0301" * 100, chunk_chars_max=40)] == [40, 40, 20]


def test_white_space_without_end_is_handed_out() -> None:
    assert [len(chunk) for chunk in cut(" " * 100, chunk_chars_max=40)] == [40, 40, 20]


def test_an_unclosed_span_holds_sentences_back_only_for_a_while() -> None:
    text = "A stray ` mark. " + "word " * 40 + "end. Next."
    assert cut(text)[-2].endswith("end.")
    assert cut("A [stray mark\n\nNext. One.") == ["A [stray mark", "\n\nNext.", " One."]


def test_fenced_code_is_a_chunk_of_its_own_and_is_not_spoken() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("Look:\n```py\na. b\n\n# c\n```\nDone. Bye.", 0.0)
    chunker.receive_end(0.0)
    chunks = []
    while chunk := chunker.next_chunk(lead_s=PARAGRAPHS, first=False, now=0.0):
        chunks.append((chunk.source, chunk.spoken))
    assert chunks == [
        ("Look:", "Look:"),
        ("\n```py\na. b\n\n# c\n```", ""),
        ("\nDone. Bye.", "Done. Bye."),
    ]


def test_code_blocks_one_after_the_other_are_told_apart() -> None:
    text = "```\na\n```\n~~~\nb\n```\n~~~  \nText."
    assert cut(text) == ["```\na\n```", "\n~~~\nb\n```\n~~~  ", "\nText."]


def test_a_code_block_that_never_ends_is_handed_out_in_parts() -> None:
    chunker = Chunker(TextSettings(chunk_chars_max=40, code_blocks="speak"))
    for _ in range(30):
        chunker.receive_text(
            "x = 1\n" if chunker.pending_chars or chunker.text_offset else "```\n", 0.0
        )
        chunks = []
        while chunk := chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0):
            chunks.append(chunk)
        assert chunker.pending_chars <= 41
        assert all(chunk.spoken.startswith("x equals one.") for chunk in chunks)
    chunker.receive_end(0.0)
    assert "".join(pull(chunker)).count("x = 1") <= 7
    assert chunker.at_end


def test_a_line_of_code_that_is_too_long_is_still_code() -> None:
    chunker = Chunker(TextSettings(chunk_chars_max=40))
    chunker.receive_text("```" + "info " * 20 + "\n" + "x" * 100 + "\n```\nText.", 0.0)
    chunker.receive_end(0.0)
    spoken = []
    while chunk := chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0):
        spoken.append(chunk.spoken)
    assert spoken[-1] == "Text."
    assert set(spoken[:-1]) == {""}


def test_backticks_in_one_line_are_no_fence() -> None:
    assert cut("```a. b``` is code. Yes.") == ["```a. b``` is code.", " Yes."]


def test_code_goes_on_behind_a_flush() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("```\na. b", 0.0)
    chunker.receive_flush(0.0)
    chunker.receive_text("\nc. d\n```", 0.0)
    chunker.receive_flush(0.0)
    chunker.receive_text("Text.", 0.0)
    chunker.receive_end(0.0)
    spoken = []
    while chunk := chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0):
        spoken.append((chunk.source, chunk.spoken))
    assert spoken == [("```\na. b", ""), ("\nc. d\n```", ""), ("Text.", "Text.")]


def test_nothing_is_cut_before_a_clause_is_known_to_end() -> None:
    chunker = Chunker(TextSettings())
    for token in ["Hello", " dear", " world", "."]:
        chunker.receive_text(token, 0.0)
        assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is None
    chunker.receive_text(" How", 0.0)
    chunk = chunker.next_chunk(lead_s=0.0, first=True, now=0.0)
    assert chunk is not None
    assert (chunk.source, chunk.source_start, chunk.source_end) == ("Hello dear world.", 0, 17)
    assert chunk.spoken == "Hello dear world."
    assert (chunker.text_offset, chunker.pending_chars) == (17, 4)


def test_an_undecided_place_blocks_later_ones() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("We met in the U.S. Th", 0.0)
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is None
    chunker.receive_text("e", 0.0)
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is None
    chunker.receive_text(" sun, it", 0.0)
    assert pull(chunker, lead_s=0.0, first=True) == ["We met in the U.S."]


def test_an_undecided_place_is_waited_for_although_the_chunk_is_full() -> None:
    text = "Aaaa, bbbb cccc dddd eeee ff in the U.S. They left it there and went on."
    chunker = Chunker(TextSettings(chunk_chars_max=40))
    chunks = []
    for char in text:
        chunker.receive_text(char, 0.0)
        chunks += pull(chunker)
    assert chunks == ["Aaaa, bbbb cccc dddd eeee ff in the U.S."]
    chunker.receive_end(0.0)
    assert chunks + pull(chunker) == cut(text, chunk_chars_max=40)


def test_a_flush_cuts_where_it_stands_and_ends_a_talkspurt() -> None:
    chunker = Chunker(TextSettings())
    assert not chunker.at_talkspurt_end
    chunker.receive_text("One. Two and", 0.0)
    chunker.receive_flush(0.0)
    chunker.receive_flush(0.0)
    chunker.receive_text(" three", 0.0)
    assert chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0).source == "One."
    assert not chunker.at_talkspurt_end
    assert chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0).source == " Two and"
    assert chunker.at_talkspurt_end
    assert chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0) is None
    assert chunker.at_talkspurt_end
    chunker.receive_end(0.0)
    assert not chunker.at_end
    assert chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0).source == " three"
    assert chunker.at_talkspurt_end
    assert chunker.at_end


def test_a_flush_with_nothing_pending_ends_the_talkspurt_at_once() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("One two three. ", 0.0)
    assert pull(chunker) == ["One two three."]
    assert not chunker.at_talkspurt_end
    chunker.receive_flush(0.0)
    assert pull(chunker) == [" "]
    assert chunker.at_talkspurt_end
    chunker.receive_text("More here. x", 0.0)
    assert chunker.at_talkspurt_end
    assert pull(chunker) == ["More here."]
    assert not chunker.at_talkspurt_end


def test_an_end_without_text_is_an_end() -> None:
    chunker = Chunker(TextSettings())
    assert not chunker.at_end
    chunker.receive_text("", 0.0)
    chunker.receive_end(0.0)
    chunker.receive_end(0.0)
    assert chunker.at_end
    assert chunker.at_talkspurt_end
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0) is None
    assert chunker.next_timer() is None
    with pytest.raises(AssertionError):
        chunker.receive_text("late", 0.0)
    with pytest.raises(AssertionError):
        chunker.receive_flush(0.0)


def test_a_new_line_of_markdown_may_begin_behind_a_flush() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("One.", 0.0)
    chunker.receive_flush(0.0)
    chunker.receive_text("# Two", 0.0)
    chunker.receive_end(0.0)
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0).spoken == "One."
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.0).spoken == "Two"


def test_stalled_text_is_cut_behind_its_last_complete_word() -> None:
    chunker = Chunker(TextSettings(stall_timeout_s=0.5))
    chunker.receive_text("I think that", 1.0)
    chunker.receive_text(" the", 2.0)
    assert chunker.next_timer() == 2.5
    assert chunker.next_chunk(lead_s=0.0, first=True, now=2.4) is None
    assert chunker.next_chunk(lead_s=0.0, first=True, now=2.5).source == "I think that"
    assert chunker.next_timer() is None
    assert chunker.next_chunk(lead_s=0.0, first=True, now=9.0) is None
    chunker.receive_text("n ", 9.0)
    assert chunker.next_timer() == 9.5
    assert chunker.next_chunk(lead_s=0.1, first=False, now=9.5).source == " then"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Let me look that up.", "Let me look that up."),
        ('He said "wait!"', 'He said "wait!"'),
        ("One moment—", "One moment—"),
        ("Well...", "Well..."),
        ("It is 3.", "It is"),
        ("I saw Dr. ", "I saw"),
        ("Go to www.example.", "Go to"),
        ("In the U.S.", "In the"),
        ("The cost is $5 ", "The cost is"),
        ("See `a b", "See"),
        ("你好。", "你好。"),
        ("一二三四五", None),
        ("Hel", None),
        ("- ", None),
        ("?! ", None),
        ("```py\nx y z\n", None),
    ],
)
def test_a_stall_never_cuts_inside_a_word_number_name_or_code(
    text: str, source: str | None
) -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text(text, 0.0)
    assert chunker.next_timer() == (None if source is None else 0.5)
    chunk = chunker.next_chunk(lead_s=0.0, first=True, now=0.5)
    assert (chunk and chunk.source) == source


def test_a_stall_is_waited_out_while_the_listener_has_enough_to_hear() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("I think that the", 0.0)
    assert chunker.next_chunk(lead_s=0.6, first=False, now=0.5) is None
    assert chunker.next_timer() is None
    assert chunker.next_chunk(lead_s=0.4, first=False, now=0.7).source == "I think that"


def test_a_mark_behind_a_stalled_end_is_not_spoken_alone() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("Is it up.", 0.0)
    assert chunker.next_chunk(lead_s=0.0, first=True, now=0.5).source == "Is it up."
    chunker.receive_text("?", 1.0)
    assert chunker.next_chunk(lead_s=0.0, first=True, now=2.0) is None


def test_a_long_text_that_is_not_pulled_costs_little_and_sets_no_timer() -> None:
    chunker = Chunker(TextSettings())
    chunker.receive_text("word " * 20_000, 0.0)
    started = time.process_time()
    assert chunker.next_timer() is None
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize("greedy", [True, False])
def test_a_hundred_thousand_tokens_take_linear_time(greedy: bool) -> None:
    text = (DATA / "article.txt").read_text(encoding="utf-8")
    tokens = (text * (100_000 // len(text) + 1))[:100_000]
    chunker = Chunker(TextSettings())
    started = time.process_time()
    for token in tokens:
        chunker.receive_text(token, 0.0)
        if greedy:
            chunker.next_chunk(lead_s=SENTENCES, first=False, now=0.0)
    chunker.receive_end(0.0)
    pull(chunker)
    assert chunker.at_end
    assert time.process_time() - started < 6.0


def test_the_article_is_cut_into_whole_sentences() -> None:
    text = (DATA / "article.txt").read_text(encoding="utf-8")
    chunks = cut(text)
    assert "".join(chunks) == text
    assert chunks[:3] == [
        "The Night Train That Kept Its Promise",
        "\n\nAt 6:40 on the morning of March 3rd, 2025, a sleeper train rolled into the old "
        "station at Port Ellery, eleven minutes early.",
        " Nobody on the platform seemed surprised.",
    ]
    assert all(chunk.strip()[-1:] in '.?!"e' for chunk in chunks[:-1])
    assert len(chunks) == 35


def test_the_answer_of_an_assistant_is_cut_at_its_blocks() -> None:
    text = (DATA / "assistant_answer.md").read_text(encoding="utf-8")
    chunks = cut(text)
    assert "".join(chunks) == text
    assert "\n\n1. `read_text` opens the file, reads it, and closes it." in chunks
    assert "\n| line by line | ~8 KB | 0.7x |" in chunks
    assert any(chunk.startswith("\n\n```python") and chunk.endswith("```") for chunk in chunks)
