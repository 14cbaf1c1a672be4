"""The one connection to the database: what every database offers."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Executable, Row

T = TypeVar("T")

Values = Mapping[str, Any]
"""The parameters of a statement by name, or a row's values by column key."""

Result = CursorResult[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]


class Connection(Protocol):
    """What runs statements, within a transaction."""

    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        """Run a statement, once for each mapping where `parameters` is a sequence. The rows are read already."""


class Database(ABC):
    """A database with one connection, so that one transaction runs at a time.

    A statement, a commit and a rollback are never cut in half by a cancellation: each ends first. So a commit that is
    cancelled may have happened.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Held by the transaction that runs, see DatabaseStore.begin. At the start there is only one."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction, committed when its block ends without an error and rolled back otherwise.

        Raises SQLAlchemyError. No other may run meanwhile.
        """

    @abstractmethod
    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        """See Connection."""

    @abstractmethod
    async def run(self, work: Callable[[SyncConnection], T]) -> T:
        """The result of `work`, done in a transaction of its own that may take any time, as migrations do."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection. The next transaction opens it again."""
