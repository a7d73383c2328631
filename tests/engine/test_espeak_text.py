"""What espeak is given, and what its positions mean."""

import pytest

from gateway.engine.espeak_text import WordSpans, ends_with_pause, prepare


def words(text: str, *positions: int) -> list[str]:
    """The words that marks at ``positions`` make, as SpeechStream joins them."""
    spans = WordSpans(text)
    starts: list[int] = []
    for position in positions:
        start = spans.start_of(position)
        if not starts or start > starts[-1]:
            starts.append(start)
    ends = [*starts[1:], len(text)]
    return [text[a : spans.end_of(a, b)] for a, b in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("title", ["Mr", "Mrs", "Ms", "Dr", "Prof", "St", "vs"])
def test_a_title_loses_the_dot_that_espeak_takes_for_an_end(title):
    assert prepare(f"I met {title}. Jones.") == f"I met {title}  Jones."


@pytest.mark.parametrize(
    "text", ["I met Mr.", "see the Dr.", "He said stammr. Then", "It is No. 5"]
)
def test_other_dots_stay(text):
    assert prepare(text) == text


def test_what_espeak_cannot_read_becomes_space_of_the_same_length():
    assert prepare("a\0b\x01c\x7fd\ud800e\u0085f") == "a b c d e f"


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0\x01", "\u00a0"])
def test_text_of_nothing_but_space_is_empty(text):
    assert prepare(text) == ""


def test_phoneme_and_markup_brackets_are_left_alone():
    assert prepare("[[h@loU]] <b>") == "[[h@loU]] <b>"


@pytest.mark.parametrize("text", ["Yes.", "well,", "why?", "so; ", "wait…", "好。", "no —"])
def test_a_last_punctuation_mark_asks_for_a_pause(text):
    assert ends_with_pause(text)


@pytest.mark.parametrize("text", ["", "and then", 'He said "no."', "(really.)"])
def test_a_plain_word_or_a_closing_quote_does_not(text):
    assert not ends_with_pause(text)


def test_words_leave_punctuation_out():
    assert words("“Hello”, big (world)!", 1, 9, 14) == ["Hello", "big", "world"]


def test_the_words_of_an_expansion_are_one_word():
    assert words("I paid 42 now", 0, 2, 7, 8, 10) == ["I", "paid", "42", "now"]
    assert words("1234567 to", 0, 1, 0, 1, 8) == ["1234567", "to"]


def test_the_expansion_of_a_single_character_is_marked_in_the_gap_behind_it():
    assert words("😀 yes 5", 0, 1, 2, 6, 7) == ["😀", "yes", "5"]


def test_a_mark_in_another_gap_means_the_word_behind_it():
    assert words("vs. etc.", 0, 3) == ["vs", "etc"]


def test_text_without_a_mark_belongs_to_the_word_before_it():
    assert words("one of the best", 0, 4, 11) == ["one", "of the", "best"]


def test_dashes_separate_words():
    assert words("I can't—won't—go.", 0, 2, 8, 14) == ["I", "can't", "won't", "go"]


def test_characters_of_chinese_are_separate_words():
    assert words("今天，很好。", 0, 1, 3, 4) == ["今", "天", "很", "好"]


def test_japanese_words_take_in_the_characters_without_a_mark():
    assert words("世界、元気", 0, 3) == ["世界", "元気"]


def test_symbols_that_are_read_out_are_words():
    assert words("a & b %", 0, 2, 4, 6) == ["a", "&", "b", "%"]


def test_a_mark_of_lone_punctuation_is_a_word_of_its_own():
    assert words("( a", 0, 2) == ["(", "a"]


def test_marks_beyond_the_text_mean_the_last_word():
    assert words("yes ½", 0, 4, 5, 99) == ["yes", "½"]
