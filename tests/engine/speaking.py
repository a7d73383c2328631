"""Asking an engine to speak, in tests."""

import numpy as np

from gateway.engine.base import Engine
from gateway.synthesis import (
    Alignment,
    Plan,
    Rendering,
    RequestId,
    SpokenWord,
    SynthesisRequest,
    TextChunk,
)


def request(
    spoken: str, voice: str = "", language: str = "", speed: float = 1.0
) -> SynthesisRequest:
    """A request for a chunk whose spoken text is the client's own."""
    length = len(spoken)
    chunk = TextChunk(spoken, 0, length, spoken, (Alignment(0, length, 0, length),))
    return SynthesisRequest(
        id=RequestId("session", "context", 0, 0),
        chunk=chunk,
        voice=voice,
        language=language,
        speed=speed,
        deadline=0.0,
        first=True,
    )


def planned(engine: Engine, spoken: str, **choices) -> Plan:
    """The plan of a text that can be planned."""
    (plan,) = engine.plan([request(spoken, **choices)])
    assert isinstance(plan, Plan), plan
    return plan


def rendered(engine: Engine, plan: Plan) -> list[Rendering]:
    """All renderings of all windows of a plan."""
    out: list[Rendering] = []

    def emit(index: int, rendering: Rendering) -> bool:
        assert index == 0
        out.append(rendering)
        return True

    for window in plan.windows:
        engine.render([window], emit)
    return out


def speak(engine: Engine, spoken: str, **choices) -> list[Rendering]:
    """All renderings of a text."""
    return rendered(engine, planned(engine, spoken, **choices))


def audio(renderings: list[Rendering]) -> np.ndarray:
    """Their PCM in one piece."""
    return np.concatenate([rendering.pcm.samples for rendering in renderings])


def words(renderings: list[Rendering]) -> list[SpokenWord]:
    """The words that came with them."""
    return [word for rendering in renderings for word in rendering.words]
