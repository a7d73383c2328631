import json

import pytest

from gateway.errors import ProtocolViolation
from loadtest.caller import Caller, Wish
from loadtest.outcome import Answer, Fate

from .calls import HEARD, READY, audio, script, started, text, turn


def _sent(caller: Caller) -> list[dict[str, object]]:
    messages = [json.loads(message) for message in caller.outputs]
    caller.outputs.clear()
    return messages


def _until(caller: Caller, now: float) -> None:
    while (due := caller.next_timer()) is not None and due <= now:
        caller.handle_timer(due)


def _connected(caller: Caller) -> None:
    _until(caller, 0.5)
    assert caller.wish is Wish.CONNECT
    caller.wish = None
    caller.connected()
    caller.receive_text(READY, 0.6)


def _only(caller: Caller) -> Answer:
    (answer,) = caller.life().answers
    return answer


def test_tokens_are_sent_when_they_are_due() -> None:
    caller = Caller(script(turn()))
    _connected(caller)

    _until(caller, 1.0)
    assert [message["type"] for message in _sent(caller)] == ["start"]
    _until(caller, 1.55)
    assert [message["text"] for message in _sent(caller)] == ["Good morning,"]
    _until(caller, 1.7)
    assert [message["type"] for message in _sent(caller)] == ["text", "end"]


def test_what_is_due_before_the_session_is_ready_waits_but_keeps_its_time() -> None:
    caller = Caller(script(turn()))
    _until(caller, 2.0)
    assert _sent(caller) == []

    caller.connected()
    caller.receive_text(READY, 3.0)

    assert [m["type"] for m in _sent(caller)] == ["start", "text", "text", "end"]
    caller.receive_text(started(), 3.1)
    caller.receive_audio(audio(0), 3.2)
    caller.receive_audio(audio(1, last=True), 3.2)
    caller.receive_text(text("done", context="turn-1"), 3.3)
    assert _only(caller).clause_s == pytest.approx(1.6)
    assert _only(caller).first_sound_s == pytest.approx(3.2)


def test_an_answer_that_was_sent_whole_is_heard() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    caller.receive_text(
        text("chunk", context="turn-1", start=0, end=13, timestamp=0, words=[]), 1.7
    )
    caller.receive_audio(audio(0), 1.75)
    caller.receive_audio(audio(1, last=True), 1.76)
    _sent(caller)
    _until(caller, 1.76)
    caller.receive_text(text("done", context="turn-1"), 1.77)

    answer = _only(caller)
    assert answer.fate is Fate.HEARD
    assert answer.first_arrival_s == 1.75
    assert answer.received_samples == 1920
    assert answer.silences == ()
    assert len(answer.audio) == 2


def test_a_buffer_that_ran_dry_is_an_underrun() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    caller.receive_audio(audio(0), 2.0)
    caller.receive_audio(audio(1, last=True), 2.12)
    caller.receive_text(text("done", context="turn-1"), 2.13)

    (silence,) = _only(caller).silences
    assert silence.duration_s == pytest.approx(0.1)
    assert silence.excess_s == pytest.approx(0.1)
    assert not silence.text_was_late


def test_reports_say_what_was_played() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    caller.receive_audio(audio(0), 1.74)
    caller.receive_audio(audio(1), 1.74)
    _sent(caller)

    _until(caller, 1.76)

    (report,) = _sent(caller)
    assert report["type"] == "report"
    assert report["played_samples"] == pytest.approx(480, abs=2)


def test_an_interruption_says_how_long_audio_went_on_and_what_was_heard() -> None:
    caller = Caller(script(turn(barge_in_s=1.95)))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    words = [{"timestamp": 0, "end": 4}, {"timestamp": 1200, "end": 13}]
    chunk = text("chunk", context="turn-1", start=0, end=13, timestamp=0, words=words)
    caller.receive_text(chunk, 1.7)
    for sequence in range(3):
        caller.receive_audio(audio(sequence), 1.92)
    _sent(caller)
    _until(caller, 1.95)
    cancel = _sent(caller)[-1]
    assert (cancel["type"], cancel["played_samples"]) == ("cancel", 1440)
    caller.receive_audio(audio(3), 1.96)
    heard = HEARD | {"text_offset": 4, "played_samples": 960}
    caller.receive_text(
        text("cancelled", context="turn-1", generation=1, heard=heard, open=False), 1.97
    )

    answer = _only(caller)
    assert answer.fate is Fate.INTERRUPTED
    assert answer.interruption is not None
    assert answer.interruption.frames_for_s == pytest.approx(0.01)
    assert answer.interruption.audible_for_s == pytest.approx(0.02)
    assert answer.interruption.heard_error_words == 1
    assert answer.interruption.heard_error_samples == 480


def test_an_interrupted_answer_gets_no_more_tokens_and_is_ended() -> None:
    caller = Caller(script(turn(barge_in_s=1.55)))
    _connected(caller)
    _until(caller, 1.52)
    caller.receive_text(started(), 1.53)
    _sent(caller)

    _until(caller, 2.0)

    assert [message["type"] for message in _sent(caller)] == ["cancel", "end"]


def test_a_cut_reconnects_at_once_and_goes_on_with_the_next_turn() -> None:
    caller = Caller(script(turn(), turn(2, at_s=5.0), cuts_s=(2.0,)))
    _connected(caller)
    due = caller.next_timer()
    while due is not None and due < 2.0:
        caller.handle_timer(due)
        due = caller.next_timer()
    caller.handle_timer(2.0)
    assert caller.wish is Wish.CUT
    caller.wish = None
    _until(caller, 2.0)
    assert caller.wish is Wish.CONNECT
    caller.connected()
    caller.receive_text(READY, 2.1)
    _sent(caller)
    _until(caller, 5.0)

    assert [message["context"] for message in _sent(caller)] == ["turn-2"]
    assert _only(caller).fate is Fate.CUT
    assert caller.life().connects == ((0.0, 0.6), (2.0, 2.1))


def test_an_error_fails_its_turn_and_one_without_a_turn_is_noted() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.0)
    caller.receive_text(text("error", code="unknown_voice", context="turn-1"), 1.1)
    caller.receive_text(text("error", code="overloaded"), 1.2)
    caller.receive_text(text("error", code="unknown_context", context="turn-9"), 1.2)

    assert (_only(caller).fate, _only(caller).error) == (Fate.FAILED, "unknown_voice")
    assert caller.life().errors == ("overloaded",)


def test_a_server_that_hangs_up_fails_what_it_was_speaking() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.0)
    caller.disconnected("closed with 1011", 1.2)
    caller.disconnected("no connection: refused", 1.3)

    assert (_only(caller).fate, _only(caller).error) == (Fate.FAILED, "closed with 1011")
    assert caller.life().errors == ("no connection: refused",)


def test_silence_for_five_seconds_is_a_failure_however_the_run_ends() -> None:
    patient, brief = Caller(script(turn())), Caller(script(turn()))
    for caller, end_s in ((patient, 6.7), (brief, 3.0)):
        _connected(caller)
        _until(caller, 2.0)
        caller.finish(end_s)

    assert (_only(patient).fate, _only(patient).error) == (Fate.FAILED, "no audio")
    assert _only(brief).fate is Fate.LEFT


def test_done_without_audio_is_a_failure() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 2.0)
    caller.receive_text(started(), 2.0)
    caller.receive_text(text("done", context="turn-1"), 2.1)

    assert _only(caller).error == "no audio"


def test_a_caller_that_leaves_says_nothing_more() -> None:
    caller = Caller(script(turn(), leave_s=1.2))
    _connected(caller)
    _until(caller, 30.0)

    assert caller.wish is Wish.LEAVE
    assert caller.gone
    assert caller.next_timer() is None
    assert _only(caller).fate is Fate.LEFT


def test_audio_that_does_not_adjoin_is_refused() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    caller.receive_audio(audio(0), 1.7)

    with pytest.raises(ProtocolViolation, match="adjoin"):
        caller.receive_audio(audio(2), 1.8)


def test_a_context_that_the_server_gives_up_has_failed() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 1.7)
    caller.receive_text(started(), 1.7)
    caller.receive_audio(audio(0), 1.7)
    caller.receive_text(
        text("cancelled", context="turn-1", generation=1, heard=HEARD, open=False), 1.8
    )

    assert _only(caller).fate is Fate.FAILED


def test_an_arrival_stamped_before_our_last_act_counts_as_simultaneous() -> None:
    caller = Caller(script(turn()))
    _connected(caller)
    _until(caller, 2.0)
    caller.receive_text(started(), 2.0)
    caller.receive_audio(audio(0), 1.9)
    caller.finish(2.5)

    assert _only(caller).first_arrival_s == 2.0
