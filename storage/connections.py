"""The one connection to the database, and the turns in which transactions use it; the same for every database."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.exc import TimeoutError as NoConnectionFree

T = TypeVar("T")

Values = Mapping[str, Any]
"""The parameters of a statement by name, or a row's values by column key."""

Result = CursorResult[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]

TURN_TIMEOUT_S = 3600.0
"""How long a transaction waits for those before it."""


class Connection(Protocol):
    """What runs statements, within a transaction."""

    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        """Run a statement, once for each mapping where `parameters` is a sequence. The rows are read already."""


class Database(ABC):
    """A database with one connection. Transactions run one after another, in the order in which they were begun.

    A statement, a commit and a rollback are never cut in half by a cancellation: each ends first. So a commit that is
    cancelled may have happened.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction, committed when its block ends without an error and rolled back otherwise.

        Raises SQLAlchemyError, also NoConnectionFree after TURN_TIMEOUT_S.
        """
        await self._take_turn()
        try:
            await self._begin()
            yield self
            await self._commit()
        finally:
            try:
                await self._end()
            finally:
                self._turn.release()

    @abstractmethod
    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        """See Connection."""

    @abstractmethod
    async def run(self, work: Callable[[SyncConnection], T]) -> T:
        """The result of `work`, done in a transaction of its own that may take any time, as migrations do."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection. The next transaction opens it again."""

    @abstractmethod
    async def _begin(self) -> None: ...

    @abstractmethod
    async def _commit(self) -> None: ...

    @abstractmethod
    async def _end(self) -> None:
        """Roll back what is not committed; the connection is free for the next transaction."""

    async def _take_turn(self) -> None:
        if not self._waiting and not self._turn.locked():
            await self._turn.acquire()  # at once
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise NoConnectionFree("the transactions before this one take too long") from error
        finally:
            self._waiting -= 1


def inserted_id(result: Result) -> int:
    """The id of the one row that an INSERT has stored."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
