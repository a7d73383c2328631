"""Names of voices, with a short list in espeak's form."""

import re

import pytest

from gateway.engine.espeak_voices import VoiceTable
from gateway.errors import InvalidValue

LISTING = "\n".join(
    "\t".join(fields)
    for fields in [
        ("Chinese (Mandarin)", "sit/cmn", "1", "5=cmn", "5=zh-cmn", "5=zh"),
        ("English (Great Britain)", "gmw/en", "1", "2=en-gb", "2=en"),
        ("English (Received Pronunciation)", "gmw/en-GB-x-rp", "1", "5=en-gb-x-rp", "4=en-gb"),
        ("English (America)", "gmw/en-US", "1", "2=en-us", "3=en"),
        ("French (Belgium)", "roa/fr-BE", "1", "5=fr-be", "8=fr"),
        ("French (France)", "roa/fr", "1", "5=fr-fr", "5=fr"),
        ("German", "gmw/de", "1", "5=de"),
        ("Chinese (Cantonese)", "sit/yue", "1", "5=yue", "8=zh"),
        ("Chinese (Jyutping)", "sit/yue-Latn-jyutping", "1", "5=yue", "8=zh"),
        ("klatt5", "!v/klatt5", "1", "5=variant"),
        ("female2", "!v/f2", "2", "5=variant"),
        ("Mr_Serious", "!v/Mr serious", "1", "5=variant"),
    ]
)


@pytest.fixture(scope="module")
def table() -> VoiceTable:
    return VoiceTable(LISTING)


def test_english_alone_speaks_with_the_variant_that_is_understood_best(table):
    found = table.resolve("en-us")
    assert found.selector == "gmw/en-US+klatt5"
    assert found.voice.id == "en-us"
    assert found.voice.name == "English (America), Klatt 5"
    assert found.voice.gender == "male"


def test_other_languages_speak_plainly(table):
    assert table.resolve("de").selector == "gmw/de"


@pytest.mark.parametrize(
    ("name", "selector", "voice_id"),
    [
        ("en-us.plain", "gmw/en-US", "en-us.plain"),
        ("en-us.klatt5", "gmw/en-US+klatt5", "en-us"),
        ("en-us+f2", "gmw/en-US+f2", "en-us.f2"),
        ("en-us f2", "gmw/en-US+f2", "en-us.f2"),
        ("EN_US", "gmw/en-US+klatt5", "en-us"),
        ("en", "gmw/en-US+klatt5", "en-us"),
        ("en-gb", "gmw/en+klatt5", "en-gb"),
        ("en-gb-x-rp.plain", "gmw/en-GB-x-rp", "en-gb-x-rp.plain"),
        ("fr", "roa/fr", "fr-fr"),
        ("zh", "sit/cmn", "cmn"),
        ("yue", "sit/yue", "yue"),
        ("yue-latn-jyutping", "sit/yue-Latn-jyutping", "yue-latn-jyutping"),
        ("de.klatt5", "gmw/de+klatt5", "de.klatt5"),
        ("de.plain", "gmw/de", "de"),
        ("de.mr-serious", "gmw/de+Mr serious", "de.mr-serious"),
    ],
)
def test_names_of_a_voice(table, name, selector, voice_id):
    found = table.resolve(name)
    assert (found.selector, found.voice.id) == (selector, voice_id)


def test_an_id_names_itself(table):
    for voice in table.voices:
        assert table.resolve(voice.id).voice == voice


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("en-uss", "did you mean en-us"),
        ("en-us.klat5", "did you mean en-us.klatt5"),
        ("en-us+../../lang/gmw/de", "no voice 'en-us+../../lang/gmw/de'"),
        ("nonsense", "list them with: voice-gateway voices"),
        ("", "no voice ''"),
        ("en-us.", "no voice 'en-us.'"),
    ],
)
def test_an_unknown_voice_is_refused_with_a_hint(table, name, hint):
    with pytest.raises(InvalidValue, match=re.escape(hint)) as caught:
        table.resolve(name)
    assert caught.value.field == "voice"


@pytest.mark.parametrize(
    ("tag", "voice_id"),
    [
        ("de-AT", "de"),
        ("en-AU", "en-us"),
        ("en-gb", "en-gb"),
        ("zh-Hans-CN", "cmn"),
        ("fr", "fr-fr"),
    ],
)
def test_a_language_falls_back_to_the_longest_prefix_known(table, tag, voice_id):
    assert table.for_language(tag).voice.id == voice_id


def test_an_unknown_language_is_refused(table):
    with pytest.raises(InvalidValue, match="no espeak-ng voice speaks 'tlh-x'") as caught:
        table.for_language("tlh-x")
    assert caught.value.field == "language"


def test_ids_are_unique_and_fit_in_a_url(table):
    ids = [voice.id for voice in table.voices]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9.~-]+", voice_id) for voice_id in ids)


def test_of_a_language_the_voice_that_its_bare_tag_means_is_listed_first(table):
    ids = [voice.id for voice in table.voices]
    assert ids.index("en-us") < ids.index("en-gb")
    assert ids.index("fr-fr") < ids.index("fr-be")
    assert ids.index("en-us") < ids.index("en-us.f2")


def test_variants_that_this_espeak_lacks_are_not_listed():
    table = VoiceTable("English (America)\tgmw/en-US\t1\t2=en-us\t3=en")
    assert [voice.id for voice in table.voices] == ["en-us"]
    assert table.resolve("en-us").selector == "gmw/en-US"
