"""A reader for tests: words are spelt, a symbol a letter, so that no espeak-ng is needed."""

import re

from gateway.engine.kokoro.reading import NONE, Reading
from gateway.engine.kokoro.symbols import TOKENS


class SpellingReader:
    """``language`` is of no account; marks that have tokens are kept."""

    def __init__(self) -> None:
        self.running = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running = False

    def read(self, spoken: str, language: str) -> Reading:
        symbols: list[str] = []
        word_of: list[int] = []
        words: list[tuple[int, int]] = []
        for match in re.finditer(r"\w+|[,.!?]| ", spoken):
            text = match.group().lower().replace("g", "ɡ")
            kept = "".join(symbol for symbol in text if symbol in TOKENS)
            is_word = bool(kept) and kept[0].isalpha()
            symbols.append(kept)
            word_of += [len(words) if is_word else NONE] * len(kept)
            if is_word:
                words.append(match.span())
        return Reading("".join(symbols), tuple(word_of), tuple(words))
