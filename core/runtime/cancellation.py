"""Calls that must not be cut in half, and blocks that end once a flag is set."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
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
        if not task.cancelled():
            task.exception()  # asyncio would log the error of a call that nobody asks for any more
        raise


@asynccontextmanager
async def interrupted_by(stop: asyncio.Event) -> AsyncIterator[None]:
    """Ends the block once `stop` is set: what the block waits for is cancelled, and the code after it goes on.

    One task watches the flag, however often the block waits. A block that does not wait has to look at the flag itself.
    A cancellation from outside is raised as usual.
    """
    deadline = asyncio.timeout(None)
    watcher = asyncio.create_task(_expire(deadline, stop))
    try:
        async with deadline:
            yield
    except TimeoutError:
        if not deadline.expired():
            raise
    finally:
        watcher.cancel()
        await asyncio.wait({watcher})


async def _expire(deadline: asyncio.Timeout, stop: asyncio.Event) -> None:
    await stop.wait()
    deadline.reschedule(asyncio.get_running_loop().time())
