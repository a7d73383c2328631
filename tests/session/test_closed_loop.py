"""Reports steer pacing, deadlines and what was heard: the utterance as a whole."""

import pytest

from gateway.session import events
from gateway.synthesis import SpokenWord
from tests.session.harness import Hand

WORDS = tuple(
    SpokenWord(*span) for span in ((0, 3, 0, 4800), (4, 9, 4800, 9600), (10, 18, 9600, 19_200))
)


def speaking_hand() -> Hand:
    """ "One short sentence." sounds from 1.0 on; the open loop knows no way there and back."""
    hand = Hand()
    hand.client(events.Start("c"), 1.0)
    hand.client(events.Text("c", "One short sentence. "), 1.0)
    hand.rendered(hand.request(), 20, 1.0, words=WORDS)
    hand.take(events.Audio)
    return hand


@pytest.mark.parametrize(
    ("played", "word"),
    [(0, ""), (1, "One"), (4800, "One"), (4801, "short"), (9601, "sentence"), (10**9, "sentence")],
)
def test_the_client_says_what_was_heard_to_the_sample(played: int, word: str) -> None:
    hand = speaking_hand()
    hand.client(events.Cancel("c", played), 1.3)
    heard = hand.take_one(events.Cancelled).heard
    assert (heard.word, heard.source) == (word, "client")
    assert heard.played_samples == min(played, 20 * 960 - 312)


def test_what_the_client_says_it_heard_is_not_corrected_for_its_device() -> None:
    hand = speaking_hand()
    hand.client(events.Report("c", 4801, 0, output_latency_samples=4800), 1.2)
    hand.client(events.Cancel("c", 4801), 1.3)
    assert hand.take_one(events.Cancelled).heard.word == "short"


@pytest.mark.parametrize(
    ("cancelled_at", "latency", "word", "played"),
    [
        (1.2000, 0, "One", 4800),
        (1.2001, 0, "short", 4805),
        (1.2001, 4800, "One", 5),
        (1.2990, 4800, "One", 4752),
        (1.3001, 4800, "short", 4805),
        (1.1050, 4800, "", 0),
    ],
)
def test_the_model_says_what_was_heard_less_what_is_in_the_device(
    cancelled_at: float, latency: int, word: str, played: int
) -> None:
    hand = speaking_hand()
    # 100 ms behind the open loop: the way there and back, as far as the gateway can know.
    hand.client(events.Report("c", 480, 0, 9600, 0, output_latency_samples=latency), 1.11)
    hand.client(events.Cancel("c"), cancelled_at)
    heard = hand.take_one(events.Cancelled).heard
    assert (heard.word, heard.played_samples, heard.source) == (word, played, "model")


def test_a_fade_is_noted_in_the_trace() -> None:
    hand = speaking_hand()
    hand.client(events.Cancel("c", fade_ms=10), 1.1)
    (record,) = [each for each in hand.session.trace if each.event == "cancelled"]
    assert record.fields["fade_ms"] == 10


def test_a_report_moves_the_deadline_of_the_chunk_in_flight() -> None:
    hand = speaking_hand()
    hand.client(events.Text("c", "Another sentence. "), 1.0)
    request = hand.take_one(events.Synthesize).request
    ends_at = 1.0 + 0.4 - 312 / 48_000
    assert request.deadline == pytest.approx(ends_at, abs=0.001)
    hand.client(events.Report("c", 2400, 0, 9600, 0), 1.055)  # within 20 ms of what we thought
    assert hand.take(events.Reschedule) == []
    hand.client(events.Report("c", 2880, 0, 9600, 1), 1.2)  # it fell silent for a while
    moved = hand.take_one(events.Reschedule)
    assert (moved.context, moved.generation) == ("c", 0)
    assert moved.deadline == pytest.approx(1.2 + (19_200 - 312 - 2880) / 48_000, abs=0.001)


def test_a_deadline_is_that_of_the_first_sample_though_some_came_already() -> None:
    hand = speaking_hand()
    hand.client(events.Text("c", "Another sentence. "), 1.0)
    request = hand.request()
    hand.rendered(request, 10, 1.05, final=False)
    hand.client(events.Report("c", 2880, 0, 9600, 1), 1.2)
    moved = hand.take_one(events.Reschedule)
    assert moved.deadline == pytest.approx(1.2 + (19_200 - 312 - 2880) / 48_000, abs=0.001)


def test_an_underrun_that_the_network_made_raises_the_lead() -> None:
    hand = speaking_hand()
    lead = hand.session.contexts[0]._around.lead
    hand.client(events.Report("c", 2400, 0, 9600, 0), 1.05)
    before = lead.target_s
    hand.client(events.Report("c", 4800, 0, 9600, 1), 1.2)
    assert lead.target_s > 1.2 * before


def test_an_underrun_that_was_our_own_does_not() -> None:
    hand = speaking_hand()
    lead = hand.session.contexts[0]._around.lead
    hand.run_until(2.0)  # nothing more came from the engine: the model runs dry, too
    before = lead.target_s
    hand.client(events.Report("c", 19_200 - 312, 0, 0, 1), 2.0)
    assert lead.target_s == pytest.approx(before)


def test_what_was_learned_of_the_network_outlives_a_cancel_and_a_context() -> None:
    hand = speaking_hand()
    hand.client(events.Report("c", 2400, 0, 9600, 0, sequence_number=19), 1.08)
    hand.client(events.Report("c", 2880, 0, 9600, 1), 1.3)
    around = hand.session.contexts[0]._around
    target_s, trip_s = around.lead.target_s, around.listener.round_trip_s
    assert target_s > 0.6
    assert trip_s == pytest.approx(0.08)
    hand.client(events.Cancel("c"), 1.4)
    hand.client(events.Start("d"), 1.5)
    assert all(context._around is around for context in hand.session.contexts)
    hand.client(events.Text("d", "A sentence. "), 1.5)
    hand.rendered(hand.request(), 100, 1.5)
    burst_s = sum(len(audio.payloads) for audio in hand.take(events.Audio)) * 0.02
    assert target_s - 0.07 < burst_s <= target_s + 0.01


def test_a_late_report_of_an_earlier_context_of_the_same_name_is_ignored() -> None:
    """Both have generation 0, and the late one says that nothing was played."""
    hand = speaking_hand()
    number = hand.take_one(events.Started).context_number
    hand.client(events.Report("c", 2400, 0, 9600, 0, context_number=number), 1.055)
    (context,) = hand.session.contexts
    before_s = context.lead_s(1.1)
    hand.client(events.Report("c", 0, 0, 0, 0, context_number=number - 1), 1.1)
    assert context.lead_s(1.1) == before_s
    hand.client(events.Report("c", 0, 0, 0, 0, context_number=number), 1.1)
    assert context.lead_s(1.1) > before_s + 0.05
