"""Expressions that mix voices."""

import pytest

from gateway.engine.kokoro.mixing import parse_mix
from gateway.errors import InvalidValue


@pytest.mark.parametrize(
    ("expression", "canonical"),
    [
        ("af_heart", "af_heart"),
        (" AF_Heart ", "af_heart"),
        ("af_heart*3", "af_heart"),
        ("af_heart*0.7+am_adam*0.3", "af_heart*0.7+am_adam*0.3"),
        ("af_heart*7 + am_adam*3", "af_heart*0.7+am_adam*0.3"),
        ("af_heart * 0.7 + am_adam * 0.3", "af_heart*0.7+am_adam*0.3"),
        ("af_heart*0.7 am_adam*0.3", "af_heart*0.7+am_adam*0.3"),  # "+" in a URL is a space
        ("a+b", "a*0.5+b*0.5"),
        ("a+b+c", "a*0.34+b*0.33+c*0.33"),
        ("a*1+b*1+a*2", "a*0.75+b*0.25"),
        ("a*0+b", "b"),
        ("a*999+b*1", "a"),
        ("a*1e-3+b*1e-3", "a*0.5+b*0.5"),
    ],
)
def test_weights_are_shares_of_their_sum(expression, canonical):
    assert parse_mix(expression).id == canonical


@pytest.mark.parametrize("expression", ["a+b+c", "a*1+b*2+c*4", "a*0.333+b*0.333+c*0.334"])
def test_the_shares_sum_to_one(expression):
    assert sum(share for _, share in parse_mix(expression).shares) == pytest.approx(1)


def test_a_canonical_expression_means_itself():
    mix = parse_mix("a*1+b*2+c*4")
    assert parse_mix(mix.id) == mix


def test_the_heaviest_of_equals_is_the_first():
    assert parse_mix("a*2+b*5+c*5").heaviest == "b"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "voice: it is empty"),
        ("  + ", "voice: it is empty"),
        ("a*", "the weight of 'a\\*' should be a number from 0 up"),
        ("a*x", "the weight of 'a\\*x'"),
        ("a*-1+b*2", "the weight of 'a\\*-1'"),
        ("a*nan", "the weight of 'a\\*nan'"),
        ("a*inf", "the weight of 'a\\*inf'"),
        ("*2", "has no name before the \\*"),
        ("a*0+b*0", "sum to 0"),
        ("a+b+c+d+e+f+g+h+i", "a mix of 9 voices is more than 8"),
        ("a" * 201, "a mix of 201 characters is longer than 200"),
    ],
)
def test_what_is_wrong_is_said(expression, message):
    with pytest.raises(InvalidValue, match=message) as caught:
        parse_mix(expression)
    assert caught.value.field == "voice"
