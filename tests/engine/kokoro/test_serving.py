"""From a name in ``engine.models`` to the engine that runs it."""

import shutil
from pathlib import Path

import pytest

from gateway.engine.kokoro.engine import KokoroEngine
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.serving import folder_of, model_engine
from gateway.engine.kokoro.whole import WholeEngine
from gateway.errors import SetupError
from gateway.settings import EngineSettings
from tests.engine.kokoro.model_files import write_archive
from tests.engine.kokoro.onnx_bytes import speaking_graph

TINY = Path(__file__).parents[2] / "data" / "kokoro-tiny"


def test_a_split_model_is_windowed_and_a_published_file_spoken_in_one_go(tmp_path):
    (tmp_path / "model.onnx").write_bytes(speaking_graph())
    write_archive(tmp_path / "voices.bin")
    settings = EngineSettings()
    assert isinstance(model_engine(str(TINY), settings, Naming()), KokoroEngine)
    assert isinstance(model_engine(str(tmp_path), settings, Naming()), WholeEngine)


def test_a_name_is_looked_up_among_the_installed_models_first(tmp_path, monkeypatch):
    store, here = tmp_path / "store", tmp_path / "here"
    for place in (store / "ours", here / "ours", here / "theirs"):
        place.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert folder_of("ours", store) == store / "ours"
    assert folder_of("theirs", store) == here / "theirs"
    assert folder_of("./ours", store) == here / "ours"


def test_a_model_that_is_nowhere_is_told_with_those_that_are(tmp_path):
    shutil.copytree(TINY, tmp_path / "tiny")
    settings = EngineSettings(models_dir=tmp_path)
    with pytest.raises(SetupError, match=r"no model 'tony': .*\(installed: tiny\).*models get"):
        model_engine("tony", settings, Naming())


def test_a_damaged_manifest_is_told_before_anything_is_opened(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SetupError, match=r"manifest\.json: "):
        model_engine(f"{tmp_path}/", EngineSettings(), Naming())
