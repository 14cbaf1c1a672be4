"""A PostgreSQL server in trouble: Unavailable, without a word of what was to be stored, and all is well afterwards."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

import psycopg
import pytest
from sqlalchemy import text

from core.domain.reply_states import Lane
from core.domain.store import Unavailable
from storage.database import open_database
from storage.postgres import PostgresDatabase, TimedConnection
from storage.store import DatabaseStore, SqlTransaction
from tests.fakes import incoming, owe
from tests.postgres import Postgres
from tests.storage.troubled_writes import SECRET, counted, refused, write

pytestmark = pytest.mark.slow  # a server starts for it


@pytest.fixture
def name(postgres: Postgres, template: str) -> Iterator[str]:
    """A database of the test's own."""
    with postgres.database(template) as name:
        yield name


@asynccontextmanager
async def opened(postgres: Postgres, name: str, options: str = "") -> AsyncIterator[DatabaseStore]:
    address = postgres.address(name) + (f"&options={options}" if options else "")
    async with open_database(address) as database:
        yield DatabaseStore(database)


async def here(tx: SqlTransaction) -> int:
    """The process that serves a transaction."""
    return int((await tx.replies._connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def test_sessions_that_end_between_transactions_are_not_noticed(postgres: Postgres, name: str) -> None:
    async with opened(postgres, name) as store:
        for _ in range(3):
            await write(store)
            for process in postgres.sessions(name):  # the lock's, too
                postgres.admin(f"SELECT pg_terminate_backend({process}, 1000)")
        await write(store)
        assert await counted(store) == 4
        assert len(postgres.sessions(name)) == 2


async def test_a_session_that_ends_in_a_transaction(postgres: Postgres, name: str) -> None:
    async with opened(postgres, name) as store:
        with pytest.raises(Unavailable, match="AdminShutdown"):
            async with store.begin() as tx:
                await owe(tx, incoming(SECRET), Lane.ANSWER)
                postgres.admin(f"SELECT pg_terminate_backend({await here(tx)}, 1000)")
                await tx.replies.count_active()
        await write(store)
        assert await counted(store) == 1


async def test_a_session_that_ends_before_the_commit(postgres: Postgres, name: str) -> None:
    async with opened(postgres, name) as store:
        with pytest.raises(Unavailable):
            async with store.begin() as tx:
                await owe(tx, incoming(SECRET), Lane.ANSWER)
                postgres.admin(f"SELECT pg_terminate_backend({await here(tx)}, 1000)")
        await write(store)
        assert await counted(store) == 1


async def test_a_connection_that_is_cut(postgres: Postgres, name: str) -> None:
    async with opened(postgres, name) as store:
        with pytest.raises(Unavailable):
            async with store.begin() as tx:
                await tx.replies.count_active()
                connection = tx.replies._connection
                assert isinstance(connection, PostgresDatabase) and connection._connection
                driver = (await connection._connection.get_raw_connection()).driver_connection
                assert isinstance(driver, TimedConnection)
                with socket.socket(fileno=os.dup(driver.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)
                await tx.replies.count_active()
        await write(store)
        assert await counted(store) == 1


async def test_a_server_that_is_restarted(postgres: Postgres, name: str) -> None:
    async with opened(postgres, name) as store:
        await write(store)
        postgres.stop()
        try:
            for _ in range(3):
                await refused(store)
        finally:
            postgres.start()
        await write(store)
        assert await counted(store) == 2


@contextmanager
def locked(postgres: Postgres, name: str) -> Iterator[None]:
    with psycopg.connect(postgres.address(name)) as other:
        other.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def full(postgres: Postgres, name: str) -> Iterator[None]:
    """No disk is: the server says so all the same."""
    body = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END"
    postgres.admin(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $${body}$$", name)
    postgres.admin("CREATE TRIGGER t BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION full_disk()", name)
    yield
    postgres.admin("DROP TRIGGER t ON inbox", name)


@contextmanager
def read_only(postgres: Postgres, name: str) -> Iterator[None]:
    def switch(value: str) -> None:
        postgres.admin(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        for process in postgres.sessions(name):
            postgres.admin(f"SELECT pg_terminate_backend({process}, 1000)")

    switch("on")
    yield
    switch("off")


FAULTS: dict[str, tuple[Callable[[Postgres, str], AbstractContextManager[None]], str]] = {
    "locked": (locked, "LockNotAvailable"),
    "full": (full, "DiskFull"),
    "read-only": (read_only, "ReadOnlySqlTransaction"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_postgresql_in_trouble(postgres: Postgres, name: str, fault: str) -> None:
    broken, kind = FAULTS[fault]
    async with opened(postgres, name, "-c%20lock_timeout=50") as store:
        with broken(postgres, name):
            for _ in range(2):
                assert kind in await refused(store)
        await write(store)
        assert await counted(store) == 1


async def test_a_server_that_hangs(postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(postgres, name) as store:
        async with store.begin() as tx:
            hanging = await here(tx)
        monkeypatch.setattr(TimedConnection, "response_timeout_s", 1)
        try:
            async with asyncio.timeout(60):
                with pytest.raises(Unavailable):
                    async with store.begin() as tx:
                        await tx.replies.count_active()
                        os.kill(hanging, signal.SIGSTOP)
                        await tx.replies.count_active()
                await write(store)
        finally:
            os.kill(hanging, signal.SIGCONT)
        assert await counted(store) == 1
