"""Voices made of others: ``af_heart*0.7+am_adam*0.3``.

    mix  = term { "+" term }          a space stands for "+", which is what URLs make of it
    term = name [ "*" weight ]        without a weight: 1

Weights are taken as given and divided by their sum, so ``a*7+b*3`` and ``a*0.7+b*0.3`` are the same
voice, and ``a+b`` is half and half.  They are rounded to hundredths of the whole.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gateway.errors import InvalidValue

TERMS_MAX = 8
"""Each costs one row of 256 numbers an utterance; more than a few voices are a blur anyway."""

EXPRESSION_CHARS_MAX = 200

_SEPARATOR = re.compile(r"[+\s]+")
_HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class Mix:
    """Names with their shares, in the order given; the shares sum to 1."""

    shares: tuple[tuple[str, float], ...]

    @property
    def id(self) -> str:
        """The canonical expression: the name alone for a single voice."""
        if len(self.shares) == 1:
            return self.shares[0][0]
        return "+".join(f"{name}*{share:g}" for name, share in self.shares)

    @property
    def heaviest(self) -> str:
        """The name with the greatest share, of equal ones the first."""
        return max(self.shares, key=lambda share: share[1])[0]


def parse_mix(expression: str) -> Mix:
    """The mix that ``expression`` means; whether its voices exist is not looked at.

    Raises InvalidValue (``voice``).
    """
    if len(expression) > EXPRESSION_CHARS_MAX:
        raise _invalid(
            f"a mix of {len(expression)} characters is longer than {EXPRESSION_CHARS_MAX}",
            EXPRESSION_CHARS_MAX,
        )
    terms = [term for term in _SEPARATOR.split(re.sub(r"\s*\*\s*", "*", expression)) if term]
    if not terms:
        raise _invalid("it is empty; write a name, or a mix as af_heart*0.7+am_adam*0.3")
    if len(terms) > TERMS_MAX:
        raise _invalid(f"a mix of {len(terms)} voices is more than {TERMS_MAX}", TERMS_MAX)
    weights: dict[str, float] = {}
    for term in terms:
        name, star, weight = term.partition("*")
        if not name:
            raise _invalid(f"{term!r} has no name before the *")
        value = _weight(weight, term) if star else 1.0
        weights[name.lower()] = weights.get(name.lower(), 0.0) + value
    total = sum(weights.values())
    if total <= 0:
        raise _invalid(f"the weights of {expression!r} sum to 0; one must be above")
    return Mix(_rounded({name: value / total for name, value in weights.items()}))


def _weight(text: str, term: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise _invalid(f"the weight of {term!r} should be a number from 0 up")
    return value


def _rounded(shares: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Whole hundredths that still sum to 1, in the same order of size (largest remainder)."""
    hundredths = {name: int(share * _HUNDREDTHS) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: hundredths[name] - shares[name] * _HUNDREDTHS)
    for name in by_remainder[: _HUNDREDTHS - sum(hundredths.values())]:
        hundredths[name] += 1
    return tuple((name, count / _HUNDREDTHS) for name, count in hundredths.items() if count)


def _invalid(message: str, limit: float | None = None) -> InvalidValue:
    return InvalidValue(f"voice: {message}", field="voice", limit=limit)
