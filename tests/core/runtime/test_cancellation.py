"""Calls that are not cut in half."""

import asyncio

import pytest

from core.runtime.cancellation import uncancelled


async def test_a_result_and_an_error_come_through() -> None:
    async def fine() -> int:
        return 7

    async def broken() -> int:
        raise ZeroDivisionError

    assert await uncancelled(fine()) == 7
    with pytest.raises(ZeroDivisionError):
        await uncancelled(broken())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_call_ends_before_its_cancellation_goes_on(times: int) -> None:
    begun, ends, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def call() -> None:
        begun.set()
        await ends.wait()
        ended.set()

    task = asyncio.create_task(uncancelled(call()))
    await begun.wait()
    for _ in range(times):
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
    ends.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
