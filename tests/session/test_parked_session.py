"""A session that lost its client, played by hand."""

import pytest

from gateway.session import events
from gateway.session.states import SessionState
from tests.session.harness import Hand


def speaking() -> Hand:
    hand = Hand()
    hand.client(events.Start("c"), 0.0)
    hand.client(events.Text("c", "This sentence is spoken. And so is this one."), 0.0)
    return hand


def park(hand: Hand, now: float, until: float = 30.0) -> None:
    hand.session.receive_parked(now, until)
    hand.drain()


def test_nothing_is_sent_while_it_is_parked_and_everything_after() -> None:
    hand = speaking()
    request = hand.request()
    hand.rendered(request, 5, 0.1, final=False)
    sent = sum(len(audio.payloads) for audio in hand.take(events.Audio))
    park(hand, 0.2)
    hand.rendered(request, 45, 0.3)
    hand.timer(2.0)
    assert hand.take(events.Audio) == []
    assert hand.session.state is SessionState.PARKED
    hand.session.receive_resumed(2.5)
    hand.drain()
    first = hand.take(events.Audio)[0]
    assert (hand.session.state, first.sequence_number) == (SessionState.ACTIVE, sent)


def test_synthesis_goes_on_only_so_far() -> None:
    hand = speaking()
    park(hand, 0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        for asked in hand.take(events.Synthesize):
            hand.rendered(asked.request.id, 200, now)
    queued = 200 * 2  # 4 s and 4 s: the second chunk was asked for while less than 3 s waited
    assert sum(hand.position.values()) <= queued * 960
    assert hand.take(events.Audio) == []


def test_it_ends_when_its_time_is_over() -> None:
    hand = Hand()
    park(hand, 1.0, until=31.0)
    assert hand.session.next_timer(1.0) == 31.0
    hand.timer(30.9)
    assert hand.session.state is SessionState.PARKED
    hand.timer(31.0)
    assert hand.take_one(events.EndSession).code == 1006
    assert hand.session.state is SessionState.CLOSED
    assert hand.session.next_timer(31.0) is None


def test_a_drain_ends_it() -> None:
    hand = speaking()
    park(hand, 0.0)
    hand.session.receive_drain(1.0)
    hand.drain()
    assert hand.take_one(events.EndSession).code == 1012
    assert len(hand.take(events.Withdraw)) == 1


def test_a_context_may_end_meanwhile() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 0.0)
    hand.client(events.End("c"), 0.0)
    hand.take(events.Done)
    hand.client(events.Start("d"), 0.0)
    park(hand, 0.0)
    hand.timer(20.0)
    hand.session.receive_resumed(20.0)
    assert hand.session.state is SessionState.ACTIVE
    hand = Hand()
    park(hand, 0.0)
    hand.session.receive_resumed(1.0)
    assert hand.session.state is SessionState.READY


def test_a_closing_session_is_not_parked() -> None:
    hand = speaking()
    assert hand.session.may_park
    hand.client(events.Close(), 0.0)
    assert not hand.session.may_park


def test_the_idle_limit_begins_anew_when_the_client_is_back() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 0.0)
    park(hand, 290.0, until=320.0)
    hand.timer(310.0)
    hand.session.receive_resumed(310.0)
    assert hand.session.state is SessionState.ACTIVE
    assert hand.session.next_timer(310.0) == pytest.approx(610.0)


def test_a_transport_that_is_gone_can_no_longer_be_congested() -> None:
    hand = speaking()
    park(hand, 0.0)
    hand.session.receive_congestion(False, 0.1)
    hand.rendered(hand.request(), 10, 0.2)
    assert hand.take(events.Audio) == []


def test_a_client_is_told_where_its_contexts_stand() -> None:
    hand = Hand()
    hand.client(events.Start("c"), 0.0)
    hand.client(events.Text("c", "Down at the café. And more."), 0.0)
    hand.rendered(hand.request(), 7, 0.1)
    sent = sum(len(audio.payloads) for audio in hand.take(events.Audio))
    hand.client(events.Start("d"), 0.2)
    hand.client(events.End("d"), 0.2)
    positions = hand.session.positions
    assert positions[0] == events.ContextPosition("c", 0, 0, 27, sent, True)
    hand.client(events.Cancel("c"), 0.3)
    assert hand.session.positions[0] == events.ContextPosition("c", 0, 1, 0, 0, True)
