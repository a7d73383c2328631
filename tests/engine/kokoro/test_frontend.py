"""Text to tokens: with literal phonemes, and with the real espeak-ng."""

import logging
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.engine.espeak_phonemizer import EspeakPhonemizer
from gateway.engine.kokoro.frontend import Frontend
from gateway.engine.kokoro.lexicon import load_lexicons
from gateway.engine.kokoro.reading import NONE
from gateway.errors import InvalidValue, SynthesisError
from gateway.settings import EspeakSettings


@pytest.fixture(scope="module")
def phonemizer() -> Iterator[EspeakPhonemizer]:
    phonemizer = EspeakPhonemizer(EspeakSettings())
    phonemizer.start()
    yield phonemizer
    phonemizer.close()


@pytest.fixture
def frontend(phonemizer: EspeakPhonemizer) -> Frontend:
    return Frontend(phonemizer.phonemize)


def scripted(answers: dict[str, str], asked: list[Sequence[str]] | None = None):
    """espeak with ``answers``; what it was asked is noted in ``asked``."""

    def phonemize(selector: str, texts: Sequence[str]) -> list[str]:
        if asked is not None:
            asked.append(texts)
        return [answers[text.replace("\u00a0", " ")] for text in texts]

    return phonemize


def by_word(frontend: Frontend, spoken: str, language: str) -> list[tuple[str, str]]:
    """Each word of the text with its symbols."""
    reading = frontend.read(spoken, language)
    return [
        (
            spoken[start:end],
            "".join(
                s for s, word in zip(reading.symbols, reading.word_of, strict=True) if word == i
            ),
        )
        for i, (start, end) in enumerate(reading.words)
    ]


# ── with the real espeak-ng ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("language", "spoken", "symbols"),
    [
        ("en-us", "Hello, world.", "həlˈO, wˈɜɹld."),
        ("en-us", "The fire is near the apple!", "ðə fˈIəɹ ɪz nˌɪɹ ði ˈæpᵊl!"),
        ("en-us", "Better judge the little church.", "bˈɛTəɹ ʤˈʌʤ ðə lˈɪTᵊl ʧˈɜɹʧ."),
        ("en-us", "yes—no … maybe?", "jˈɛs—nˈO … mˈAbi?"),
        ("en", "I paid 5%.", "ˌI pˈAd fˈIv pəɹsˈɛnt."),
        ("en-gb", "The goat's hair is near the fire.", "ðə ɡˈQts hˈɛː ɪz nˌɪə ðə fˈIə."),
        ("es", "¿Qué tal, niños?", "kˈe tˈal, nˈiɲos?"),
        ("fr-ca", "Tout le monde est là.", "tu lə mˈɔ̃d ɛ lˈa."),
        ("it", "Ciao, la pizza!", "ʧˈao, la pˈiʦːa!"),
        ("pt", "Olá, coração.", "olˈa, kˌoɾasˈɐ̃ʊ̃."),
        ("hi", "नमस्ते दुनिया।", "nəmˈʌsteː dˈʊnɪjˌaː."),
    ],
)
def test_each_language_is_read_in_the_symbols_of_the_model(frontend, language, spoken, symbols):
    reading = frontend.read(spoken, language)
    assert reading.symbols == symbols
    assert reading.dropped == ""


def test_words_that_espeak_would_fuse_keep_their_own_symbols(frontend):
    assert by_word(frontend, "one of the best in the world, as has been told", "en-us") == [
        ("one", "wˈʌn"),
        ("of", "ʌv"),
        ("the", "ðə"),
        ("best", "bˈɛst"),
        ("in", "ɪn"),
        ("the", "ðə"),
        ("world", "wˈɜɹld"),
        ("as", "æz"),
        ("has", "həz"),
        ("been", "bˌɪn"),
        ("told", "tˈOld"),
    ]


def test_a_word_that_is_read_as_several_keeps_its_span(frontend):
    assert by_word(frontend, "It is 5% off", "en-us")[2] == ("5%", "fˈIv pəɹsˈɛnt")
    assert by_word(frontend, "Il y a 1 000 euros", "fr")[3:] == [
        ("1 000", "mˈil"),
        ("euros", "øʁˈo"),
    ]


def test_french_keeps_its_liaisons(frontend):
    assert by_word(frontend, "les enfants", "fr") == [("les", "lez"), ("enfants", "ɑ̃fˈɑ̃")]


def test_marks_and_spaces_belong_to_no_word(frontend):
    reading = frontend.read("Hi, you.", "en-us")
    owners = [None if word == NONE else word for word in reading.word_of]
    assert reading.symbols == "hˈI, ju."
    assert owners == [0, 0, 0, None, None, 1, 1, None]


def test_reading_is_repeatable(frontend):
    text = "It was the best of times, it was the worst of times."
    readings = {frontend.read(text, "en-us") for _ in range(20)}
    assert len(readings) == 1


@pytest.mark.parametrize("spoken", ["", "  ", "☐", "...", "\x00", "\ud800"])
def test_what_has_no_sound_is_not_an_error(frontend, spoken):
    reading = frontend.read(spoken, "en-us")
    assert reading.input_ids().shape == (1, len(reading) + 2)


def test_titles_before_a_name_do_not_end_a_sentence(frontend):
    assert "." not in frontend.read("Mr. Smith", "en-us").symbols


def test_a_long_text_is_read_whole_and_can_be_split(frontend):
    reading = frontend.read("It goes on and on, and never ends. " * 60, "en-us")
    assert len(reading) > 1500
    with pytest.raises(SynthesisError, match=r"of \d{4} tokens is longer than the 510"):
        reading.input_ids()
    parts = reading.split()
    assert all(part.input_ids().shape[1] <= 512 for part in parts)
    assert all(part.symbols.endswith(".") for part in parts)


def test_a_lexicon_overrides_espeak(phonemizer, tmp_path):
    (tmp_path / "brands.tsv").write_text("Kokoro\tkˈOkəɹO\nNginx\tˈɛnʤənˌɛks\n")
    frontend = Frontend(phonemizer.phonemize, load_lexicons([f"en-us={tmp_path}/brands.tsv"]))
    read = frontend.read("Kokoro's nginx, not Nginx.", "en-us")
    assert read.symbols == "kˈOkəɹOz ˈɛnʤɪn ˌɛks, nˌɑt ˈɛnʤənˌɛks."
    assert "kˈOkəɹOz" not in frontend.read("Kokoro's", "en-gb").symbols


@pytest.fixture(scope="module")
def any_reader(phonemizer: EspeakPhonemizer) -> Frontend:
    return Frontend(phonemizer.phonemize)


@settings(max_examples=150, deadline=None)
@example(spoken="0ºø", language="hi")
@given(
    spoken=st.text(st.characters() | st.sampled_from("aeiou .,'-—5%\u00a0"), max_size=60),
    language=st.sampled_from(["en-us", "en-gb", "fr", "es", "hi"]),
)
def test_any_text_is_read_and_its_words_lie_in_it(any_reader, spoken, language):
    reading = any_reader.read(spoken, language)
    ends = [0, *(place for span in reading.words for place in span), len(spoken)]
    assert ends == sorted(ends)
    owners = [word for word in reading.word_of if word != NONE]
    assert owners == sorted(owners)
    assert set(owners) == set(range(len(reading.words)))
    assert reading.symbols == reading.symbols.strip()
    assert "  " not in reading.symbols
    parts = reading.split(20)
    assert "".join(part.symbols for part in parts).replace(" ", "") == reading.symbols.replace(
        " ", ""
    )


# ── with literal phonemes ──────────────────────────────────────────────────────────────────────


def test_all_clauses_go_to_espeak_at_once():
    asked: list[Sequence[str]] = []
    answers = {"Well": "wˈɛl", "yes sir": "jˈɛs sˌɜː", "no": "nˈo^ʊ"}
    Frontend(scripted(answers, asked)).read("Well, yes sir! no.", "en-us")
    assert asked == [["Well", "yes\u00a0sir", "no"]]


def test_words_are_asked_for_one_by_one_only_where_their_number_differs():
    asked: list[Sequence[str]] = []
    answers = {"5% off": "fˈa^ɪv pɚsˈɛnt ˈɔf", "5%": "fˈa^ɪv pɚsˈɛnt", "off": "ˈɔf", "yes": "jˈɛs"}
    frontend = Frontend(scripted(answers, asked))
    assert by_word(frontend, "yes, 5% off", "en-us") == [
        ("yes", "jˈɛs"),
        ("5%", "fˈIv pəɹsˈɛnt"),
        ("off", "ˈɔf"),
    ]
    assert asked == [["yes", "5%\u00a0off"], ["5%", "off"]]


def test_words_that_can_not_be_told_apart_are_read_alone():
    answers = {"of the 5%": "ʌvðə fˈa^ɪv", "of": "ʌv", "the": "ðə", "5%": "fˈa^ɪv pɚsˈɛnt"}
    assert by_word(Frontend(scripted(answers)), "of the 5%", "en-us") == [
        ("of", "ʌv"),
        ("the", "ðə"),
        ("5%", "fˈIv pəɹsˈɛnt"),
    ]


def test_a_word_without_phonemes_leaves_no_double_space():
    answers = {"a ☐ b": "", "a": "ˈe^ɪ", "☐": "", "b": "bˈiː"}
    reading = Frontend(scripted(answers)).read("a ☐ b", "en-us")
    assert reading.symbols == "ˈA bˈi"
    assert reading.words == ((0, 1), (4, 5))


def test_a_sound_without_a_symbol_is_left_out_counted_and_logged_once(caplog):
    frontend = Frontend(scripted({"click": "kʘlʘɪk"}))
    with caplog.at_level(logging.WARNING):
        first = frontend.read("click", "en-us")
        second = frontend.read("click", "en-us")
    assert (first.symbols, first.dropped) == ("klɪk", "ʘʘ")
    assert second == first
    assert len(caplog.records) == 1
    assert "no symbol for 'ʘ' (U+0298) (American English); 2 left out" in caplog.messages[0]


def test_a_sound_without_a_symbol_is_an_error_if_the_setting_says_so():
    frontend = Frontend(scripted({"click": "kʘ"}), unreadable="error")
    with pytest.raises(SynthesisError, match=r"no symbol for 'ʘ' \(U\+0298\).*=drop"):
        frontend.read("click", "en-us")


@pytest.mark.parametrize(
    ("language", "message"),
    [
        (
            "de",
            "language: Kokoro does not speak 'de'; it speaks en-us, en-gb, es, fr, hi, it, pt-br",
        ),
        ("", "Kokoro does not speak ''"),
        ("ja", "Japanese voices need a front end of their own"),
        ("zh-cn", "Mandarin voices need a front end of their own"),
    ],
)
def test_a_language_that_can_not_be_read_is_refused(language, message):
    with pytest.raises(InvalidValue, match=message) as caught:
        Frontend(scripted({})).read("x", language)
    assert caught.value.field == "language"
