"""The published vocabulary of Kokoro-82M v1.0: which symbol has which token id.

The table is that of ``config.json`` ("vocab") in hexgrad/Kokoro-82M.  Ids run to 177 (``n_token``
178) with gaps; 114 are in use.  It was compared entry by entry with two packages that carry it:
kokoro-onnx 0.6.1 (``config.json``) and kokorog2p 0.9.16 (``data/kokoro_config.json``).

A symbol is one code point.  Capitals are not letters but sounds that IPA writes with two:

    A eɪ   I aɪ   W aʊ   Y ɔɪ   O oʊ   Q əʊ      S ss   T ɾ (American flap)

A model gets the ids of at most 510 symbols between two boundary tokens: its position table has 512
places.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BOUNDARY = 0
"""The token before the first symbol and behind the last."""

TOKENS_MAX = 510
"""Symbols of one inference, not counting the two boundaries; a voice has as many rows."""

VOCABULARY_SIZE = 178

_RUNS = (
    (1, ";:,.!?"),
    (9, '—…"()“” \u0303ʣʥʦʨᵝꭧAI'),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
)
"""Runs of symbols with consecutive ids: the first id, then the symbols."""

TOKENS: Mapping[str, int] = MappingProxyType(
    {symbol: first + place for first, run in _RUNS for place, symbol in enumerate(run)}
)
"""Token id of each symbol."""
