"""The vocabulary, against the published table."""

import json
from pathlib import Path

from gateway.engine.kokoro.symbols import BOUNDARY, TOKENS, TOKENS_MAX, VOCABULARY_SIZE

PUBLISHED = json.loads(Path(__file__).with_name("published_vocabulary.json").read_text())
"""The "vocab" of config.json as kokoro-onnx 0.6.1 carries it; kokorog2p 0.9.16 has the same."""


def test_every_symbol_has_its_published_id():
    assert dict(TOKENS) == PUBLISHED


def test_there_are_114_symbols_below_178_and_none_is_the_boundary():
    assert len(TOKENS) == 114
    assert max(TOKENS.values()) == 177 == VOCABULARY_SIZE - 1
    assert len(set(TOKENS.values())) == 114
    assert BOUNDARY == 0
    assert BOUNDARY not in TOKENS.values()


def test_the_symbols_and_two_boundaries_fill_the_positions_of_the_model():
    assert TOKENS_MAX + 2 == 512
