"""SQLite: statements run in the event loop's own thread, for they take microseconds; what waits for the disk does not.

A commit that has written something waits for the disk, as opening and closing do: these run in a thread. A file that
another program has locked is tried again and again, with pauses.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Executable, NullPool, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import OperationalError

from core.runtime.cancellation import uncancelled
from core.runtime.retry import Backoff
from storage.connections import Connection, Database, Result, Values
from storage.errors import damage_of, unavailable_reason

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0
"""How long a file that another program has locked is waited for."""
_BUSY_BACKOFF = Backoff(0.001, 0.05)
_PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
    "secure_delete=ON", "busy_timeout=0",  # from here on no statement waits for a lock in the event loop's thread
)  # fmt: skip


class SqliteDatabase(Database):
    """A file, or a database in memory, with one connection: SQLite before 3.51.3 can damage a WAL file that two
    connections reset at once."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._engine = create_engine(
            url.set(drivername="sqlite"),
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"check_same_thread": False},
        )
        event.listen(self._engine, "connect", _set_pragmas)
        event.listen(self._engine, "handle_error", self._look_for_damage)
        self.on_damage: Callable[[str], None] = lambda problem: None
        """Called with what is wrong once SQLite finds the file damaged."""
        self._thread = _new_thread()
        self._connection: SyncConnection | None = None
        self._driver: sqlite3.Connection
        self._changes_before = 0
        """The driver's count of changed rows when the transaction began."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        if self._connection is None or self._connection.invalidated:
            await self._in_thread(self._open)
        connection, driver = self._connection, self._driver
        assert connection is not None
        try:
            connection.begin()  # for SQLAlchemy's listeners: the driver begins nothing
            try:
                # A transaction that reads first and writes later would fail at once where another has written between.
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:
                await _begin_once_free(connection)
            self._changes_before = driver.total_changes
            yield self
            if driver.total_changes == self._changes_before:
                connection.commit()
            else:
                await self._in_thread(connection.commit)
        finally:
            # Also after a commit that failed: SQLAlchemy begins nothing new before. After a commit it does nothing.
            connection.rollback()
            if driver.in_transaction:
                driver.rollback()

    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        assert self._connection is not None, "no transaction"
        return self._connection.execute(statement, parameters)

    async def run(self, work: Callable[[SyncConnection], T]) -> T:
        async with self.transaction():
            connection = self._connection
            assert connection is not None
            result = await self._in_thread(lambda: work(connection))
            self._changes_before = -1  # tables may have changed, which counts as no row
            return result

    async def close(self) -> None:
        await self._in_thread(self._close)
        thread, self._thread = self._thread, _new_thread()
        thread.shutdown(wait=False)

    def _look_for_damage(self, context: ExceptionContext) -> None:
        if damage := damage_of(context.original_exception):
            self.on_damage(f"is damaged ({damage})")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await uncancelled(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _open(self) -> None:
        connection = self._engine.connect()
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._connection, self._driver = connection, driver

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _new_thread() -> ThreadPoolExecutor:
    """An executor whose one thread starts with its first call."""
    return ThreadPoolExecutor(1, thread_name_prefix="sqlite")


def _set_pragmas(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction: SqliteDatabase does
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


async def _begin_once_free(connection: SyncConnection) -> None:
    """Begin on a file that another program has locked. Raises OperationalError after BUSY_TIMEOUT_S."""
    deadline = monotonic() + BUSY_TIMEOUT_S
    for pause in _BUSY_BACKOFF.pauses():
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            if unavailable_reason(error) != "SQLITE_BUSY" or monotonic() >= deadline:
                raise
        else:
            return
        await asyncio.sleep(pause)
