"""From espeak-ng's IPA to the symbols that the model was trained on."""

import pytest

from gateway.engine.espeak_frames import PHONEME_TIE
from gateway.engine.kokoro.ipa import TIE, to_symbols, with_tokens
from gateway.engine.kokoro.languages import Accent


def test_the_tie_is_the_one_that_the_worker_writes():
    assert TIE == PHONEME_TIE


@pytest.mark.parametrize(
    ("ipa", "symbols"),
    [
        ("dˈe^ɪ", "dˈA"),
        ("ɡˈo^ʊ", "ɡˈO"),
        ("fˈa^ɪv", "fˈIv"),
        ("bɹˈa^ʊn", "bɹˈWn"),
        ("bˈɔ^ɪ", "bˈY"),
        ("d^ʒˈʌmps", "ʤˈʌmps"),
        ("t^ʃˈɜːt^ʃ", "ʧˈɜɹʧ"),
        ("wˈɜːld", "wˈɜɹld"),
        ("bˈɛɾɚ", "bˈɛTəɹ"),
        ("lˈɪɾə^l", "lˈɪTᵊl"),
        ("bˈʌʔn\u0329", "bˈʌtn"),
        ("fˈa^ɪ^ɚɹ", "fˈIəɹ"),  # misaki's fallback doubles the r here
        ("stˈɔː^ɹ", "stˈɔɹ"),
        ("lˈɑːx", "lˈɑk"),
        ("ɹᵻlˈe^ɪ", "ɹᵻlˈA"),
        ("ɪɾ", "ɪt"),  # a flap only because of the next word
        ("ˈiːt", "ˈit"),
        ("(^f^r)ʒ(^e^n)", "ʒ"),
    ],
)
def test_american(ipa, symbols):
    assert to_symbols(ipa, Accent.AMERICAN) == symbols


@pytest.mark.parametrize(
    ("ipa", "symbols"),
    [
        ("ɡˈə^ʊt", "ɡˈQt"),
        ("hˈe^ə", "hˈɛː"),
        ("hˈe^əɹ", "hˈɛː"),  # an r only because of the next word
        ("nˈi^ə", "nˈɪə"),
        ("nˈɜːs", "nˈɜːs"),
        ("bˈɑːθ", "bˈɑːθ"),
        ("lˈɒt", "lˈɒt"),
        ("wˈɔːtə", "wˈɔːtə"),
    ],
)
def test_british_keeps_lengths(ipa, symbols):
    assert to_symbols(ipa, Accent.BRITISH) == symbols


@pytest.mark.parametrize(
    ("ipa", "symbols"),
    [
        ("pˈit^sːa", "pˈiʦːa"),
        ("t^ʃˈao", "ʧˈao"),
        ("lə-", "lə"),
        ("(^e^n)wiːkˈɛnd(^f^r)", "wiːkˈɛnd"),
        ("kˌoɾasˈɐ̃^ʊ̃", "kˌoɾasˈɐ̃ʊ̃"),
        ("nəmˈʌsteː", "nəmˈʌsteː"),
        ("xwˈeɣan", "xwˈeɣan"),
    ],
)
def test_other_languages_stay_closer_to_ipa(ipa, symbols):
    assert to_symbols(ipa, Accent.OTHER) == symbols


@pytest.mark.parametrize(
    ("word", "ipa", "symbols"),
    [
        ("a", "ɐ", "ɐ"),
        ("A", "ˈe^ɪ", "ˈA"),
        ("An", "ɐn", "ɐn"),
        ("am", "ɐm", "ɐm"),
        ("The", "ðɪ", "ði"),
        ("the", "ðə", "ðə"),
        ("I", "a^ɪ", "ˌI"),
        ("eye", "ˈa^ɪ", "ˈI"),
    ],
)
def test_weak_forms_are_written_as_in_training(word, ipa, symbols):
    assert to_symbols(ipa, Accent.AMERICAN, word) == symbols


def test_letters_with_a_diacritic_are_taken_apart_if_they_have_no_token():
    assert with_tokens("sˈõjs") == ("sˈo\u0303js", "")
    assert with_tokens("ç") == ("ç", "")


def test_what_has_no_token_is_left_out_and_told():
    assert with_tokens("aʘbǃ") == ("ab", "ʘǃ")
