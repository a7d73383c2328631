"""Foreign voice names and whose voice they are here.  Pure.

    operator's aliases ─► our own ids ─► names that clients insist on ─► the policy for the unknown

Clients of other services name voices that we do not have.  The operator's table
(``voices.aliases``) goes first, so that it can override everything.  Then come our own ids, then a
table of names that client libraries send unless told otherwise (``aliases.toml``) and Deepgram's
model names, which carry a language (``aura-2-thalia-en``).  What nobody knows is an error, or the
default voice if ``voices.unknown`` says so.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Protocol

from gateway.errors import InvalidValue
from gateway.settings import VoiceSettings

Resolve = Callable[[str | None, str | None], tuple[str, str]]
"""``resolve(voice, language)`` gives ours, or raises InvalidValue."""

_DEEPGRAM_MODEL = re.compile(r"(?:aura|aura-2|flux)-[a-z]+-(?P<language>[a-z]{2}(?:-[a-z]{2})?)")


class KnownVoice(Protocol):
    """One of our own voices; ``gateway.engine.base.Voice`` is one."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def language(self) -> str:
        """BCP 47, lower case."""
        ...

    @property
    def engine(self) -> str:
        """Whose it is."""
        ...

    @property
    def gender(self) -> str:
        """``female``, ``male`` or nothing."""
        ...


@cache
def names_that_clients_insist_on() -> Mapping[str, tuple[str, int]]:
    """Gender of each, in lower case, and its place among those of its table and gender."""
    tables = tomllib.loads(files("gateway").joinpath("aliases.toml").read_text())
    names: dict[str, tuple[str, int]] = {}
    for table in tables.values():
        count = {"female": 0, "male": 0}
        for name, gender in table.items():
            names[name.lower()] = (gender, count[gender])
            count[gender] += 1
    return names


class Aliases:
    """Finds a voice of ours for any name; ``resolve`` and ``listed`` are the catalogue's."""

    def __init__(
        self, settings: VoiceSettings, resolve: Resolve, listed: Callable[[], Sequence[KnownVoice]]
    ) -> None:
        self._table = {name.lower(): voice for name, voice in settings.aliases.items()}
        self._unknown = settings.unknown
        self._resolve = resolve
        self._listed = listed

    def resolve(self, voice: str | None, language: str | None) -> tuple[str, str]:
        """Our voice and the language that it will speak.

        Raises InvalidValue for a language that nobody speaks, and for a voice that nobody knows if
        that is an error here.
        """
        if voice is None:
            return self._resolve(None, language)
        ours = self._table.get(voice.lower())
        if ours is not None:
            return self._resolve(ours, language)
        try:
            return self._resolve(voice, language)
        except InvalidValue as error:
            if error.field != "voice":
                raise
            return self._resolve_foreign(voice, language, error)

    def _resolve_foreign(
        self, voice: str, language: str | None, unknown: InvalidValue
    ) -> tuple[str, str]:
        model = _DEEPGRAM_MODEL.fullmatch(voice.lower())
        if model is not None:
            return self._resolve(None, language or model["language"])
        kind = names_that_clients_insist_on().get(voice.lower())
        if kind is None:
            if self._unknown == "default":
                return self._resolve(None, language)
            raise unknown
        default = self._resolve(None, language)
        return self._of_kind(default[0], *kind) or default[0], default[1]

    def _of_kind(self, default: str, gender: str, place: int) -> str | None:
        """A voice of that gender, of the default one's engine and language."""
        listed = self._listed()
        model = next((voice for voice in listed if voice.id == default), None)
        if model is None:
            return None
        there = [
            voice.id
            for voice in listed
            if (voice.engine, voice.language, voice.gender)
            == (model.engine, model.language, gender)
        ]
        return there[place % len(there)] if there else None
