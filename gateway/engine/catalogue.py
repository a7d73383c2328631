"""Which voices there are, and which engine speaks them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from cachetools import LRUCache

from gateway.engine.base import Engine, Voice
from gateway.errors import InvalidValue, SetupError

_FOUND_MAX = 1024
"""Voices beyond the listed ones that are remembered: clients may name any number of mixes."""


class Catalogue:
    """The voices of all started engines, those that they list and those that they can find."""

    def __init__(self, engines: Sequence[Engine], default_voice: str = "") -> None:
        self._engines = tuple(engines)
        self._listed = [voice for engine in engines for voice in engine.info.voices]
        if not self._listed:
            raise SetupError(
                "no voice: no engine could be started; install the embedded one with "
                "pip install 'voice-gateway[espeak]', or switch an engine on in the settings"
            )
        self._by_id: dict[str, tuple[Voice, Engine]] = {}
        for engine in engines:
            for voice in engine.info.voices:
                self._by_id.setdefault(voice.id, (voice, engine))
        self._found: LRUCache[str, tuple[Voice, Engine]] = LRUCache(_FOUND_MAX)
        try:
            self._default = self._find(default_voice or engines[0].info.default_voice)
        except InvalidValue as error:
            raise SetupError(
                f"engine.default_voice: {error.message}", field="engine.default_voice"
            ) from error

    @property
    def default_voice(self) -> str:
        """The id of the voice that speaks when a client names none."""
        return self._default.id

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices to show, in the order of their engines."""
        return tuple(self._listed)

    def engine_of(self, voice: str) -> Engine:
        """The engine that speaks ``voice``, which must have come from ``resolve``."""
        return self._entry(voice)[1]

    def resolve(self, voice: str | None, language: str | None) -> tuple[str, str]:
        """The voice and language to speak with.

        Without a voice, the default one is taken if it speaks the language asked for, else the
        first that does.  Raises InvalidValue for a voice or a language that nobody speaks.
        """
        if voice is not None:
            found = self._find(voice)
        elif language is None:
            found = self._default
        else:
            found = self._find_language(language.lower())
        return found.id, (language or found.language).lower()

    def _find(self, voice: str) -> Voice:
        return self._entry(voice)[0]

    def _entry(self, voice: str) -> tuple[Voice, Engine]:
        known = self._by_id.get(voice) or self._found.get(voice)
        if known is not None:
            return known
        for engine in self._engines:
            try:
                return self._remember(engine.find(voice, ""), engine)
            except InvalidValue:
                continue
        near = difflib.get_close_matches(voice.lower(), self._by_id, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InvalidValue(
            f"voice: there is no voice {voice!r}.{hint} GET /v1/voices lists all.", field="voice"
        )

    def _find_language(self, language: str) -> Voice:
        primary = language.split("-")[0]
        if self._default.language in (language, primary):
            return self._default
        for engine in self._engines:
            try:
                return self._remember(engine.find("", language), engine)[0]
            except InvalidValue:
                continue
        raise InvalidValue(
            f"language: no voice speaks {language!r}; GET /v1/voices lists all", field="language"
        )

    def _remember(self, voice: Voice, engine: Engine) -> tuple[Voice, Engine]:
        known = self._by_id.get(voice.id)
        if known is None:
            known = self._found[voice.id] = (voice, engine)
        return known
