import pytest

from gateway.session.states import (
    AUDIO,
    SESSION,
    TEXT,
    AudioInput,
    AudioState,
    Machine,
    SessionInput,
    SessionState,
    TextInput,
    TextState,
    diagram,
)


@pytest.mark.parametrize(
    ("table", "states"), [(SESSION, SessionState), (TEXT, TextState), (AUDIO, AudioState)]
)
def test_every_state_has_a_row_and_can_be_reached(table: dict, states: type) -> None:
    assert set(table) == set(states)
    reached = {next(iter(table))}
    while True:
        further = {after for state in reached for after in table[state].values()} - reached
        if not further:
            break
        reached |= further
    assert reached == set(states)


def test_every_audio_state_but_the_last_two_can_be_cancelled() -> None:
    uncancellable = {state for state, row in AUDIO.items() if AudioInput.CANCEL not in row}
    assert uncancellable == {AudioState.DONE, AudioState.CANCELLED}


def test_a_machine_moves_and_says_whether_it_did() -> None:
    machine = Machine(TEXT, TextState.EMPTY)
    assert machine.fire(TextInput.TEXT)
    assert not machine.fire(TextInput.TEXT)
    assert machine.state is TextState.OPEN


def test_an_illegal_input_of_our_own_is_an_assertion() -> None:
    machine = Machine(SESSION, SessionState.CLOSED)
    assert not machine.allows(SessionInput.ACCEPTED)
    with pytest.raises(AssertionError, match="illegal in state"):
        machine.fire(SessionInput.ACCEPTED)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert diagram(TEXT).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> empty",
        "    empty --> open: text",
        "    empty --> ended: end",
        "    empty --> empty: cancel",
        "    open --> open: text",
        "    open --> ended: end",
        "    open --> empty: cancel",
        "    ended --> ended: cancel",
    ]
