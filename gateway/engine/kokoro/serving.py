"""From a name in ``engine.models`` to an engine: which directory it means, and what runs it.

    kokoro-v1.1-fp32          a name in the model store (engine.models_dir), else a directory here
    ./model, /srv/model       a directory: any text with a path separator in it

A model with the four split graphs is planned and rendered in windows (engine.py); one with a whole
graph alone is spoken in one go (whole.py).
"""

from __future__ import annotations

from pathlib import Path

from gateway.engine.base import Engine
from gateway.engine.kokoro.engine import EspeakReader, kokoro_engine
from gateway.engine.kokoro.graphs import ROLES
from gateway.engine.kokoro.manifest import MANIFEST_FILE, read_manifest
from gateway.engine.kokoro.naming import Naming, directory_of, is_path
from gateway.engine.kokoro.store import default_models_dir, model_folders
from gateway.engine.kokoro.whole import WholeEngine
from gateway.errors import SetupError
from gateway.settings import EngineSettings


def model_engine(model: str, settings: EngineSettings, naming: Naming) -> Engine:
    """The engine of a model, not yet started.  Raises SetupError if there is no such model."""
    folder = folder_of(model, settings.models_dir)
    if (folder / MANIFEST_FILE).is_file():
        roles = {graph.role for graph in read_manifest(folder).graphs}
        if set(ROLES) <= roles:
            return kokoro_engine(folder, settings, naming)
    return WholeEngine(folder, EspeakReader(settings), settings.kokoro, naming)


def folder_of(model: str, models_dir: Path | None = None) -> Path:
    """The directory that ``model`` means.

    Raises SetupError that names the installed models if there is none of that name.
    """
    if is_path(model):
        return directory_of(model)
    store = models_dir or default_models_dir()
    for folder in (store / model, directory_of(model)):
        if folder.is_dir():
            return folder
    known = ", ".join(each.name for each in model_folders(store)) or "none"
    raise SetupError(
        f"there is no model {model!r}: no such directory here, nor in {store} (installed: {known});"
        " get one with: voice-gateway models get kokoro"
    )
