"""The engine without a gateway, in a process of its own: what the overhead is measured against.

    request ──► EspeakEngine.render ──► blocks until they suffice for one Opus frame ──► seconds

The time is from the call of ``render`` to the block with which the encoder could give its first
frame.  Which block that is, a real track finds out; the time that the track takes is not counted.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from time import perf_counter

from gateway.codecs.catalog import make_codec
from gateway.codecs.track import Track
from gateway.engine.espeak import EspeakEngine
from gateway.settings import AudioSettings, EspeakSettings
from gateway.synthesis import Rendering, RequestId, SynthesisRequest, TextChunk, Window


def serve(pipe: Connection) -> None:
    """Say None when ready, then answer each TextChunk with seconds, until the pipe closes."""
    engine = EspeakEngine(EspeakSettings())
    engine.start()
    try:
        pipe.send(None)
        while True:
            pipe.send(time_to_first_frame_s(engine, pipe.recv()))
    except (EOFError, BrokenPipeError):
        return
    finally:
        engine.close()


def time_to_first_frame_s(engine: EspeakEngine, chunk: TextChunk) -> float:
    """Seconds that the engine takes for as much of ``chunk`` as one encoded frame needs."""
    first = _FirstFrame(_new_track())
    window = _window(engine, chunk)
    begin = perf_counter()
    engine.render([window], first.receive)
    assert first.at_s is not None, f"no frame of audio for {chunk.spoken!r}"
    return first.at_s - begin - first.encoding_s


class _FirstFrame:
    """Takes renderings until they give a frame; ``encoding_s`` was ours before that, not theirs."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self.at_s: float | None = None
        self.encoding_s = 0.0

    def receive(self, _: int, rendering: Rendering) -> bool:
        """As ``Emit``."""
        received_s = perf_counter()
        frames = self._track.write(rendering.pcm)
        if rendering.final:
            frames += self._track.finish()
        if frames:
            self.at_s = received_s
            return False
        self.encoding_s += perf_counter() - received_s
        return True


def _window(engine: EspeakEngine, chunk: TextChunk) -> Window:
    request = SynthesisRequest(
        id=RequestId("bare", "bare", 0, 0),
        chunk=chunk,
        voice=engine.info.default_voice,
        language="",
        speed=1.0,
        deadline=0.0,
        first=True,
    )
    (plan,) = engine.plan([request])
    if isinstance(plan, Exception):
        raise plan
    (window,) = plan.windows
    return window


def _new_track() -> Track:
    audio = AudioSettings()
    return Track(
        make_codec(
            audio.codec,
            sample_rate=audio.sample_rate,
            frame_duration_ms=audio.frame_duration_ms,
            bitrate=audio.bitrate,
            settings=audio,
        )
    )
