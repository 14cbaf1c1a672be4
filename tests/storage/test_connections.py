"""The one connection: transactions in turn, none of which keeps the event loop waiting or leaves it half used."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, insert, select

from core.domain.store import Unavailable
from storage import sqlite
from storage.connections import Connection, Database
from storage.database import open_database
from storage.sqlite import SqliteDatabase
from storage.store import DatabaseStore
from storage.tables import users
from tests.patience import limit

BOTH = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


@asynccontextmanager
async def transaction(opened: Database) -> AsyncIterator[Connection]:
    """A transaction of the store, in its turn."""
    async with DatabaseStore(opened).begin():
        yield opened


async def write(connection: Connection, user: str) -> None:
    await connection.execute(insert(users), {"platform": "fake", "user": user, "language": "vi", "set_at": 1})


async def stored(opened: Database) -> list[str]:
    async with transaction(opened) as connection:
        return list((await connection.execute(select(users.c.user).order_by(users.c.set_at, users.c.user))).scalars())


async def passed(turns: int = 10) -> None:
    """The event loop goes on that many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


@BOTH
async def test_transactions_come_in_the_order_in_which_they_were_begun(opened: Database) -> None:
    order = list[str]()
    first_may_end = asyncio.Event()

    async def named(name: str) -> None:
        async with transaction(opened) as connection:
            order.append(f"{name} begins")
            if name == "a":
                await first_may_end.wait()
            await write(connection, name)
            order.append(f"{name} ends")

    async with limit(), asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(named(name))
        while not order:
            await asyncio.sleep(0)
        await passed()
        assert order == ["a begins"]
        first_may_end.set()
    assert order == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]
    assert await stored(opened) == ["a", "b", "c"]


@BOTH
async def test_who_gives_up_waiting_holds_up_nobody(opened: Database) -> None:
    async with limit():
        async with transaction(opened) as connection:
            second, third = (asyncio.create_task(stored(opened)) for _ in range(2))
            await passed()
            second.cancel()
            await write(connection, "a")
        assert await third == ["a"] and second.cancelled()


@BOTH
async def test_an_error_in_the_block_rolls_back_and_frees_the_connection(opened: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with transaction(opened) as connection:
            await write(connection, "lost")
            raise ZeroDivisionError
    assert await stored(opened) == []


@BOTH
async def test_a_cancelled_block_rolls_back_and_frees_the_connection(opened: Database) -> None:
    written = asyncio.Event()

    async def half() -> None:
        async with transaction(opened) as connection:
            await write(connection, "lost")
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(half())
    async with limit():
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stored(opened) == []


@BOTH
async def test_every_transaction_is_announced_once(opened: Database) -> None:
    begun = list[object]()

    def note(connection: object) -> None:
        begun.append(connection)

    event.listen(Engine, "begin", note)
    try:
        for count in range(1, 4):
            await stored(opened)
            assert len(begun) == count
    finally:
        event.remove(Engine, "begin", note)


class Commits:
    """In which threads SQLite commits; `held` keeps them waiting there."""

    def __init__(self, opened: Database) -> None:
        assert isinstance(opened, SqliteDatabase) and opened._connection
        self.threads = list[int]()
        self.begun, self.held = threading.Event(), threading.Event()
        self.held.set()
        event.listen(opened._engine, "commit", self._commit)

    def _commit(self, connection: object) -> None:
        self.threads.append(threading.get_ident())
        self.begun.set()
        self.held.wait(60)


async def test_only_a_commit_that_has_written_goes_to_the_thread(opened: Database) -> None:
    commits, here = Commits(opened), threading.get_ident()
    await stored(opened)
    assert commits.threads == [here]
    async with transaction(opened) as connection:
        await write(connection, "a")
    assert len(commits.threads) == 2 and commits.threads[1] != here


async def test_a_commit_that_is_cancelled_is_finished_first(opened: Database) -> None:
    async def whole() -> None:
        async with transaction(opened) as connection:
            await write(connection, "kept")

    commits = Commits(opened)
    commits.held.clear()
    task = asyncio.create_task(whole())
    async with limit():
        while not commits.begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await passed()
        assert not task.done(), "the event loop goes on meanwhile, the transaction has not ended"
        commits.held.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stored(opened) == ["kept"]


@pytest.fixture
def holder(database: str) -> Callable[[], sqlite3.Connection]:
    """Has another program lock the file."""

    def hold() -> sqlite3.Connection:
        other = sqlite3.connect(Path(database.removeprefix("sqlite+aiosqlite:///")), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        return other

    return hold


async def test_a_locked_file_is_waited_for_while_the_event_loop_goes_on(
    opened: Database, holder: Callable[[], sqlite3.Connection]
) -> None:
    with closing(holder()) as other:
        waiting = asyncio.create_task(stored(opened))
        await passed(100)
        assert not waiting.done()
        other.execute("ROLLBACK")
        async with limit():
            assert await waiting == []


async def test_a_locked_file_is_not_waited_for_without_end(
    opened: Database, holder: Callable[[], sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.0)
    with closing(holder()), pytest.raises(Unavailable, match="SQLITE_BUSY"):
        await stored(opened)
    assert await stored(opened) == []


async def test_who_is_cancelled_at_a_locked_file_leaves_the_connection_usable(
    opened: Database, holder: Callable[[], sqlite3.Connection]
) -> None:
    with closing(holder()):
        waiting = asyncio.create_task(stored(opened))
        await passed(100)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await stored(opened) == []
