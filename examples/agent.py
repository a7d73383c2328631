"""An agent that answers aloud, can be interrupted, and remembers only what was heard.

python examples/agent.py [ws://127.0.0.1:8000]

``answer`` stands for any LLM: an async iterator of tokens.  ``main`` plays a conversation in which
the user interrupts the first answer after a second.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from gateway.client import Context, Session, SessionReplaced, connect

History = list[tuple[str, str]]


async def answer(history: History) -> AsyncIterator[str]:
    """Put your LLM here; it gets the history, as it was really heard."""
    question = history[-1][1]
    text = f"You asked: {question} That is a long story, and I shall tell it from the beginning. "
    for word in text.split(" "):
        await asyncio.sleep(0.02)
        yield word + " "


async def say(context: Context, tokens: AsyncIterator[str], said: list[str]) -> None:
    """Speak ``tokens`` as they come, and note them."""

    async def noted() -> AsyncIterator[str]:
        async for token in tokens:
            said.append(token)
            yield token

    await context.speak(noted())


async def turn(session: Session, history: History, interrupted: asyncio.Event) -> None:
    """One answer, until its end or until the user interrupts it."""
    said: list[str] = []
    context = await session.start()
    speaking = asyncio.create_task(say(context, answer(history), said))
    playing = asyncio.create_task(play(context))
    stopped = asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait([playing, stopped], return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()  # raises SessionReplaced if the session was lost for good
            heard = "".join(said)
        else:
            heard = "".join(said)[: (await context.cancel()).heard.text_offset]
    except SessionReplaced:
        # The connection was gone for too long: a new session is open.  Say the rest in it, or not.
        heard = "".join(said)[: context.heard.text_offset]
    finally:
        for task in (speaking, playing, stopped):
            task.cancel()
        await asyncio.gather(speaking, playing, stopped, return_exceptions=True)
    history.append(("assistant", heard))


async def play(context: Context) -> None:
    """Put your loudspeaker here.  The loop ends when the whole answer has come."""
    async for _ in context.decoded():
        pass
    await context.wait_played()  # the last of it still sounds


async def main(url: str) -> None:
    history: History = []
    async with connect(url) as session:
        for question, patience_s in (("Why is the sky blue?", 1.0), ("Was that all?", 60.0)):
            history.append(("user", question))
            interrupted = asyncio.Event()
            asyncio.get_running_loop().call_later(patience_s, interrupted.set)
            await turn(session, history, interrupted)
    for who, what in history:
        print(f"{who}: {what}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8000"))
