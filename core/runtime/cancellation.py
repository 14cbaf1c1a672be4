"""Calls that must not be cut in half: a commit, or a message on its way to a platform."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def whole(call: Awaitable[T]) -> T:
    """The call's result. Cancellations meanwhile, however many, go on once the call has ended: asyncio.shield alone
    would leave it running behind everybody's back."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise
