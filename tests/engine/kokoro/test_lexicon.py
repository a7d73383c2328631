"""The user's pronunciations."""

import json

import pytest

from gateway.engine.kokoro.lexicon import load_lexicons
from gateway.errors import SetupError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def brands(tmp_path):
    text = "# ours\nKokoro\tkˈOkəɹO\n\ncat\tkˈæt\nkiss\tkˈɪs\nbus\tbˈʌs\nUS\tjˌuˈɛs\ndog\tdˈɔg\n"
    return write(tmp_path / "brands.tsv", text)


@pytest.fixture
def american(brands):
    return load_lexicons([f"en-us={brands}"])["en-us"]


@pytest.mark.parametrize(
    ("word", "symbols"),
    [
        ("cat", "kˈæt"),
        ("Cat", "kˈæt"),
        ("CAT", "kˈæt"),
        ("Kokoro", "kˈOkəɹO"),
        ("kokoro", None),
        ("US", "jˌuˈɛs"),
        ("us", None),
        ("mouse", None),
        ("dog", "dˈɔɡ"),  # the letter g stands for ɡ
        ("'cat'", "kˈæt"),
    ],
)
def test_capitals_mean_that_spelling_only(american, word, symbols):
    assert american.find(word) == symbols


@pytest.mark.parametrize(
    ("word", "symbols"),
    [
        ("Kokoro's", "kˈOkəɹOz"),
        ("cat’s", "kˈæts"),
        ("bus's", "bˈʌsᵻz"),
        ("dog's", "dˈɔɡz"),
        ("mouse's", None),
    ],
)
def test_a_possessive_is_made_from_the_word(american, word, symbols):
    assert american.find(word) == symbols


def test_british_possessives_end_in_their_own_vowel(brands):
    assert load_lexicons([f"en-gb={brands}"])["en-gb"].find("kiss's") == "kˈɪsɪz"


def test_english_means_both_kinds_and_other_languages_have_none(brands):
    assert set(load_lexicons([f"en={brands}"])) == {"en-us", "en-gb"}
    assert load_lexicons([]) == {}


def test_other_languages_have_no_possessive(brands):
    assert load_lexicons([f"fr={brands}"])["fr"].find("cat's") is None


def test_toml_and_later_files_win(tmp_path, brands):
    toml = write(tmp_path / "more.toml", 'cat = "ʧˈæt"\n"rock\'n\'roll" = "ɹˈɑk"\n')
    lexicon = load_lexicons([f"en-us={brands}", f"en-us = {toml}"])["en-us"]
    assert lexicon.find("cat") == "ʧˈæt"
    assert lexicon.find("Rock’n’roll") == "ɹˈɑk"
    assert lexicon.find("Kokoro") == "kˈOkəɹO"
    assert len(lexicon) == 7


def test_misakis_dictionaries_are_read_with_their_default_reading(tmp_path):
    words = {"little": "lˈɪɾᵊl", "kitten": "kˈɪʔn", "bass": {"DEFAULT": "bˈAs", "NOUN": "bˈæs"}}
    path = write(tmp_path / "us_gold.json", json.dumps(words))
    lexicon = load_lexicons([f"en-us={path}"])["en-us"]
    assert lexicon.find("bass") == "bˈAs"
    assert lexicon.find("little") == "lˈɪTᵊl"  # the flap as version 1.0 was trained on
    assert lexicon.find("kitten") == "kˈɪtn"


def test_a_colon_is_taken_for_a_length_mark(tmp_path):
    path = write(tmp_path / "a.tsv", "tree\ttɹˈi:\n")
    assert load_lexicons([f"en-gb={path}"])["en-gb"].find("tree") == "tɹˈiː"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "cat kˈæt\n", "a.tsv, line 1: there is no tab"),
        ("a.tsv", "ok\tˈO\ncat\tkʘt\n", r"a.tsv, line 2: Kokoro has no symbol 'ʘ' \(U\+0298\)"),
        ("a.tsv", "cat\tk'æt\n", "U.0027.; write stress as ˈ"),
        ("a.tsv", "cat\t\n", "line 1: the pronunciation is no text"),
        ("a.toml", "cat = 1\n", "word 'cat': the pronunciation is no text"),
        ("a.toml", "cat\n", "a.toml is no valid TOML"),
        ("a.json", "{", "a.json is no valid JSON"),
        ("a.json", "[]", "should be an object of words"),
        ("a.json", '{"bass": {"NOUN": "b"}}', "word 'bass': the pronunciation is no text"),
        ("a.txt", "", "should end in .tsv, .toml, .json"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(SetupError, match=message) as caught:
        load_lexicons([f"en-us={path}"])
    assert caught.value.field == "engine.kokoro.lexicons"


@pytest.mark.parametrize("entry", ["brands.tsv", "tlh=brands.tsv", "=brands.tsv"])
def test_an_entry_needs_a_language(entry):
    with pytest.raises(SetupError, match="should be language=file with a language of en-us"):
        load_lexicons([entry])


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"cannot read .*none.tsv: No such file"):
        load_lexicons([f"en={tmp_path}/none.tsv"])
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match=r"a\.tsv is not UTF-8"):
        load_lexicons([f"en={tmp_path}/a.tsv"])
