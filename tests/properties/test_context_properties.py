"""Contexts of one session do not disturb one another, in whatever order things happen to them."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.session import events
from tests.session.harness import FRAME, Hand

NAMES = "abcd"
_OF_A_CONTEXT = (events.Audio, events.Cancelled, events.Done, events.ChunkStarted, events.Started)


def _script(seed: int, name: str) -> list[tuple[float, str]]:
    """What happens to a context and when: text, a cancel, an end, engine, in a random order."""
    chance = random.Random(f"{seed} {name}")
    steps = [(0.0, "start")]
    now = 0.0
    for _ in range(chance.randint(3, 25)):
        now += chance.choice([0.0, 0.01, 0.25])
        steps.append((now, chance.choice(["text", "text", "engine", "engine", "cancel", "flush"])))
    return [*steps, (now, chance.choice(["end", "cancel", "text"]))]


def _play(scripts: dict[str, list[tuple[float, str]]]) -> dict[str, list[object]]:
    """Each context's messages, without what numbers the session as a whole."""
    hand = Hand()
    pending: dict[str, list[events.Synthesize]] = {name: [] for name in scripts}
    heard: dict[str, list[object]] = {name: [] for name in scripts}
    happenings = sorted(
        (when, order, name, what)
        for name, steps in scripts.items()
        for order, (when, what) in enumerate(steps)
    )
    for when, _, name, what in happenings:
        match what:
            case "start":
                hand.client(events.Start(name), when)
            case "text":
                hand.client(events.Text(name, "A sentence of its own. "), when)
            case "flush":
                hand.client(events.Flush(name), when)
            case "cancel":
                hand.client(events.Cancel(name), when)
            case "end":
                hand.client(events.End(name), when)
            case _ if pending[name]:
                request = pending[name].pop(0).request
                hand.rendered(request.id, 12, when)
        for asked in list(hand.take(events.FinishTrack)):
            hand.log.append(asked)
            hand.finished(when)
        for synthesize in hand.take(events.Synthesize):
            pending[synthesize.request.id.context].append(synthesize)
        assert len(hand.session.contexts) <= len(scripts)
        for output in hand.take(object):
            if isinstance(output, _OF_A_CONTEXT):
                heard[output.context].append(_as_told(output))
    return heard


def _as_told(output: object) -> object:
    match output:
        case events.Audio():
            assert output.timestamp_samples == output.sequence_number * FRAME
            return output.generation, output.sequence_number, output.payloads
        case events.ChunkStarted():
            return output.generation, output.start, output.end, output.timestamp_samples
        case events.Started():
            return "started"
    return output


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_context_fares_among_others_as_it_does_alone(seed: int) -> None:
    scripts = {name: _script(seed, name) for name in NAMES}
    together = _play(scripts)
    for name in NAMES:
        assert together[name] == _play({name: scripts[name]})[name]


def test_a_session_holds_32_contexts_and_no_more() -> None:
    hand = Hand()
    for number in range(33):
        hand.client(events.Start(f"c{number}"), 1.0)
    assert len(hand.session.contexts) == 32
    assert hand.take_one(events.Failed).error.limit == 32
    hand.client(events.Cancel("c7"), 1.1)
    hand.client(events.End("c7"), 1.1)
    hand.client(events.Start("c32"), 1.2)
    assert hand.take(events.Failed) == []
