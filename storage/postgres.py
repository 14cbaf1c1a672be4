"""A PostgreSQL server: connections that end where it hangs, and an engine for as long as the database is ours."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.domain.errors import SetupError
from storage.database_url import shown
from storage.postgres_lock import ServerLock
from storage.sqlite_lock import InUse

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds that an answer of the server is waited for: more than what it allows itself, see _LIMITS."""
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "30s",
    # A transaction whose process is gone without a word would hold what it has locked.
    "idle_in_transaction_session_timeout": "30s",
    "synchronous_commit": "on",  # what is confirmed is stored, whatever the server's own default
    **{f"tcp_{name}": value for name, value in _ALIVE.items()},
}
_ARGUMENTS = {
    "application_name": "qwentin",
    "connect_timeout": 10,
    "keepalives": 1,
    **_ALIVE,
    "tcp_user_timeout": 30_000,
    "options": " ".join(f"-c {name}={value}" for name, value in _LIMITS.items()),
}


class Session(psycopg.AsyncConnection[Any]):
    """A connection that does not wait for ever. A server that hangs keeps neither its own limits nor the network's."""

    patience: float | None = PATIENCE

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """What every call of a connection waits in. One that is given up in the middle is of no use any more."""
        try:
            return await super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


@asynccontextmanager
async def connected(url: URL, lost: Callable[[Exception], None]) -> AsyncIterator[AsyncEngine]:
    """An engine while this process holds the database's lock. Raises SetupError, InUse; see open_database."""

    async def connect(**arguments: Any) -> Session:
        # A server that was restarted has forgotten the lock: whoever has it now is the one who writes.
        try:
            await lock.confirm()
        except InUse as error:
            raise psycopg.OperationalError("another process has taken the database") from error
        return await Session.connect(**arguments)

    arguments: dict[str, Any] = {name: value for name, value in _ARGUMENTS.items() if name not in url.query}
    lock = ServerLock(url, lambda: Session.connect(**_spelled(url), **arguments, autocommit=True))
    async with lock.held(lost):
        # One connection, as on SQLite: transactions run one after another, and what the store relies on is the same.
        engine = create_async_engine(
            url, hide_parameters=True, pool_size=1, max_overflow=0, pool_timeout=3600, pool_pre_ping=True,
            connect_args={**arguments, "async_creator_fn": connect},
        )  # fmt: skip

        def look(*checkout: object) -> None:
            if lock.taken:
                raise DisconnectionError  # and connect says no

        event.listen(engine.sync_engine, "checkout", look)
        await _in_unicode(engine, url)
        yield engine


async def _in_unicode(engine: AsyncEngine, url: URL) -> None:
    """Another encoding would refuse the first emoji."""
    async with engine.connect() as connection:
        encoding = (await connection.execute(text("SHOW server_encoding"))).scalar()
    if encoding != "UTF8":
        raise SetupError(f"The database {shown(url)} has the encoding {encoding}: create one with ENCODING 'UTF8'.")


def _spelled(url: URL) -> dict[str, Any]:
    """The URL as arguments of the driver."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    return dict(arguments)


@asynccontextmanager
async def unhurried(connection: AsyncConnection) -> AsyncIterator[None]:
    """A migration takes as long as it takes."""
    session = (await connection.get_raw_connection()).driver_connection
    assert isinstance(session, Session)
    session.patience = None
    try:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield
    finally:
        session.patience = PATIENCE
