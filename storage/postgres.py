"""PostgreSQL: connections with time limits, and a database that works while this process holds its lock."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Executable, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.domain.errors import SetupError
from core.runtime.cancellation import uncancelled
from storage.connections import Connection, Database, Result, Values
from storage.database_url import without_password
from storage.postgres_lock import AdvisoryLock
from storage.sqlite_lock import InUse

T = TypeVar("T")

RESPONSE_TIMEOUT_S = 40.0
"""How long a response of the server is waited for: longer than its own limits, see _SERVER_LIMITS."""
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_SERVER_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "30s",
    # Else a transaction whose process has vanished would keep its locks.
    "idle_in_transaction_session_timeout": "30s",
    "synchronous_commit": "on",  # a confirmed commit is stored, whatever the server's default
    **{f"tcp_{name}": value for name, value in _KEEPALIVES.items()},
}
_CONNECT_ARGUMENTS = {
    "application_name": "qwentin",
    "connect_timeout": 10,
    "keepalives": 1,
    **_KEEPALIVES,
    "tcp_user_timeout": 30_000,
    "options": " ".join(f"-c {name}={value}" for name, value in _SERVER_LIMITS.items()),
}


class TimedConnection(psycopg.AsyncConnection[Any]):
    """A connection whose calls time out: a server that hangs keeps neither its own limits nor the network's."""

    response_timeout_s: float | None = RESPONSE_TIMEOUT_S

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Every call of a connection waits here. One that times out in the middle of a call is closed."""
        try:
            return await super().wait(gen, interval, self.response_timeout_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


class PostgresDatabase(Database):
    """A server's database. A call that is cancelled ends first: half of one would leave a connection in the middle of
    a statement."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__()
        self.engine = engine
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        connection = self._connection = self.engine.connect()
        try:
            await uncancelled(connection.start())  # the transaction begins with the first statement
            yield self
            await uncancelled(connection.commit())
        finally:
            self._connection = None
            if connection.sync_connection is not None:  # else it could not be opened
                await uncancelled(connection.close())

    async def execute(self, statement: Executable, parameters: Values | Sequence[Values] | None = None) -> Result:
        assert self._connection is not None, "no transaction"
        return await uncancelled(self._connection.execute(statement, parameters))

    async def run(self, work: Callable[[SyncConnection], T]) -> T:
        async with self.transaction():
            connection = self._connection
            assert connection is not None
            async with _without_timeouts(connection):
                return await uncancelled(connection.run_sync(work))

    async def close(self) -> None:
        await uncancelled(self.engine.dispose())


@asynccontextmanager
async def open_postgres(url: URL, lock_lost: Callable[[Exception], None]) -> AsyncIterator[PostgresDatabase]:
    """A database, while this process holds its lock. Raises SetupError and InUse, see open_database."""

    async def connect(**arguments: Any) -> TimedConnection:
        # A server that was restarted has lost the lock, and another process may hold it now.
        try:
            await lock.confirm()
        except InUse as error:
            raise psycopg.OperationalError("another process has taken the database") from error
        return await TimedConnection.connect(**arguments)

    arguments: dict[str, Any] = {name: value for name, value in _CONNECT_ARGUMENTS.items() if name not in url.query}
    lock = AdvisoryLock(url, lambda: TimedConnection.connect(**_driver_arguments(url), **arguments, autocommit=True))
    async with lock.hold(lock_lost):
        # One connection, as on SQLite: transactions run one after another, and what the store relies on is the same.
        engine = create_async_engine(
            url, hide_parameters=True, pool_size=1, max_overflow=0, pool_timeout=3600, pool_pre_ping=True,
            connect_args={**arguments, "async_creator_fn": connect},
        )  # fmt: skip

        def check_lock(*checkout: object) -> None:
            if lock.in_use:
                raise DisconnectionError  # then connect is called, which raises

        event.listen(engine.sync_engine, "checkout", check_lock)
        database = PostgresDatabase(engine)
        await _check_encoding(database, url)
        yield database


async def _check_encoding(database: PostgresDatabase, url: URL) -> None:
    """Raises SetupError unless the encoding is UTF8: another takes no emoji."""
    async with database.transaction() as connection:
        encoding = (await connection.execute(text("SHOW server_encoding"))).scalar()
    if encoding != "UTF8":
        raise SetupError(
            f"The database {without_password(url)} has the encoding {encoding}: create one with ENCODING 'UTF8'."
        )


def _driver_arguments(url: URL) -> dict[str, Any]:
    """The URL as keyword arguments of the driver."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    return dict(arguments)


@asynccontextmanager
async def _without_timeouts(connection: AsyncConnection) -> AsyncIterator[None]:
    """Let the statements of a migration take any time."""
    driver_connection = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver_connection, TimedConnection)
    driver_connection.response_timeout_s = None
    try:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield
    finally:
        driver_connection.response_timeout_s = RESPONSE_TIMEOUT_S
