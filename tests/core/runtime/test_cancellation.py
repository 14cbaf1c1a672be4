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
    ended = asyncio.Event()

    async def call() -> None:
        await asyncio.sleep(0.03)
        ended.set()

    task = asyncio.create_task(uncancelled(call()))
    for _ in range(times):
        await asyncio.sleep(0.005)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
