from gateway.session.events import Heard, Word
from gateway.session.heard import ChunkWords, HeardWords
from gateway.synthesis import Alignment, SpokenWord, TextChunk

# The client wrote "Pay $5 now." from offset 10 on; the engine reads "Pay five dollars now."
CHUNK = TextChunk(
    source="Pay $5 now.",
    source_start=10,
    source_end=21,
    spoken="Pay five dollars now.",
    alignment=(
        Alignment(0, 3, 10, 13),
        Alignment(4, 16, 14, 16),
        Alignment(17, 21, 17, 21),
    ),
)


FIVE, DOLLARS = SpokenWord(4, 8, 9600, 14_400), SpokenWord(9, 16, 14_400, 24_000)


def test_words_are_the_clients_own_and_in_the_contexts_media_time() -> None:
    words = ChunkWords(CHUNK, position_samples=100_000)
    assert words.receive([SpokenWord(0, 3, 0, 9600)], final=True) == (
        Word("Pay", 10, 13, 100_000, 9600),
    )


def test_spoken_words_for_one_run_of_characters_become_one_word() -> None:
    words = ChunkWords(CHUNK, 0)
    assert words.receive([FIVE, DOLLARS], final=True) == (Word("$5", 14, 16, 9600, 14_400),)


def test_they_do_so_also_when_they_are_timed_one_by_one() -> None:
    words = ChunkWords(CHUNK, 0)
    assert words.receive([SpokenWord(0, 3, 0, 9600), FIVE], final=False) == (
        Word("Pay", 10, 13, 0, 9600),
    )
    assert words.receive([DOLLARS], final=False) == ()
    assert words.receive([SpokenWord(17, 21, 24_000, 30_000)], final=False) == (
        Word("$5", 14, 16, 9600, 14_400),
    )
    assert words.receive([], final=True) == (Word("now.", 17, 21, 24_000, 6000),)


def test_a_word_that_stands_for_nothing_of_the_clients_is_left_out() -> None:
    assert ChunkWords(CHUNK, 0).receive([SpokenWord(3, 4, 0, 10)], final=True) == ()


def words_at(*timestamps: int) -> HeardWords:
    heard = HeardWords()
    heard.add(
        Word(f"w{number}", number * 10, number * 10 + 5, timestamp, 4800)
        for number, timestamp in enumerate(timestamps)
    )
    return heard


def test_the_word_that_was_sounding_was_heard() -> None:
    heard = words_at(0, 4800, 9600)
    assert heard.at(5000, "client") == Heard(15, "w1", 5000, "client")


def test_a_word_that_begins_at_the_cut_was_not_heard() -> None:
    assert words_at(0, 4800).at(4800, "model") == Heard(5, "w0", 4800, "model")


def test_before_the_first_word_nothing_was_heard() -> None:
    assert words_at(960).at(960, "model") == Heard(0, "", 960, "model")


def test_old_words_are_forgotten_but_not_where_they_ended() -> None:
    heard = words_at(0, 4800, 50 * 48_000)
    heard.forget_before(45 * 48_000)
    assert heard.at(45 * 48_000, "model") == Heard(15, "", 45 * 48_000, "model")
