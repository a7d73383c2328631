"""A model's voices under the names that a gateway gives them, and requests read for them.

naming.py has the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.engine.base import Voice
from gateway.engine.kokoro.languages import find_language
from gateway.engine.kokoro.naming import Naming
from gateway.engine.kokoro.reading import Reading
from gateway.engine.kokoro.store import Model
from gateway.engine.kokoro.symbols import TOKENS_MAX
from gateway.engine.kokoro.windows import Floats
from gateway.errors import GatewayError, InvalidValue, SetupError, SynthesisError
from gateway.synthesis import SynthesisRequest

STAND_IN_NOTICE = (
    "a stand-in with random weights: it speaks noise, and its figures are not Kokoro's"
)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request with its voice found, in the parts that the model speaks, and their styles.

    ``voice`` is the name or mix as the model knows it.
    """

    voice: str
    speed: float
    parts: tuple[Reading, ...]
    styles: tuple[Floats, ...]


class Cast:
    """The voices of ``model``; raises SetupError if ``default_voice`` is none of them.

    ``remark`` is added to every voice's description.  Any thread may ask.
    """

    def __init__(
        self, model: Model, naming: Naming, default_voice: str = "", remark: str = ""
    ) -> None:
        self._voices = model.voices
        self._naming = naming
        notice = STAND_IN_NOTICE if model.manifest.stand_in else ""
        self._remarks = tuple(each for each in (notice, remark) if each)
        try:
            self.default = self._found(default_voice or model.voices.default)
        except InvalidValue as error:
            raise SetupError(f"engine.default_voice: {error.message}") from error

    def listed(self) -> tuple[Voice, ...]:
        """The voices to show."""
        return tuple(self._described(voice) for voice in self._voices.listed())

    def find(self, voice: str, language: str) -> Voice:
        """A voice or mix by name, else the first of ``language``, else the default.

        Raises InvalidValue for ``voice`` or ``language``.
        """
        if voice:
            return self._found(voice)
        if not language:
            return self.default
        found = self._voices.for_language(find_language(language).tag)
        if found is None:
            raise InvalidValue(f"language: no voice here speaks {language!r}", field="language")
        return self._described(found)

    def read(
        self, request: SynthesisRequest, read: Callable[[str, str], Reading]
    ) -> ReadRequest | SynthesisError:
        """What the model is given for a request; ``read(spoken, language)`` makes symbols of it."""
        try:
            voice = self.find(request.voice, request.language)
            reading = read(request.chunk.spoken, request.language or voice.language)
            # Marks alone would be spoken as a pause, and the listener be told of no word.
            parts = tuple(reading.split(TOKENS_MAX)) if reading.words else ()
            plain = self._plain(voice.id)
            styles = tuple(self._voices.style(plain, len(part)) for part in parts)
        except SynthesisError as error:
            return error
        except GatewayError as error:
            return SynthesisError(error.message, field=error.field, limit=error.limit)
        return ReadRequest(plain, request.speed, parts, styles)

    def sample(self, tokens: int) -> ReadRequest:
        """A text of so many tokens in the default voice, to try the model with."""
        reading = Reading("a" * tokens, (0,) * tokens, ((0, tokens),))
        voice = self._plain(self.default.id)
        return ReadRequest(voice, 1.0, (reading,), (self._voices.style(voice, tokens),))

    def _found(self, voice: str) -> Voice:
        return self._described(self._voices.find(self._plain(voice)))

    def _plain(self, voice: str) -> str:
        """The name that the model knows."""
        return voice.removeprefix(self._naming.own)

    def _described(self, voice: Voice) -> Voice:
        return replace(
            voice,
            id=f"{self._naming.prefix}{voice.id}",
            engine=self._naming.engine,
            description="; ".join(self._remarks) or voice.description,
        )
