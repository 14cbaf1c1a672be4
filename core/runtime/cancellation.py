"""Calls that must not be cut in half, and waits that end as soon as a flag is set."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def uncancelled(call: Awaitable[T]) -> T:
    """The result of a call that is not to be cut in half: a commit, or a message on its way to a platform.

    A cancellation meanwhile is raised once the call has ended. asyncio.shield alone would leave the call running
    with nobody waiting for it.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise


async def until(stop: asyncio.Event, pieces: AsyncIterable[str]) -> AsyncIterator[str]:
    """The pieces until `stop` is set, also while the next one is being waited for."""
    iterator = aiter(pieces)
    while not stop.is_set() and (piece := await unless(stop, anext(iterator, None))) is not None:
        yield piece


async def unless(stop: asyncio.Event, awaitable: Awaitable[T]) -> T | None:
    """The awaitable's result; None if `stop` is set first. In both cases nothing of it is left running."""
    work = asyncio.ensure_future(_awaited(awaitable))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        waiting = [task for task in (work, stopped) if not task.done()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
