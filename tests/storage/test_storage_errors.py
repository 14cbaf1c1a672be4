"""A database in trouble: Unavailable, without a word of what was to be stored, and all is well again afterwards."""

import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from core.domain.reply_states import Lane
from core.domain.store import Unavailable, Unstorable
from storage import sqlite
from storage import store as sql_store
from storage.connections import Database
from storage.database import open_database
from storage.errors import unavailable_reason
from storage.sqlite import SqliteDatabase
from storage.store import DatabaseStore
from tests.fakes import incoming, owe
from tests.storage.troubled_writes import SECRET, counted, refused, write
from tests.tables import each_row

BOTH = pytest.mark.databases("sqlite", "postgresql")


def pragma(database: Database, statement: str) -> object:
    """On the one connection that there is, without a transaction."""
    assert isinstance(database, SqliteDatabase)
    row = database._driver.execute(f"PRAGMA {statement}").fetchone()
    return row and row[0]


def file_of(address: str) -> Path:
    return Path(address.removeprefix("sqlite+aiosqlite:///"))


async def test_sqlite_locked_by_another_process(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        with closing(sqlite3.connect(file_of(database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "SQLITE_BUSY" in await refused(store)
            with pytest.raises(Unavailable):
                await store.latest_chat("fake")
            other.execute("ROLLBACK")
        await write(store)
        assert await counted(store) == 1


async def test_sqlite_full(database: str) -> None:
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        await write(store)
        pragma(opened, f"max_page_count={pragma(opened, 'page_count')}")
        with pytest.raises(Unavailable, match="SQLITE_FULL"):
            for _ in range(100):
                async with store.begin() as tx:
                    await owe(tx, incoming(SECRET * 1000), Lane.ANSWER)
        before = await counted(store)
        pragma(opened, "max_page_count=1000000")
        await write(store)
        assert await counted(store) == before + 1
        assert pragma(opened, "integrity_check") == "ok"


async def test_sqlite_has_no_room_at_the_commit(database: str) -> None:
    """The system lets no file of the process grow, as on a full disk."""
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        await write(store)
        room = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, room[1]))
        try:
            for _ in range(3):
                await refused(store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, room)
        await write(store)
        assert await counted(store) == 2


async def test_sqlite_read_only(database: str) -> None:
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        pragma(opened, "query_only=ON")
        assert "SQLITE_READONLY" in await refused(store)
        pragma(opened, "query_only=OFF")
        await write(store)
        assert await counted(store) == 1


async def test_sqlite_can_not_be_opened_for_a_while(database: str, tmp_path: Path) -> None:
    file, away = file_of(database), tmp_path / "away.db"
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        await write(store)
        await opened.close()
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
            await tx.replies._connection.execute(text("SELECT * FROM nowhere"))
    with pytest.raises(Unstorable, match=r"stored: (IntegrityError|UniqueViolation)$"):
        async with store.begin() as tx:
            for _ in range(2):
                await tx.replies._connection.execute(text("INSERT INTO users VALUES ('fake', 'ann', 'vi', 1)"))
    with pytest.raises(ZeroDivisionError):
        async with store.begin():
            raise ZeroDivisionError
    with pytest.raises(ConnectionError):
        async with store.begin():
            raise ConnectionResetError
    await write(store)


@BOTH
async def test_no_connection_is_free(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_store, "TURN_TIMEOUT_S", 0.05)
    async with open_database(database) as opened:
        store = DatabaseStore(opened)
        async with store.begin() as tx:
            await tx.replies.count_active()
            assert "free" in await refused(store)
        await write(store)
