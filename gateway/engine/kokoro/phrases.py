"""Sentences in the model's symbols, to calibrate with and to measure on.

They are given in symbols so that export needs no phonemiser; the two groups share no sentence, so
that what is measured is not what was calibrated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.engine.kokoro.symbols import BOUNDARY, TOKENS

CALIBRATION = (
    "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ, ænd ðˈɛn ɪt ɹˈʌnz əwˈA.",
    "jˈɛs, ˌI θˈɪŋk sˌO.",
    "wɪl ju kˈʌm tə ðə stˈAʃən wɪð mˌi æt hˈæf pˈæst sˈɛvən?",
    "ɪn ðə mˈɔɹnɪŋ ðə fˈɔɡ ˈOvəɹ ðə ɹˈɪvəɹ wʌz sˌO θˈɪk ðæt nˈObˌɑdi sˈɔ ðə bˈOts; "
    "wˌi ˈOnli hˈɜɹd ðˈɛm.",
    "stˈɑp!",
)
"""“The quick brown fox…”, “Yes, I think so.”, …: what stand-ins and voice statistics come from."""

HELD_OUT = (
    "ʃˌi ˈOpənd ðə wˈɪndO, lˈʊkt dˈWn æt ðə ɡˈɑɹdən, ænd lˈæft.",
    "ðə nˈɛkst tɹˈAn tə ðə nˈɔɹθ lˈivz fɹʌm plˈætfˌɔɹm nˈIn ɪn ˈAt mˈɪnəts, ænd ɪt "
    "stˈɑps æt ˈɛvəɹi vˈɪlɪʤ ɔn ðə wˈA.",
    "nˈO, ðˈæt ɪz nˌɑt wˌʌt ˌI mˈɛnt.",
)
"""What fidelity is measured on."""


def tokens_of(symbols: str) -> npt.NDArray[np.int64]:
    """Token ids with both boundaries, shape [1, N]."""
    ids = [BOUNDARY, *(TOKENS[symbol] for symbol in symbols), BOUNDARY]
    return np.array([ids], np.int64)
