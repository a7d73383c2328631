"""How ``say`` cuts and paces what it sends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest

from gateway.cli.tokens import once, paced, read_stream, tokens_of
from gateway.errors import InvalidValue

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello there", ["Hello", " there"]),
        (" a\n\nlongerword. ", [" a", "\n\nlonger", "word.", " "]),
        ("   ", ["   "]),
    ],
)
def test_tokens_are_words_with_the_space_before_them(text: str, tokens: list[str]) -> None:
    assert list(tokens_of(text)) == tokens
    assert "".join(tokens) == text


async def test_a_delay_does_not_shift_the_schedule() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    times = []
    async for _ in paced(once("a b c d e"), 20):
        times.append(loop.time() - start)
        if len(times) == 1:
            await asyncio.sleep(0.15)  # the consumer was late once: the next ones follow at once
    assert 0.199 <= times[-1] < 0.3  # not 0.35


async def test_a_stream_is_read_as_it_comes_and_characters_are_not_cut() -> None:
    class Pipe(io.RawIOBase):
        pieces = ["ä".encode()[:1], "ä".encode()[1:] + b"b", b""]  # noqa: RUF012

        def read1(self, _: int) -> bytes:
            return self.pieces.pop(0)

    texts: AsyncIterator[str] = read_stream(Pipe())  # type: ignore[arg-type]
    assert [text async for text in texts] == ["äb"]


async def test_a_stream_that_ends_inside_a_character_is_refused() -> None:
    with pytest.raises(InvalidValue, match="not UTF-8: unexpected end"):
        await anext(read_stream(io.BytesIO("ä".encode()[:1])))
