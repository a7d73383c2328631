"""Speak a sentence and count what comes: the smallest program.

python examples/say.py "Hello there, how are you?" [ws://127.0.0.1:8000]
"""

import asyncio
import sys

from gateway.client import connect


async def main(text: str, url: str) -> None:
    async with connect(url) as session:
        context = await session.start()
        speaking = asyncio.create_task(context.speak(text))
        samples = 0
        async for pcm in context.decoded():  # float32, mono, at context.started.sample_rate
            samples += len(pcm)
        await speaking
    print(f"{samples / context.started.sample_rate:.2f} s of speech")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8000"))
