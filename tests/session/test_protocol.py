from math import inf

import pytest

from gateway.errors import EngineCrashed
from gateway.session import events
from gateway.session.states import SessionState
from gateway.synthesis import SpokenWord
from tests.session.harness import FRAME, Hand, make_settings


def speaking_hand(text: str = "One short sentence.") -> Hand:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", text), 1.0)
    hand.client(events.End("c"), 1.0)
    return hand


def test_an_accepted_session_says_ready() -> None:
    assert Hand().log == [events.Ready("s", "v")]


def test_start_answers_with_every_default_filled_in() -> None:
    hand = Hand()
    hand.client(events.Start("c", speed=1.5), 1.0)
    assert hand.take_one(events.Started) == events.Started(
        "c", 0, 0, "v", "en-us", 1.5, events.CodecOptions("opus", 24_000, 32_000, 20), 312
    )
    assert hand.session.state is SessionState.ACTIVE


def test_a_sentence_is_requested_played_and_done() -> None:
    hand = speaking_hand()
    synthesize = hand.take_one(events.Synthesize).request
    assert synthesize.chunk.source == "One short sentence."
    assert synthesize.first
    assert synthesize.deadline == pytest.approx(1.15)
    hand.rendered(synthesize.id, 10, now=1.01)
    hand.finished(now=1.01)
    audio = hand.take(events.Audio)
    assert [len(a.payloads) for a in audio] == [3, 3, 3, 1, 1]
    assert [a.sequence_number for a in audio] == [0, 3, 6, 9, 10]
    assert [a.marker for a in audio] == [True, False, False, False, False]
    assert [a.last for a in audio] == [False, False, False, False, True]
    assert hand.take_one(events.Done) == events.Done("c", 0, 10 * FRAME, 11, 19)
    # The listener is still playing, so the context is not forgotten yet.
    assert hand.session.state is SessionState.ACTIVE
    hand.run_until(2.0)
    assert hand.session.state is SessionState.READY
    assert hand.take(events.CloseTrack) == [events.CloseTrack("c", 0)]


def test_the_next_chunk_is_asked_for_only_when_the_first_is_made() -> None:
    hand = speaking_hand("This is the first sentence. This is the second sentence.")
    first = hand.request()
    assert hand.take(events.Synthesize) == []
    hand.rendered(first, 20, now=1.01)
    second = hand.take_one(events.Synthesize).request
    assert second.chunk.source == " This is the second sentence."
    assert not second.first
    assert second.id.chunk == 1
    # It must be there when the 400 ms that were made have sounded; 312 samples are pre-skip.
    assert second.deadline == pytest.approx(1.01 + 0.4 - 312 / 48_000, abs=0.001)


def test_no_chunk_is_asked_for_while_the_listener_has_plenty() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "The first sentence. " + "word " * 20 + "end. "), 1.0)
    hand.rendered(hand.request(), 250, now=1.0)  # 5 s, more than request_ahead_s = 3
    assert hand.take(events.Synthesize) == []
    hand.run_until(2.9)
    assert hand.take(events.Synthesize) == []
    hand.run_until(3.1)
    assert len(hand.take(events.Synthesize)) == 1


def test_audio_is_paced_to_the_target_lead() -> None:
    hand = Hand(make_settings(pacing={"lead_min_s": 0.4, "lead_max_s": 0.4}))
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "One short sentence. "), 1.0)
    hand.rendered(hand.request(), 100, now=1.0)
    burst = sum(len(a.payloads) for a in hand.take(events.Audio))
    assert burst == 18  # 354 ms less the pre-skip; one message more would pass the 400 ms
    hand.run_until(1.5)
    later = sum(len(a.payloads) for a in hand.take(events.Audio))
    assert 24 <= later <= 27  # 0.5 s at 50 frames a second


def test_words_are_told_with_the_chunk_and_as_they_become_known() -> None:
    hand = speaking_hand()
    request = hand.request()
    hand.rendered(request, 5, 1.0, final=False, words=(SpokenWord(0, 3, 0, 4800),))
    hand.rendered(request, 5, 1.0, words=(SpokenWord(4, 9, 4800, 9600),))
    assert hand.take_one(events.ChunkStarted) == events.ChunkStarted(
        "c", 0, 0, "One short sentence.", 0, 19, 0, ()
    )
    assert hand.take_one(events.WordsTimed).words == (
        events.Word("One", 0, 3, 0, 4800),
        events.Word("short", 4, 9, 4800, 4800),
    )


def test_cancel_tells_what_was_heard_and_raises_the_generation() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "One short sentence. "), 1.0)
    request = hand.request()
    spans = ((0, 3, 0, 4800), (4, 9, 4800, 9600), (10, 18, 9600, 19_200))
    words = tuple(SpokenWord(*span) for span in spans)
    hand.rendered(request, 20, 1.0, words=words)
    hand.take(events.Audio)
    hand.client(events.Cancel("c"), 1.15)  # 7,200 samples have sounded
    assert hand.take_one(events.Cancelled) == events.Cancelled(
        "c", 1, events.Heard(9, "short", 7200, "model"), open=True
    )
    assert hand.take(events.CloseTrack) == [events.CloseTrack("c", 0)]
    hand.run_until(3.0)
    assert hand.take(events.Audio) == []


def test_the_clients_own_figure_wins() -> None:
    hand = speaking_hand()
    words = (SpokenWord(0, 3, 0, 4800), SpokenWord(4, 9, 4800, 9600))
    hand.rendered(hand.request(), 20, 1.0, words=words)
    hand.client(events.Cancel("c", played_samples=2000), 1.3)
    heard = hand.take_one(events.Cancelled).heard
    assert heard == events.Heard(3, "One", 2000, "client")


def test_a_cancelled_context_takes_new_text_from_offset_0() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "The first answer. "), 1.0)
    stale = hand.request()
    hand.client(events.Cancel(None), 1.1)
    hand.client(events.Text("c", "The second answer. "), 1.2)
    fresh = hand.take_one(events.Synthesize).request
    assert (fresh.id.generation, fresh.chunk.source_start) == (1, 0)
    hand.rendered(stale, 10, 1.3)
    assert hand.take(events.Audio) == []
    hand.rendered(fresh.id, 10, 1.4)
    audio = hand.take(events.Audio)
    assert {a.generation for a in audio} == {1}
    assert (audio[0].sequence_number, audio[0].marker) == (0, True)


def test_a_context_that_is_cancelled_after_its_end_is_gone() -> None:
    hand = speaking_hand()
    hand.rendered(hand.request(), 100, 1.0)
    hand.client(events.Cancel("c"), 1.1)
    assert not hand.take_one(events.Cancelled).open
    assert hand.session.state is SessionState.READY
    assert hand.session.contexts == ()


def test_a_context_may_be_started_again_while_the_listener_plays_its_last_words() -> None:
    hand = speaking_hand()
    hand.rendered(hand.request(), 5, 1.0)
    hand.finished(1.0)
    hand.take_one(events.Done)
    hand.client(events.Start("c"), 1.01)
    assert [s.context_number for s in hand.take(events.Started)] == [0, 1]
    assert hand.take(events.Failed) == []


def test_flush_speaks_what_is_there_and_ends_the_talkspurt() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "hm"), 1.0)
    assert hand.take(events.Synthesize) == []
    hand.client(events.Flush("c"), 1.0)
    hand.rendered(hand.request(), 5, 1.0)
    hand.finished(1.0)
    assert hand.take(events.Audio)[-1].last
    assert hand.take(events.Done) == []
    hand.client(events.Text("c", "And another sentence. "), 5.0)
    hand.rendered(hand.request(), 5, 5.0)
    audio = hand.take(events.Audio)
    assert audio[0].marker
    assert audio[0].sequence_number == 6


def test_text_that_cannot_be_spoken_ends_without_audio() -> None:
    hand = speaking_hand("... !!! ***")
    assert hand.take(events.Synthesize) == []
    done = hand.take_one(events.Done)
    assert (done.frames, done.duration_samples, done.text_offset) == (0, 0, 11)
    assert hand.session.state is SessionState.READY


def test_a_failed_chunk_is_told_and_the_next_one_is_spoken() -> None:
    hand = speaking_hand("This is the first sentence. This is the second sentence.")
    hand.session.receive_failure(hand.request(), EngineCrashed("it died"), 1.1)
    hand.drain()
    failed = hand.take_one(events.Failed)
    assert (failed.error.code, failed.context, failed.fatal) == ("engine_crashed", "c", False)
    hand.rendered(hand.request(), 5, 1.2)
    hand.finished(1.2)
    assert hand.take_one(events.Done).text_offset == 56


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (events.Text("other", "x"), "'other' is not open"),
        (events.Flush("other"), "'other' is not open"),
        (events.Cancel("other"), "'other' is not open"),
        (events.End("c"), "was ended"),
        (events.Text("c", "more"), "was ended"),
        (events.Start("c"), "is open"),
    ],
)
def test_an_illegal_message_is_answered_and_changes_nothing(
    event: events.ClientEvent, words: str
) -> None:
    hand = speaking_hand()
    hand.client(event, 1.0)
    failed = hand.take_one(events.Failed)
    assert words in failed.error.message
    assert failed.error.code == "protocol_violation"
    assert not failed.fatal
    hand.rendered(hand.request(), 5, 1.0)
    assert hand.take(events.Audio)


def test_the_limit_of_contexts_is_named() -> None:
    hand = Hand(make_settings(limits={"contexts_max": 2}))
    for name in "abc":
        hand.client(events.Start(name), 1.0)
    failed = hand.take_one(events.Failed)
    assert (failed.error.code, failed.error.limit) == ("limit_exceeded", 2)
    assert len(hand.session.contexts) == 2


def test_text_beyond_the_limit_is_refused_whole_and_what_was_taken_is_spoken() -> None:
    hand = Hand(make_settings(limits={"pending_text_chars_max": 1000}))
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "word " * 100), 1.0)
    hand.client(events.Text("c", "word " * 200), 1.0)
    failed = hand.take_one(events.Failed)
    assert (failed.error.field, failed.error.limit) == ("text", 1000)
    assert len(hand.take(events.Synthesize)) == 1


def test_a_report_of_another_generation_or_context_is_no_mistake() -> None:
    hand = speaking_hand()
    hand.client(events.Report("gone", 10), 1.0)
    hand.client(events.Report("c", 10, generation=7), 1.0)
    assert hand.take(events.Failed) == []


def test_a_slow_listener_delays_the_pacing() -> None:
    hand = speaking_hand()
    hand.rendered(hand.request(), 200, now=1.0)
    hand.take(events.Audio)
    hand.client(events.Report("c", 0, generation=0), 1.3)  # it has not even begun
    assert hand.take(events.Audio) == []


def test_a_listener_that_never_gets_on_does_not_hold_its_context_for_ever() -> None:
    hand = speaking_hand()
    hand.rendered(hand.request(), 15, now=1.0)
    hand.finished(now=1.0)
    for tenth in range(10, 120):
        hand.client(events.Report("c", 0), tenth / 10)
    assert hand.session.state is SessionState.READY
    assert hand.session.contexts == ()


def test_a_session_that_starts_nothing_is_closed() -> None:
    hand = Hand()
    hand.run_until(29.9)
    assert hand.take(events.EndSession) == []
    hand.run_until(30.1)
    assert hand.take_one(events.Failed).fatal
    assert hand.take_one(events.EndSession) == events.EndSession(1001, "idle")
    assert hand.session.next_timer(31.0) is None


def test_a_session_is_idle_only_when_it_does_not_speak() -> None:
    hand = Hand(make_settings(limits={"idle_timeout_s": 2.0}))
    hand.client(events.Start("c"), 0.0)
    hand.client(events.Text("c", "One sentence. "), 0.0)
    hand.rendered(hand.request(), 150, now=0.0)  # 3 s
    hand.run_until(4.5)
    assert hand.take(events.EndSession) == []
    hand.run_until(5.5)
    assert hand.take_one(events.EndSession).code == 1001


def test_close_finishes_the_speech_first() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "some words without an end"), 1.0)
    hand.client(events.Close(), 1.0)
    hand.rendered(hand.request(), 10, 1.0)
    hand.finished(1.0)
    assert hand.take(events.EndSession) == []
    hand.run_until(2.0)
    assert hand.take_one(events.EndSession) == events.EndSession(1000, "closed by the client")


def test_a_draining_session_opens_nothing_and_ends_when_quiet() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "A sentence. "), 1.0)
    hand.rendered(hand.request(), 20, 1.0)
    hand.session.receive_drain(1.1)
    hand.drain()
    hand.client(events.Start("d"), 1.1)
    assert hand.take_one(events.Failed).error.code == "draining"
    hand.client(events.Text("c", "And its last words. "), 1.2)
    hand.rendered(hand.request(), 20, 1.2)
    hand.run_until(2.0)
    assert hand.take(events.EndSession) == []
    hand.run_until(4.0)
    hand.finished(4.0)
    hand.run_until(5.0)
    assert hand.take_one(events.EndSession).code == 1012


def test_the_last_words_are_spoken_before_a_drain_ends() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "The tail has no end"), 1.0)
    hand.session.receive_drain(1.1)
    hand.drain()
    hand.run_until(2.5)
    assert hand.take_one(events.Synthesize).request.chunk.source == "The tail has no"
    hand.run_until(4.0)
    assert hand.take(events.EndSession) == []


def test_a_client_may_close_while_the_gateway_drains() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "The tail has no end"), 1.0)
    hand.session.receive_drain(1.1)
    hand.client(events.Close(), 1.2)
    assert hand.take(events.Failed) == []
    request = hand.take_one(events.Synthesize).request
    assert request.chunk.source == "The tail has no end"
    hand.rendered(request.id, 5, 1.3)
    hand.finished(1.3)
    assert hand.take_one(events.Done).text_offset == 19
    hand.run_until(3.0)
    assert hand.take_one(events.EndSession).code == 1012


def test_an_idle_session_drains_at_once() -> None:
    hand = Hand()
    hand.session.receive_drain(1.0)
    hand.drain()
    assert hand.take_one(events.EndSession).code == 1012


def test_a_lost_session_takes_back_what_it_asked_for() -> None:
    hand = speaking_hand()
    hand.session.receive_lost(1.1)
    hand.drain()
    assert hand.take(events.Withdraw) == [events.Withdraw("c", 0)]
    assert hand.take(events.CloseTrack) == [events.CloseTrack("c", 0)]
    assert hand.session.state is SessionState.CLOSED


def test_the_trace_tells_the_story() -> None:
    hand = speaking_hand()
    hand.rendered(hand.request(), 5, 1.01)
    hand.finished(1.01)
    hand.run_until(2.0)
    names = [record.event.value for record in hand.session.trace]
    assert [n for n in names if n not in ("session_state", "text_state", "audio_state")] == [
        "chunk_requested",
        "chunk_started",
        "chunk_finished",
        "first_audio",
    ]
    states = [r.fields["state"] for r in hand.session.trace if r.event == "audio_state"]
    assert states == ["prebuffering", "speaking", "draining", "silent", "done"]


def test_a_context_whose_audio_was_all_sent_makes_room_for_another() -> None:
    hand = Hand(make_settings(limits={"contexts_max": 2}))
    for name in "ab":
        hand.client(events.Start(name, lead_s=inf), 1.0)
    hand.client(events.End("a"), 1.0)  # nothing to say, so all was sent
    hand.client(events.Text("b", "It still speaks. "), 1.0)
    hand.client(events.Start("c"), 1.0)
    assert hand.take(events.Failed) == []
    assert {each.context for each in hand.session.contexts} == {"b", "c"}


def test_a_sign_of_life_keeps_a_session_open() -> None:
    hand = Hand(make_settings(limits={"start_timeout_s": 30}))
    hand.session.receive_sign_of_life(20.0)
    assert hand.session.next_timer(20.0) == 50.0
    hand.session.handle_timer(49.0)
    assert hand.session.outputs() == []
    hand.session.handle_timer(50.0)
    assert any(isinstance(each, events.EndSession) for each in hand.session.outputs())
