"""A database in trouble: Unavailable, without a word of what was to be stored, and all is well again afterwards."""

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path

import aiosqlite
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.reply_states import Lane
from core.domain.store import Unavailable
from storage.database import open_database
from storage.errors import unavailable_reason
from storage.postgres import TimedConnection
from storage.store import DatabaseStore, SqlTransaction
from tests.fakes import incoming, owe
from tests.postgres import Postgres
from tests.tables import each_row

SECRET = "what nobody may read"
BOTH = pytest.mark.databases("sqlite", "postgresql")


async def write(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await owe(tx, incoming(SECRET), Lane.ANSWER)


async def refused(store: DatabaseStore) -> str:
    """It can't be written; the reason that is given."""
    with pytest.raises(Unavailable) as caught:
        await write(store)
    shown = f"{caught.value!r} {caught.value.__cause__}"
    assert SECRET not in shown and "\n" not in str(caught.value)
    return str(caught.value)


async def counted(store: DatabaseStore) -> int:
    async with store.begin() as tx:
        return (await tx.replies.count_active())[1]


async def pragma(engine: AsyncEngine, statement: str) -> object:
    """On the one connection that there is, without a transaction."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, aiosqlite.Connection)
        row = await (await driver.execute(f"PRAGMA {statement}")).fetchone()
        return row and row[0]


def file_of(address: str) -> Path:
    return Path(address.removeprefix("sqlite+aiosqlite:///"))


async def test_sqlite_locked_by_another_process(database: str) -> None:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        await pragma(engine, "busy_timeout=50")
        with closing(sqlite3.connect(file_of(database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "SQLITE_BUSY" in await refused(store)
            with pytest.raises(Unavailable):
                await store.latest_chat("fake")
            other.execute("ROLLBACK")
        await write(store)
        assert await counted(store) == 1


async def test_sqlite_full(database: str) -> None:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        await write(store)
        await pragma(engine, f"max_page_count={await pragma(engine, 'page_count')}")
        with pytest.raises(Unavailable, match="SQLITE_FULL"):
            for _ in range(100):
                async with store.begin() as tx:
                    await owe(tx, incoming(SECRET * 1000), Lane.ANSWER)
        before = await counted(store)
        await pragma(engine, "max_page_count=1000000")
        await write(store)
        assert await counted(store) == before + 1
        assert await pragma(engine, "integrity_check") == "ok"


async def test_sqlite_read_only(database: str) -> None:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        await pragma(engine, "query_only=ON")
        assert "SQLITE_READONLY" in await refused(store)
        await pragma(engine, "query_only=OFF")
        await write(store)
        assert await counted(store) == 1


async def test_sqlite_can_not_be_opened_for_a_while(database: str, tmp_path: Path) -> None:
    file, away = file_of(database), tmp_path / "away.db"
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        await write(store)
        await engine.dispose()
        shutil.move(file, away)
        file.mkdir()
        assert "SQLITE_CANTOPEN" in await refused(store)
        file.rmdir()
        shutil.move(away, file)
        await write(store)
        assert await counted(store) == 2


@each_row(
    ("kind", "is_trouble"),
    [
        ("ConnectionTimeout", True),
        ("CannotConnectNow", True),
        ("TooManyConnections", True),
        ("QueryCanceled", True),
        ("DeadlockDetected", True),
        ("IoError", True),
        ("IdleInTransactionSessionTimeout", True),
        ("UndefinedTable", False),
        ("InFailedSqlTransaction", False),
        ("StringDataRightTruncation", False),
        ("UniqueViolation", False),
        ("InsufficientPrivilege", False),
    ],
)
def test_what_is_trouble(kind: str, is_trouble: bool) -> None:
    error = DBAPIError.instance("SELECT 1", None, getattr(psycopg.errors, kind)("words"), psycopg.Error)
    assert isinstance(error, DBAPIError) and unavailable_reason(error) == (kind if is_trouble else None)


@BOTH
async def test_what_is_our_mistake_is_not_called_trouble(store: DatabaseStore) -> None:
    with pytest.raises((OperationalError, ProgrammingError), match="nowhere"):
        async with store.begin() as tx:
            await tx.replies._session.execute(text("SELECT * FROM nowhere"))
    with pytest.raises(IntegrityError):
        async with store.begin() as tx:
            for _ in range(2):
                await tx.replies._session.execute(text("INSERT INTO users VALUES ('fake', 'ann', 'vi', 1)"))
    with pytest.raises(ZeroDivisionError):
        async with store.begin():
            raise ZeroDivisionError
    with pytest.raises(ConnectionError):
        async with store.begin():
            raise ConnectionResetError
    await write(store)


@BOTH
async def test_no_connection_is_free(database: str) -> None:
    async with open_database(database) as engine:
        engine.pool._timeout = 0.05  # type: ignore[attr-defined]
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            await tx.replies.count_active()
            assert "free" in await refused(store)
        await write(store)


@pytest.fixture
def name(postgres: Postgres, template: str) -> Iterator[str]:
    """A database of the test's own."""
    with postgres.database(template) as name:
        yield name


@asynccontextmanager
async def opened(postgres: Postgres, name: str, options: str = "") -> AsyncIterator[DatabaseStore]:
    address = postgres.address(name) + (f"&options={options}" if options else "")
    async with open_database(address) as engine:
        yield DatabaseStore(engine)


async def here(tx: SqlTransaction) -> int:
    """The process that serves a transaction."""
    return int((await tx.replies._session.execute(text("SELECT pg_backend_pid()"))).scalar_one())


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
                session = await tx.replies._session.connection()
                driver = (await session.get_raw_connection()).driver_connection
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
