"""Readings: tokens, word times, and cutting what is too long."""

import numpy as np
import pytest

from gateway.engine.kokoro.reading import NONE, Reading
from gateway.errors import SynthesisError
from gateway.synthesis import SpokenWord


def reading(text: str) -> Reading:
    """Each letter its own symbol; words are what spaces and marks separate."""
    word_of: list[int] = []
    words: list[tuple[int, int]] = []
    inside = False
    for place, symbol in enumerate(text):
        if symbol in " .,!?":
            inside = False
            word_of.append(NONE)
            continue
        if not inside:
            words.append((place, place))
        words[-1] = (words[-1][0], place + 1)
        word_of.append(len(words) - 1)
        inside = True
    return Reading(text, tuple(word_of), tuple(words))


def test_the_ids_stand_between_two_boundaries():
    ids = reading("hi.").input_ids()
    assert ids.dtype == np.int64
    assert ids.tolist() == [[0, 50, 51, 4, 0]]


def test_an_empty_text_is_two_boundaries():
    assert Reading("", (), ()).input_ids().tolist() == [[0, 0]]


def test_510_tokens_pass_and_511_are_refused_with_both_numbers():
    assert reading("a" * 510).input_ids().shape == (1, 512)
    with pytest.raises(SynthesisError, match="a chunk of 511 tokens is longer than the 510"):
        reading("a" * 511).input_ids()


def test_words_begin_and_end_with_the_frames_of_their_tokens():
    # boundary 4 frames, "h" 2, "i" 3, "," 5, " " 1, "a" 6, boundary 7; a frame is 1,200 ticks
    words = reading("hi, a").spoken_words([4, 2, 3, 5, 1, 6, 7])
    assert words == (
        SpokenWord(0, 2, 4 * 1200, 9 * 1200),
        SpokenWord(4, 5, 15 * 1200, 21 * 1200),
    )


def test_every_token_and_boundary_needs_a_duration():
    with pytest.raises(AssertionError):
        reading("hi").spoken_words([1, 1, 1])


def texts(parts: list[Reading]) -> list[str]:
    return [part.symbols for part in parts]


def test_a_short_text_is_one_part():
    whole = reading("so it is.")
    assert whole.split(9) == [whole]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("aaa bb. cc dd, ee ff", 14, ["aaa bb.", "cc dd, ee ff"]),
        ("aaa bb, cc dd ee ff", 14, ["aaa bb,", "cc dd ee ff"]),
        ("aaa bb cc dd ee ff", 14, ["aaa bb cc", "dd ee ff"]),
        ("aaa bb cc dd?! ee ff", 16, ["aaa bb cc dd?!", "ee ff"]),
        ("a. bb cc dd ee ff gg", 14, ["a. bb cc", "dd ee ff gg"]),  # "a." would be too short
        ("aaaaaaaaaaaa", 5, ["aaaaa", "aaaaa", "aa"]),
    ],
)
def test_it_is_cut_where_it_is_heard_least(text, limit, parts):
    assert texts(reading(text).split(limit)) == parts


def test_no_token_but_space_is_lost_and_no_part_is_too_long():
    text = "it was so, and no. " * 40
    whole = reading(text)
    parts = whole.split(50)
    assert max(map(len, parts)) <= 50
    assert "".join(texts(parts)).replace(" ", "") == text.replace(" ", "")
    assert tuple(span for part in parts for span in part.words) == whole.words


def test_parts_are_about_even():
    parts = reading("aa bb cc dd " * 50).split(510)
    assert len(parts) == 2
    assert abs(len(parts[0]) - len(parts[1])) < 12


def test_words_of_a_part_keep_their_places_in_the_text():
    first, second = reading("one two. six ten").split(9)
    assert first.words == ((0, 3), (4, 7))
    assert second.words == ((9, 12), (13, 16))
    assert second.word_of == (0, 0, 0, NONE, 1, 1, 1)
    times = second.spoken_words([1] * 9)
    assert [(word.spoken_start, word.start_samples) for word in times] == [(9, 1200), (13, 6000)]
