"""What the engines of models and their voices are called.

    model                       engine                     its best voice
    kokoro-v1.1-fp32            kokoro-v1.1-fp32           af_heart
    /srv/kokoro-int8/           kokoro-int8                kokoro-int8~af_heart
    ./other/kokoro-int8         kokoro-int8-2              kokoro-int8-2~af_heart

A gateway may serve several models, and most call their best voice ``af_heart``.  Which one a bare
name means should not depend on which model loads faster, so only the first model's voices go by
their own names; the others' ids carry the engine's, whatever voices it has.  "~" may stand in a URL
as it is, and in no voice's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.engine.kokoro.voices import ENGINE_NAME

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Naming:
    """What an engine is called, and what its voices' ids begin with."""

    engine: str = ENGINE_NAME
    prefix: str = ""

    @property
    def own(self) -> str:
        """Before a voice's name it means a voice of this engine, whether or not ids have it."""
        return f"{self.engine}~"


def name_models(models: Iterable[str], taken: Iterable[str]) -> dict[str, Naming]:
    """The naming of each model's engine, as its directory's, made unique by a number.

    A model that is given twice is loaded once.  Only what may stand in a URL is kept of a name.
    """
    used = set(taken)
    namings: dict[str, Naming] = {}
    for model in dict.fromkeys(models):
        stem = directory_of(model).name if is_path(model) else model
        plain = engine = _UNFIT.sub("-", stem).strip("-") or ENGINE_NAME
        number = 2
        while engine in used:
            engine = f"{plain}-{number}"
            number += 1
        used.add(engine)
        namings[model] = Naming(engine, f"{engine}~" if namings else "")
    return namings


def is_path(model: str) -> bool:
    """Whether ``model`` is a directory, not a name in the model store."""
    separators = [each for each in (os.sep, os.altsep) if each]
    return model in (".", "..", "~") or any(each in model for each in separators)


def directory_of(model: str) -> Path:
    """The directory that a path means, absolute; it need not exist."""
    return Path(os.path.abspath(Path(model).expanduser()))
