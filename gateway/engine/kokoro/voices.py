"""Kokoro's voices: style tables, float32 [510, 1, 256], a row for each number of tokens.

    text of n tokens ──► row n - 1 ──► style [1, 256] ──► the model

They are published in three forms, told apart by their first bytes:

    voices-v1.0.bin      an npz archive: one array a voice, named as the voice
    af_heart.bin         raw little-endian float32, 522,240 bytes; the voice is named as the file
    af_heart.npy         the same with NumPy's header

PyTorch's ``.pt`` files are not read: that takes PyTorch, or unpickling what a stranger wrote.

Opening an archive reads its directory only; a table (0.5 MB) is read when its voice first speaks.
Names are as published: language, gender, name (``af_heart``, ``bm_george``).
"""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.engine.base import Voice
from gateway.engine.kokoro.languages import BY_LETTER, LANGUAGES, Language
from gateway.engine.kokoro.mixing import Mix, parse_mix
from gateway.engine.kokoro.symbols import TOKENS_MAX
from gateway.errors import InvalidValue, SetupError

ENGINE_NAME = "kokoro"
STYLE_SIZE = 256
TABLE_SHAPE = (TOKENS_MAX, 1, STYLE_SIZE)
TABLE_BYTES = 4 * TOKENS_MAX * STYLE_SIZE

BEST_VOICE = "af_heart"
"""The one with the best grade in the published list of voices."""

Table = npt.NDArray[np.float32]
"""A style table, shape [510, 1, 256]."""

_ZIP, _NPY = b"PK\x03\x04", b"\x93NUMPY"
_GENDERS = {"f": "female", "m": "male"}
_UNTOLD = LANGUAGES[0]
"""The language of a voice whose name does not tell it."""


class Voices:
    """All voices of a model; any thread may ask."""

    def __init__(self, loaders: Mapping[str, Callable[[], Table]]) -> None:
        assert loaders
        self._loaders = dict(sorted(loaders.items(), key=lambda item: _listing_order(item[0])))
        self._tables: dict[str, Table] = {}

    @classmethod
    def open(cls, files: Sequence[Path]) -> Voices:
        """The voices of ``files``.  Raises SetupError for a file that holds none, or damaged."""
        loaders: dict[str, Callable[[], Table]] = {}
        for file in files:
            loaders.update(_open(file))
        if not loaders:
            raise SetupError(f"there is no voice in {', '.join(map(str, files)) or 'no file'}")
        return cls(loaders)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the voices, American English first."""
        return tuple(self._loaders)

    @property
    def default(self) -> str:
        """The voice to speak with if nobody names one."""
        return BEST_VOICE if BEST_VOICE in self._loaders else self.names[0]

    def listed(self) -> tuple[Voice, ...]:
        """The voices that can speak: those whose language can be read."""
        readable = (name for name in self._loaders if _language(name).selector)
        return tuple(self._describe(Mix(((name, 1.0),))) for name in readable)

    def find(self, expression: str) -> Voice:
        """The voice that a name or mix means; its ``id`` is the canonical expression.

        Language and name are those of the heaviest.  Raises InvalidValue (``voice``) with the
        nearest names.
        """
        return self._describe(self._mix(expression))

    def for_language(self, tag: str) -> Voice | None:
        """The first voice of a language, as in ``languages.find_language``; None if there is none.

        The default voice comes before others of its language.
        """
        for name in (self.default, *self._loaders):
            if _language(name).tag == tag:
                return self.find(name)
        return None

    def style(self, expression: str, tokens: int) -> Table:
        """Style of a name or mix for a text of ``tokens`` tokens, shape [1, 256].

        Raises InvalidValue for an unknown voice, SetupError for a damaged table.
        """
        assert 1 <= tokens <= TOKENS_MAX, tokens
        mixed = np.zeros((1, STYLE_SIZE), np.float32)
        for name, share in self._mix(expression).shares:
            mixed += np.float32(share) * self.table(name)[tokens - 1]
        return mixed

    def table(self, name: str) -> Table:
        """The whole table of one voice.  Raises SetupError if it is damaged."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self._loaders[name]()
        return table

    def _mix(self, expression: str) -> Mix:
        mix = parse_mix(expression)
        for name, _ in mix.shares:
            if name not in self._loaders:
                raise self._unknown(name)
        return mix

    def _unknown(self, name: str) -> InvalidValue:
        near = difflib.get_close_matches(name, self._loaders, n=3, cutoff=0.5)
        near += [each for each in self._loaders if each.endswith(f"_{name}") and each not in near]
        hint = f"did you mean {' or '.join(near[:3])}? " if near else ""
        return InvalidValue(
            f"voice: there is no Kokoro voice {name!r}; {hint}list them with: voice-gateway voices",
            field="voice",
        )

    def _describe(self, mix: Mix) -> Voice:
        genders = {_gender(name) for name, _ in mix.shares}
        return Voice(
            id=mix.id,
            name=" and ".join(_spoken_name(name) for name, _ in mix.shares),
            language=_language(mix.heaviest).tag,
            engine=ENGINE_NAME,
            gender=genders.pop() if len(genders) == 1 else "",
            description="Kokoro-82M",
        )


def _open(file: Path) -> Iterator[tuple[str, Callable[[], Table]]]:
    """The names in ``file``, each with what loads its table."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
        size = file.stat().st_size
    except OSError as error:
        raise SetupError(f"cannot read the voices in {file}: {error.strerror}") from error
    if start.startswith(_ZIP):
        yield from _open_archive(file)
    elif start.startswith(_NPY):
        yield file.stem.lower(), lambda: _load_npy(file)
    elif size == TABLE_BYTES:
        yield file.stem.lower(), lambda: _load_raw(file)
    else:
        raise SetupError(
            f"{file} has {size} bytes and is no voice: neither an npz archive, nor a .npy file, "
            f"nor raw float32 of {TABLE_BYTES} bytes (510 × 256); it may be cut short, get it again"
        )


def _open_archive(file: Path) -> Iterator[tuple[str, Callable[[], Table]]]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise SetupError(f"{file} is damaged or cut short ({error}); get it again") from error
    for name in names:
        yield name.removesuffix(".npy").lower(), _archive_loader(file, name.removesuffix(".npy"))


def _archive_loader(file: Path, name: str) -> Callable[[], Table]:
    def load() -> Table:
        try:
            with np.load(file, allow_pickle=False) as archive:
                array = archive[name]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SetupError(
                f"voice {name} in {file} is damaged ({error}); get it again"
            ) from error
        return _checked(array, f"voice {name} in {file}")

    return load


def _load_npy(file: Path) -> Table:
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SetupError(f"voice {file} is damaged ({error}); get it again") from error
    return _checked(array, f"voice {file}")


def _load_raw(file: Path) -> Table:
    try:
        array = np.fromfile(file, "<f4").reshape(TABLE_SHAPE)
    except (OSError, ValueError) as error:
        raise SetupError(f"voice {file} is damaged ({error}); get it again") from error
    return _checked(array, f"voice {file}")


def _checked(array: npt.NDArray[np.generic], what: str) -> Table:
    if array.dtype.kind != "f":
        raise SetupError(f"{what} holds {array.dtype}, not floating-point numbers")
    if array.shape not in (TABLE_SHAPE, (TOKENS_MAX, STYLE_SIZE)):
        raise SetupError(
            f"{what} has the shape {list(array.shape)} instead of {list(TABLE_SHAPE)}; "
            "it may belong to another version of the model"
        )
    table = np.ascontiguousarray(array, np.float32).reshape(TABLE_SHAPE)
    if not np.isfinite(table).all():
        raise SetupError(f"{what} holds values that are no numbers; get it again")
    table.flags.writeable = False
    return table


def _language(name: str) -> Language:
    return BY_LETTER.get(name[:1], _UNTOLD) if _is_published_form(name) else _UNTOLD


def _gender(name: str) -> str:
    return _GENDERS[name[1]] if _is_published_form(name) else ""


def _spoken_name(name: str) -> str:
    return (name[3:] if _is_published_form(name) else name).replace("_", " ").title()


def _is_published_form(name: str) -> bool:
    return name[2:3] == "_" and name[0] in BY_LETTER and name[1] in _GENDERS and len(name) > 3


def _listing_order(name: str) -> tuple[int, str]:
    return LANGUAGES.index(_language(name)), name
