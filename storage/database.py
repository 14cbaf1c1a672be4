"""Opening the database: lock, connect, migrate. Every mistake here is the owner's to mend, so it is one clear line."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock, Timeout
from sqlalchemy import AsyncAdaptedQueuePool, Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.errors import SetupError

ROOT = Path(__file__).parents[1]


class InUse(SetupError):
    """Another process holds the database."""


@asynccontextmanager
async def open_database(address: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the migrated database; the lock is held and the engine disposed of with the block.

    Raises SetupError: unknown address, missing or read-only folder, damaged file, newer than the code; InUse.
    """
    url = _parse(address)
    with _locked(url):
        engine = _connectable(url)
        try:
            await _migrate(engine, url)
            yield engine
        finally:
            await asyncio.shield(engine.dispose())


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
        usable = url.get_dialect().is_async
    except (SQLAlchemyError, ImportError):
        usable = False
    if not usable:
        raise SetupError("DATABASE_URL is no address of a database. Example: sqlite+aiosqlite:///data/qwentin.db")
    return url


def _file(url: URL) -> Path | None:
    """The SQLite file; None in memory, for an SQLite URI, and for a database server."""
    name = str(url.database or ":memory:")
    return None if url.get_backend_name() != "sqlite" or name.startswith((":memory:", "file:")) else Path(name)


@contextmanager
def _locked(url: URL) -> Iterator[None]:
    """One process a database. A lock file beside an SQLite file goes with its process, however that dies."""
    if (file := _file(url)) is None:
        yield
        return
    _writable(file.parent)
    lock = FileLock(file.with_name(file.name + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        words = f"The database {file} is in use by another Qwentin: stop that one, or change DATABASE_URL."
        raise InUse(words) from error
    except OSError as error:
        raise SetupError(
            f"The lock {lock.lock_file} can't be opened: {error.strerror}. Is it somebody else's?"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _writable(folder: Path) -> None:
    if not folder.is_dir():
        raise SetupError(f"The database folder {folder} does not exist: create it, or change DATABASE_URL.")
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(f"The database folder {folder} can't be written to: {error.strerror}.") from error


def _connectable(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True)
    # One connection: SQLite before 3.51.3 can damage a WAL file that two connections reset at once.
    engine = create_async_engine(
        url, hide_parameters=True, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=3600
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once where another has written in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _migrate(engine: AsyncEngine, url: URL) -> None:
    try:
        async with engine.connect() as connection:
            current = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
        if current == _scripts().get_current_head():
            return
        _known(current, url)
        if current is not None and (file := _file(url)) is not None:
            _copy(file, current)
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise SetupError(f"The database {url.render_as_string(hide_password=True)} can't be used: {reason}.") from error


def _scripts() -> ScriptDirectory:
    if not (ROOT / "alembic" / "versions").is_dir():
        raise SetupError("The migrations are missing: a wheel has none. Run from a clone (make run) or a container.")
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    return Config(toml_file=str(ROOT / "pyproject.toml"))


def _known(revision: str | None, url: URL) -> None:
    if revision is None:
        return
    try:
        _scripts().get_revision(revision)
    except CommandError as error:
        shown = url.render_as_string(hide_password=True)
        raise SetupError(f"The database {shown} was written by a newer Qwentin: update this one.") from error


def _copy(file: Path, revision: str) -> None:
    """Keep what was there before a migration. Through SQLite itself, so that what is still in the WAL comes along."""
    target = file.with_name(f"{file.name}.{revision}.bak")
    with sqlite3.connect(file) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    shutil.copymode(file, target)


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
