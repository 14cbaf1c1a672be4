"""A session whose calls are not cancelled: half of one would leave a connection in the middle of a statement."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.runtime.cancellation import uncancelled

_CALLS = ("execute", "scalars", "get", "merge", "flush", "commit", "rollback", "close")


def _uncancelled(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def call(self: AsyncSession, *args: Any, **kwargs: Any) -> Any:
        return await uncancelled(method(self, *args, **kwargs))

    return call


UncancelledSession: type[AsyncSession] = type(
    "UncancelledSession", (AsyncSession,), {name: _uncancelled(getattr(AsyncSession, name)) for name in _CALLS}
)
