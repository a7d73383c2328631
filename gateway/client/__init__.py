"""A Python client of the gateway, on asyncio.

    from gateway.client import Audio, connect

    async with connect("ws://127.0.0.1:8000") as session:
        context = await session.start(voice="en-us")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.speak(tokens))     # any iterable or async iterable of str
            async for samples in context.decoded():      # float32, at context.started.sample_rate
                loudspeaker.write(samples)

Iterate the context itself for every event (``Audio`` with the frames as they came, ``Chunk`` and
``Words`` with times, ``Done``, …), and call ``await context.cancel()`` when the user interrupts: it
silences at once and says what was heard.  A lost connection is made again and the session goes on
where it was; docs/python-client.md tells the rest.
"""

from gateway.client.client import Session, connect
from gateway.client.context import Context, ContextEvent
from gateway.client.decoding import StreamDecoder
from gateway.client.jitter_buffer import JitterBuffer, PlayoutReport, Underrun
from gateway.client.wire import (
    Audio,
    Cancelled,
    Chunk,
    Done,
    Flushed,
    Heard,
    Ready,
    ServerError,
    ServerWarning,
    SessionReplaced,
    Started,
    Word,
    Words,
)

__all__ = [
    "Audio",
    "Cancelled",
    "Chunk",
    "Context",
    "ContextEvent",
    "Done",
    "Flushed",
    "Heard",
    "JitterBuffer",
    "PlayoutReport",
    "Ready",
    "ServerError",
    "ServerWarning",
    "Session",
    "SessionReplaced",
    "Started",
    "StreamDecoder",
    "Underrun",
    "Word",
    "Words",
    "connect",
]
