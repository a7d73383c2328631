"""Text as an LLM would stream it: pieces of a string, of standard input, and their pace."""

from __future__ import annotations

import asyncio
import codecs
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import BinaryIO

from gateway.errors import InvalidValue

_TOKEN = re.compile(r"\s*\S{1,6}")
_READ_BYTES = 65_536


def tokens_of(text: str) -> Iterator[str]:
    """Cut ``text`` as a tokenizer roughly would: words with the space before them, long ones cut.

    The tokens joined are the text.
    """
    end = 0
    for match in _TOKEN.finditer(text):
        end = match.end()
        yield match.group()
    if end < len(text):
        yield text[end:]


async def paced(tokens: AsyncIterable[str], tokens_per_s: float) -> AsyncIterator[str]:
    """``tokens`` cut once more and handed out on a fixed schedule, which no delay shifts."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    count = 0
    async for piece in tokens:
        for token in tokens_of(piece):
            await asyncio.sleep(start + count / tokens_per_s - loop.time())
            count += 1
            yield token


async def once(text: str) -> AsyncIterator[str]:
    """``text`` as one piece."""
    yield text


async def read_stream(stream: BinaryIO) -> AsyncIterator[str]:
    """UTF-8 text from ``stream`` as it comes, for pipes from a program that is still writing.

    Read in a daemon thread: a read that blocks must not keep the process from ending.  Raises
    InvalidValue for bytes that are no UTF-8.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        data = b"more"
        while data:
            data = stream.read1(_READ_BYTES) if hasattr(stream, "read1") else stream.read()
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, data)
            except RuntimeError:  # the loop has ended before the stream did
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")()
    data = b"more"
    try:
        while data:
            data = await pieces.get()
            text = decoder.decode(data, final=not data)
            if text:
                yield text
    except UnicodeDecodeError as error:
        raise InvalidValue(f"text: standard input is not UTF-8: {error.reason}") from None
