from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from loadtest.answers import LONG
from loadtest.script import Load, Tempo, Token, write_scripts, write_tokens

LOAD = Load(sessions=40, seconds=30.0, ramp_s=5.0)


def test_the_same_seed_writes_the_same_scripts() -> None:
    assert write_scripts(LOAD) == write_scripts(LOAD)
    assert write_scripts(LOAD) != write_scripts(replace(LOAD, seed=2))


def test_all_callers_arrive_within_the_ramp_and_stay() -> None:
    scripts = write_scripts(LOAD)

    assert len(scripts) == 40
    assert all(0 <= script.arrive_s <= 5 for script in scripts)
    assert all(script.leave_s == 35 for script in scripts)
    assert [script.arrive_s for script in scripts] == sorted(s.arrive_s for s in scripts)


def test_callers_who_leave_are_replaced_so_that_their_number_stays() -> None:
    scripts = write_scripts(Load(sessions=200, seconds=300.0, ramp_s=5.0, lifetime_s=20.0))

    for at_s in (60.0, 150.0, 250.0):
        here = sum(script.arrive_s <= at_s < script.leave_s for script in scripts)
        assert 150 <= here <= 250
    assert len(scripts) > 2000


def test_no_two_turns_share_a_speed_unless_the_cache_may_help() -> None:
    turns = [turn for script in write_scripts(LOAD) for turn in script.turns]
    cached = [turn for s in write_scripts(replace(LOAD, cached=True)) for turn in s.turns]

    assert len({turn.speed for turn in turns}) == len(turns) > 40
    assert all(0.97 <= turn.speed <= 1.03 for turn in turns)
    assert {turn.speed for turn in cached} == {1.0}


def test_turns_follow_one_another_at_the_pace_of_speech() -> None:
    for script in write_scripts(replace(LOAD, barge_in_share=0.0)):
        for turn, following in pairwise(script.turns):
            assert following.request_s >= turn.over_s
            assert turn.over_s - turn.tokens[0].at_s >= len(turn.text) / 14.0 - 1e-9


def test_a_clause_is_complete_with_the_token_after_its_punctuation() -> None:
    for script in write_scripts(LOAD):
        for turn in script.turns:
            known = "".join(t.text for t in turn.tokens if t.at_s <= turn.clause_s)
            assert any(mark in known for mark in ",.;:!?")
            assert turn.tokens[0].at_s <= turn.clause_s <= turn.tokens[-1].at_s


def test_cuts_come_as_often_as_asked() -> None:
    scripts = write_scripts(Load(sessions=100, seconds=60.0, ramp_s=1.0, cuts_per_minute=2.0))

    assert 150 <= sum(len(script.cuts_s) for script in scripts) <= 250
    assert all(s.arrive_s < cut < s.leave_s for s in scripts for cut in s.cuts_s)


def test_tokens_are_the_text_at_the_speed_of_the_model() -> None:
    tempo = Tempo(first_token_s=0.4, tokens_per_s=50.0, burst_share=0.3, stall_share=0.0)
    text = " ".join(LONG)
    tokens = write_tokens(text, 10.0, tempo, Random(3))
    written_s = tokens[-1].at_s - tokens[0].at_s

    assert "".join(token.text for token in tokens) == text
    assert len(tokens) / written_s == pytest.approx(50, rel=0.1)
    assert sum(a.at_s == b.at_s for a, b in pairwise(tokens)) > 100


def test_stalls_make_long_pauses() -> None:
    tempo = Tempo(stall_share=0.1, stall_s=2.0)
    tokens = write_tokens(" ".join(LONG), 0.0, tempo, Random(3))

    gaps = [b.at_s - a.at_s for a, b in pairwise(tokens)]
    assert 30 <= sum(gap > 0.5 for gap in gaps) <= 100


def test_a_model_without_delay_writes_at_once() -> None:
    tempo = Tempo(first_token_s=0.0)

    assert write_tokens("Yes.", 2.0, tempo, Random(1)) == (Token(2.0, "Yes."),)
