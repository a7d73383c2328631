import pytest

from gateway.errors import ProtocolViolation, ResumeRefused
from gateway.wire.message_log import MESSAGE_OVERHEAD_BYTES, MessageLog


def filled(bytes_max: int = 10_000) -> MessageLog:
    log = MessageLog(bytes_max)
    for message in ("one", b"two", "three", b"four"):
        log.append(message)
    return log


def test_what_was_not_counted_is_given_again_in_order() -> None:
    log = filled()
    assert log.since(0) == ("one", b"two", "three", b"four")
    assert log.since(3) == (b"four",)
    assert log.since(4) == ()


def test_what_was_acknowledged_is_forgotten() -> None:
    log = filled()
    log.acknowledge(2)
    log.acknowledge(1)  # it was overtaken on its way
    assert (log.acknowledged, log.sent) == (2, 4)
    assert log.size_bytes == len("three") + len("four") + 2 * MESSAGE_OVERHEAD_BYTES
    assert log.since(2) == ("three", b"four")
    with pytest.raises(ResumeRefused, match="after 1 are no longer kept, only those after 2"):
        log.since(1)


def test_more_than_was_sent_cannot_have_arrived() -> None:
    log = filled()
    with pytest.raises(ProtocolViolation, match="5 messages are acknowledged, but 4 were sent"):
        log.acknowledge(5)
    with pytest.raises(ResumeRefused, match="5 messages can't have been taken, 4 were sent"):
        log.since(5)


def test_a_log_that_is_full_is_emptied_and_keeps_nothing() -> None:
    log = MessageLog(200)
    for _ in range(3):
        log.append(b"x" * 10)
    assert (log.size_bytes, log.complete) == (0, False)
    log.append(b"y")
    assert log.size_bytes == 0
    assert log.since(4) == ()
    with pytest.raises(ResumeRefused):
        log.since(3)


def test_a_peer_that_acknowledges_again_can_be_served_again() -> None:
    log = MessageLog(200)
    for number in range(1, 5):
        log.append(bytes([number] * 10))
    log.acknowledge(3)
    log.append(b"fifth")
    assert not log.complete
    with pytest.raises(ResumeRefused):
        log.since(3)
    assert log.since(4) == (b"fifth",)
    log.acknowledge(4)
    assert log.complete
