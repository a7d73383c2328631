from gateway.session.pacer import Pacer


def make_pacer(lead_target_s: float = 0.4) -> Pacer:
    return Pacer(frame_samples=960, lead_target_s=lead_target_s, message_duration_max_s=0.06)


def frames(count: int, first: int = 0) -> list[bytes]:
    return [bytes([number]) for number in range(first, first + count)]


def test_the_first_message_leaves_at_once_with_what_there_is() -> None:
    pacer = make_pacer()
    pacer.push(frames(2), ends_talkspurt=False)
    packet = pacer.take(lead_s=0.0)
    assert packet is not None
    assert packet.payloads == (b"\x00", b"\x01")
    assert (packet.sequence_number, packet.timestamp_samples) == (0, 0)
    assert (packet.marker, packet.last) == (True, False)


def test_messages_carry_up_to_60_ms_and_are_numbered_on() -> None:
    pacer = make_pacer()
    pacer.push(frames(7), ends_talkspurt=False)
    packets = [pacer.take(0.0), pacer.take(0.06), pacer.take(0.12)]
    assert [len(p.payloads) for p in packets if p] == [3, 3, 1]
    assert [p.sequence_number for p in packets if p] == [0, 3, 6]
    assert [p.timestamp_samples for p in packets if p] == [0, 2880, 5760]
    assert [p.marker for p in packets if p] == [True, False, False]


def test_nothing_leaves_while_the_listener_holds_the_target() -> None:
    pacer = make_pacer(lead_target_s=0.4)
    pacer.push(frames(3), ends_talkspurt=False)
    assert pacer.take(lead_s=0.35) is None
    assert pacer.take(lead_s=0.34) is not None


def test_the_next_message_is_due_when_the_lead_has_fallen_by_its_length() -> None:
    pacer = make_pacer(lead_target_s=0.4)
    assert pacer.due_at(lead_s=0.4, now=10.0) is None
    pacer.push(frames(3), ends_talkspurt=False)
    assert abs(pacer.due_at(lead_s=0.4, now=10.0) - 10.06) < 1e-9
    assert pacer.due_at(lead_s=0.1, now=10.0) == 10.0


def test_a_message_never_joins_two_talkspurts() -> None:
    pacer = make_pacer()
    pacer.push(frames(1), ends_talkspurt=True)
    pacer.push(frames(2, first=1), ends_talkspurt=False)
    first, second = pacer.take(0.0), pacer.take(0.02)
    assert first is not None
    assert second is not None
    assert (first.payloads, first.marker, first.last) == ((b"\x00",), True, True)
    assert (second.payloads, second.marker, second.last) == ((b"\x01", b"\x02"), True, False)


def test_the_end_marks_the_last_frame_that_waits() -> None:
    pacer = make_pacer()
    pacer.push(frames(2), ends_talkspurt=False)
    pacer.push([], ends_talkspurt=True)
    packet = pacer.take(0.0)
    assert packet is not None
    assert packet.last


def test_frames_of_60_ms_leave_one_by_one() -> None:
    pacer = Pacer(frame_samples=2880, lead_target_s=0.4, message_duration_max_s=0.06)
    pacer.push(frames(2), ends_talkspurt=False)
    packet = pacer.take(0.0)
    assert packet is not None
    assert len(packet.payloads) == 1


def test_queued_seconds_count_what_waits() -> None:
    pacer = make_pacer()
    pacer.push(frames(5), ends_talkspurt=False)
    assert abs(pacer.queued_s - 0.1) < 1e-9
    pacer.take(0.0)
    assert abs(pacer.queued_s - 0.04) < 1e-9
