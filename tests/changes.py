"""Waiting for what a fake or a store has seen: those who wait look again after each change, not after a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from core.domain.store import Store, Transaction, Unavailable
from tests.patience import limit

IDLE_TURNS = 200
"""Of the event loop. What follows a transaction takes a few."""


class Changes:
    """Wakes those who wait whenever `changed` is called."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def changed(self) -> None:
        """Everybody who waits looks again."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, true: Callable[[], object]) -> None:
        """Return once it is true. Raises TimeoutError where that never happens."""
        async with limit():
            while not true():
                await self._event.wait()

    async def until_stored(self, true: Callable[[], Awaitable[object]]) -> None:
        """As `until`, for what has to be asked of a store."""
        async with limit():
            while True:
                event = self._event
                if await true():
                    return
                await event.wait()


async def turns_until(true: Callable[[], object]) -> None:
    """Let the event loop go on, turn by turn, until it is true: for what tells nobody of its changes."""
    async with limit():
        while not true():
            await asyncio.sleep(0)


class WatchedStore(Changes):
    """A store whose transactions can be waited for: each that ends, or fails, is a change."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.under_way = self.begun = self.ended = 0
        """Transactions that are open, that were begun, and that have ended."""
        self.failing = False
        """Whether the last one to end found the database in trouble."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        self.under_way += 1
        self.begun += 1
        try:
            async with self._store.begin() as tx:
                yield tx
            self.failing = False
        except Unavailable:
            self.failing = True
            raise
        finally:
            self.under_way -= 1
            self.ended += 1
            self.changed()

    async def idle(self) -> None:
        """Return once whoever uses the store does nothing more before a clock or somebody else wakes them: no
        transaction is open, and none begins for many turns of the event loop."""
        async with limit():
            turns, begun = 0, self.begun
            while turns < IDLE_TURNS:
                await asyncio.sleep(0)
                is_idle = not self.under_way and self.begun == begun
                turns, begun = turns + 1 if is_idle else 0, self.begun
