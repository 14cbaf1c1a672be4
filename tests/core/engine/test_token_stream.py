"""The tokens of one answer, on their way from the engine to their reader."""

import asyncio

import pytest

from core.domain.errors import EngineDied
from core.engine.engine import TokenStream
from tests.patience import limit


async def test_tokens_that_wait_are_taken_together() -> None:
    stream = TokenStream()
    for token in (1, 2, 3):
        stream.put(token)
    assert await anext(stream) == 1 and stream.take_waiting() == [2, 3] and stream.take_waiting() == []
    stream.put(4)
    stream.put("stop")
    assert await anext(stream) == 4 and stream.reason is None
    for _ in range(2):
        assert [token async for token in stream] == [] and stream.reason == "stop"


async def test_a_reader_that_waits_gets_the_next_token() -> None:
    stream = TokenStream()
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stream.put(7)
    async with limit():
        assert await reader == 7


async def test_a_token_is_not_lost_with_a_reader_that_is_cancelled() -> None:
    stream = TokenStream()
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stream.put(7)
    reader.cancel()
    await asyncio.wait({reader})
    assert reader.cancelled() and stream.take_waiting() == [7]


async def test_an_error_comes_after_the_tokens_and_stays() -> None:
    stream = TokenStream()
    stream.put(1)
    stream.put(EngineDied())
    assert await anext(stream) == 1
    for _ in range(2):
        with pytest.raises(EngineDied):
            await anext(stream)
    assert stream.reason is None
