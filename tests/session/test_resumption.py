from gateway.session.resumption import Resumption


def test_the_gateway_acknowledges_only_to_those_who_do_and_once_a_second() -> None:
    resumption = Resumption(10_000)
    resumption.record("ready")
    resumption.receive_message()
    assert resumption.acknowledge_at() is None
    resumption.receive_acknowledgement(1)
    assert resumption.acknowledge_at() == float("-inf")
    assert resumption.acknowledge(5.0) == 1
    assert resumption.acknowledge_at() is None
    resumption.receive_message()
    assert resumption.acknowledge_at() == 6.0


def test_audio_waits_for_a_client_that_stopped_acknowledging() -> None:
    resumption = Resumption(4_000)
    for _ in range(28):
        resumption.record(b"x" * 36)  # with what an object costs, 100 bytes each
    assert not resumption.holds  # it never acknowledged anything
    resumption.receive_acknowledgement(1)
    resumption.record(b"x" * 36)
    resumption.record(b"x" * 36)
    assert not resumption.holds
    resumption.record(b"x" * 136)
    assert resumption.holds
    resumption.receive_acknowledgement(10)
    assert resumption.holds  # more than half is left
    resumption.receive_acknowledgement(12)
    assert not resumption.holds


def test_a_client_that_speaks_but_does_not_acknowledge_is_not_waited_for() -> None:
    resumption = Resumption(1_000)
    resumption.record(b"")
    resumption.receive_acknowledgement(1)
    resumption.record(b"x" * 800)
    assert resumption.holds
    resumption.receive_message()
    assert not resumption.holds
    resumption.record(b"x" * 800)
    assert not resumption.log.complete
