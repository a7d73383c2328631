"""Which voices there are, and which engine speaks them.  Pure; it grows while engines load.

    order of the settings     real  (loading)    stand-in  (ready)    espeak  (ready)
    a voice by its name       the first that has it; one that loads may have it: try again later
    no voice, or a language   the best that is ready: real models, then espeak, then stand-ins

A name means the same voice whichever engine is faster, because an engine is never passed over for a
later one while it loads.  Who names no voice is spoken to at once, by the best voice there is.  If
the settings name the default voice, nobody is spoken to before that one can.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from cachetools import LRUCache

from gateway.engine.base import Engine, Voice
from gateway.errors import InvalidValue, SetupError, Unavailable

_FOUND_MAX = 1024
"""Voices beyond the listed ones that are remembered: clients may name any number of mixes."""

RETRY_AFTER_S = 1.0
"""When to ask again for a voice that loads."""


class Catalogue:
    """The voices of the engines called ``names``, which join by ``add`` when they have started."""

    def __init__(self, names: Sequence[str], default_voice: str = "") -> None:
        self._engines: dict[str, Engine | None] = dict.fromkeys(names)
        self._wanted = default_voice
        self._by_id: dict[str, tuple[Voice, Engine]] = {}
        self._found: LRUCache[str, tuple[Voice, Engine]] = LRUCache(_FOUND_MAX)
        self._default: Voice | None = None

    @classmethod
    def of(cls, engines: Mapping[str, Engine], default_voice: str = "") -> Catalogue:
        """The voices of engines that have started; raises SetupError if there is none."""
        catalogue = cls(list(engines), default_voice)
        for name, engine in engines.items():
            catalogue.add(name, engine)
        catalogue.check()
        return catalogue

    def add(self, name: str, engine: Engine) -> None:
        """The engine has started."""
        assert name in self._engines, name
        self._engines[name] = engine
        for voice in engine.info.voices:
            self._by_id.setdefault(voice.id, (voice, engine))
        self._choose()

    def give_up(self, name: str) -> None:
        """The engine will not start."""
        del self._engines[name]
        self._choose()

    def check(self) -> None:
        """Raises SetupError if no engine is loading any more and there is no default voice."""
        if self._default is not None or self.loading:
            return
        if not self._by_id:
            raise SetupError(
                "no voice: no engine could be started; install the embedded one with "
                "pip install 'voice-gateway[espeak]', or switch an engine on in the settings"
            )
        try:
            self._find(self._wanted)
        except InvalidValue as error:
            raise SetupError(
                f"engine.default_voice: {error.message}", field="engine.default_voice"
            ) from error

    @property
    def loading(self) -> tuple[str, ...]:
        """The engines that have not started yet."""
        return tuple(name for name, engine in self._engines.items() if engine is None)

    @property
    def usable(self) -> bool:
        """Whether there is a default voice, so that sessions can be served."""
        return self._default is not None

    @property
    def default_voice(self) -> str:
        """The id of the voice that speaks when a client names none; there must be one."""
        assert self._default is not None
        return self._default.id

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices to show, in the order of their engines."""
        return tuple(
            voice
            for engine in self._ready()
            for voice in engine.info.voices
            if self._owns(engine, voice)
        )

    def engine_of(self, voice: str) -> Engine:
        """The engine that speaks ``voice``, which must have come from ``resolve``."""
        return self._entry(voice)[1]

    def resolve(self, voice: str | None, language: str | None) -> tuple[str, str]:
        """The voice and language to speak with.

        Without a voice, the default one is taken if it speaks the language asked for, else the
        first that does.  Raises InvalidValue for a voice or a language that nobody speaks, and
        Unavailable while an engine that may speak it is loading.
        """
        if voice is not None:
            found = self._find(voice)
        elif language is None:
            assert self._default is not None
            found = self._default
        else:
            found = self._find_language(language.lower())
        return found.id, (language or found.language).lower()

    # ── parts of these ─────────────────────────────────────────────────────────────────────────

    def _ready(self) -> list[Engine]:
        return [engine for engine in self._engines.values() if engine is not None]

    def _preferred(self) -> list[Engine]:
        """Those that are ready, stand-ins last."""
        return sorted(self._ready(), key=lambda engine: engine.info.stand_in)

    def _choose(self) -> None:
        """The default voice, which may change as better engines come."""
        try:
            if self._wanted:
                self._default = self._find(self._wanted)
            elif engines := self._preferred():
                best = engines[0].find(engines[0].info.default_voice, "")
                self._default = self._remember(best, engines[0])[0]
        except (InvalidValue, Unavailable):
            self._default = None

    def _owns(self, engine: Engine, voice: Voice) -> bool:
        return self._by_id[voice.id][1] is engine

    def _find(self, voice: str) -> Voice:
        return self._entry(voice)[0]

    def _entry(self, voice: str) -> tuple[Voice, Engine]:
        known = self._by_id.get(voice) or self._found.get(voice)
        if known is not None:
            return known
        for name, engine in self._engines.items():
            if engine is None:
                raise _later(f"voice: {voice!r} may be a voice of {name}, which is", "voice")
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
        if self._default is not None and self._default.language in (language, primary):
            return self._default
        for engine in self._preferred():
            try:
                return self._remember(engine.find("", language), engine)[0]
            except InvalidValue:
                continue
        if self.loading:
            names = ", ".join(self.loading)
            raise _later(f"language: no voice speaks {language!r} yet; {names} is", "language")
        raise InvalidValue(
            f"language: no voice speaks {language!r}; GET /v1/voices lists all", field="language"
        )

    def _remember(self, voice: Voice, engine: Engine) -> tuple[Voice, Engine]:
        known = self._by_id.get(voice.id)
        if known is None:
            known = self._found[voice.id] = (voice, engine)
        return known


def _later(what: str, field: str) -> Unavailable:
    return Unavailable(
        f"{what} still loading; try again in {RETRY_AFTER_S:g} s",
        field=field,
        retry_after_s=RETRY_AFTER_S,
    )
