"""Style tables: the published forms, damage, mixing."""

from pathlib import Path

import numpy as np
import pytest

from gateway.engine.kokoro.voices import TABLE_BYTES, Voices
from gateway.errors import InvalidValue, SetupError
from tests.engine.kokoro.model_files import table, write_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("voices") / "voices-v1.0.bin")


@pytest.fixture
def voices(archive: Path) -> Voices:
    return Voices.open([archive])


def test_an_archive_holds_many(voices):
    assert voices.names == ("af_heart", "am_adam", "bf_emma", "jf_alpha")
    assert voices.default == "af_heart"


def test_row_n_minus_1_is_for_n_tokens(voices):
    assert voices.style("af_heart", 1).tolist() == table(1)[0].tolist()
    assert voices.style("am_adam", 510).tolist() == table(2)[509].tolist()
    assert voices.style("am_adam", 510).shape == (1, 256)
    assert voices.style("am_adam", 510).dtype == np.float32


@pytest.mark.parametrize("tokens", [0, 511])
def test_there_is_no_row_for_no_token_or_too_many(voices, tokens):
    with pytest.raises(AssertionError):
        voices.style("af_heart", tokens)


def test_a_mix_is_the_weighted_sum_of_rows(voices):
    style = voices.style("af_heart*0.25+bf_emma*0.75", 10)
    expected = 0.25 * table(1)[9] + 0.75 * table(3)[9]
    assert np.abs(style - expected).max() < 1e-4


def test_a_single_file_is_named_as_it_is_called(tmp_path):
    table(7).tofile(tmp_path / "af_sky.bin")
    np.save(tmp_path / "Custom.npy", table(8).reshape(510, 256))
    voices = Voices.open([tmp_path / "af_sky.bin", tmp_path / "Custom.npy"])
    assert set(voices.names) == {"af_sky", "custom"}
    assert voices.style("af_sky", 3).tolist() == table(7)[2].tolist()
    assert voices.style("custom", 3).tolist() == table(8)[2].tolist()
    assert voices.default == "af_sky"


def test_half_precision_is_widened(tmp_path):
    np.save(tmp_path / "af_x.npy", table(1).astype(np.float16))
    assert Voices.open([tmp_path / "af_x.npy"]).style("af_x", 2).dtype == np.float32


def test_tables_can_not_be_changed_by_those_who_ask(voices):
    with pytest.raises(ValueError, match="read-only"):
        voices.table("af_heart")[0] = 0


@pytest.mark.parametrize(
    ("name", "spoken", "language", "gender"),
    [
        ("af_heart", "Heart", "en-us", "female"),
        ("am_adam", "Adam", "en-us", "male"),
        ("bm_george", "George", "en-gb", "male"),
        ("ef_dora", "Dora", "es", "female"),
        ("ff_siwis", "Siwis", "fr", "female"),
        ("hm_psi", "Psi", "hi", "male"),
        ("if_sara", "Sara", "it", "female"),
        ("pm_alex", "Alex", "pt-br", "male"),
        ("jm_kumo", "Kumo", "ja", "male"),
        ("zf_xiaobei", "Xiaobei", "zh", "female"),
        ("my_own", "My Own", "en-us", ""),
        ("xf_what", "Xf What", "en-us", ""),
    ],
)
def test_a_name_tells_language_and_gender(tmp_path, name, spoken, language, gender):
    table(1).tofile(tmp_path / f"{name}.bin")
    voice = Voices.open([tmp_path / f"{name}.bin"]).find(name)
    assert (voice.id, voice.name, voice.language, voice.gender, voice.engine) == (
        name,
        spoken,
        language,
        gender,
        "kokoro",
    )


def test_a_mix_speaks_as_the_heaviest_does(voices):
    voice = voices.find("af_heart*3+bf_emma*7")
    assert voice.id == "af_heart*0.3+bf_emma*0.7"
    assert (voice.name, voice.language, voice.gender) == ("Heart and Emma", "en-gb", "female")
    assert voices.find("af_heart+am_adam").gender == ""


def test_only_voices_whose_language_can_be_read_are_listed(voices):
    assert [voice.id for voice in voices.listed()] == ["af_heart", "am_adam", "bf_emma"]


def test_the_first_voice_of_a_language(voices):
    assert voices.for_language("en-gb").id == "bf_emma"
    assert voices.for_language("en-us").id == "af_heart"
    assert voices.for_language("fr") is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("af_hart", "did you mean af_heart"),
        ("emma", "did you mean bf_emma"),
        ("af_heart*0.5+am_adan*0.5", "no Kokoro voice 'am_adan'; did you mean am_adam"),
        ("qqqq", "no Kokoro voice 'qqqq'; list them with: voice-gateway voices"),
    ],
)
def test_an_unknown_voice_is_refused_with_the_nearest(voices, name, hint):
    with pytest.raises(InvalidValue, match=hint) as caught:
        voices.find(name)
    assert caught.value.field == "voice"


def test_opening_reads_no_table(archive, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a table was read")

    monkeypatch.setattr(np, "load", refuse)
    assert len(Voices.open([archive]).names) == 4


def test_a_truncated_archive_is_damaged(archive, tmp_path):
    short = tmp_path / "voices.bin"
    short.write_bytes(archive.read_bytes()[:-100_000])
    with pytest.raises(SetupError, match=r"voices.bin is damaged or cut short .*get it again"):
        Voices.open([short])


def test_a_damaged_table_is_found_when_its_voice_speaks(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[300_000] ^= 0xFF
    (tmp_path / "voices.bin").write_bytes(data)
    voices = Voices.open([tmp_path / "voices.bin"])
    with pytest.raises(SetupError, match=r"voice af_heart in .* is damaged .*get it again"):
        voices.style("af_heart", 5)
    assert voices.style("am_adam", 5).shape == (1, 256)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (table(1)[:300], r"has the shape \[300, 1, 256\] instead of \[510, 1, 256\]"),
        (np.zeros((511, 1, 256), np.float32), "another version of the model"),
        (np.full((510, 1, 256), np.nan, np.float32), "values that are no numbers"),
        (np.zeros((510, 1, 256), np.int32), "holds int32, not floating-point"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, array, message):
    np.save(tmp_path / "af_x.npy", array)
    with pytest.raises(SetupError, match=message):
        Voices.open([tmp_path / "af_x.npy"]).table("af_x")


def test_a_raw_table_of_another_size_is_refused(tmp_path):
    (tmp_path / "af_x.bin").write_bytes(bytes(TABLE_BYTES - 4))
    with pytest.raises(SetupError, match=r"has 522236 bytes and is no voice.*522240"):
        Voices.open([tmp_path / "af_x.bin"])


def test_a_table_cut_short_after_opening_is_damaged(tmp_path):
    table(1).tofile(tmp_path / "af_x.bin")
    np.save(tmp_path / "af_y.npy", table(1))
    voices = Voices.open([tmp_path / "af_x.bin", tmp_path / "af_y.npy"])
    for name in ("af_x.bin", "af_y.npy"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:1000])
        with pytest.raises(SetupError, match=f"{name} is damaged"):
            voices.table(name[:4])


def test_files_without_voices_are_named(tmp_path):
    with pytest.raises(SetupError, match=r"cannot read the voices in .*none.bin: No such file"):
        Voices.open([tmp_path / "none.bin"])
    write_archive(tmp_path / "empty.npz", ())
    with pytest.raises(SetupError):
        Voices.open([tmp_path / "empty.npz"])
    with pytest.raises(SetupError, match="there is no voice in no file"):
        Voices.open([])
