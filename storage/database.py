"""Opening the database: lock, connect, migrate. Every mistake here is the owner's to mend, so it is one clear line."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import AsyncAdaptedQueuePool, Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.domain.errors import SetupError
from core.runtime.failpoints import failpoint
from storage.database_url import parse, reason, shown, sqlite_file
from storage.errors import trouble
from storage.sqlite_lock import InUse, locked_file

__all__ = ["InUse", "open_database"]

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
PACKAGED_MIGRATIONS = Path(__file__).parent / "migrations"
"""Where a wheel has what is ROOT/alembic in a clone."""
START = 60.0
"""Seconds that a database is waited for at start."""


def _log(error: Exception) -> None:
    log.error("%s", error)


@asynccontextmanager
async def open_database(address: str, lost: Callable[[Exception], None] = _log) -> AsyncIterator[AsyncEngine]:
    """An engine on the migrated database; the lock is held and the engine disposed of with the block.

    Raises SetupError: unknown address, missing or read-only folder, damaged file, a server that can't be reached within
    a minute or refuses, newer than the code; InUse.

    `lost` is called, once, where the lock can be lost later (on PostgreSQL) and another process has it: with InUse, or
    with the bug that ended its watch. From then on the store raises Unavailable, and the process should end.
    """
    url = parse(address)
    async with _locked(url, lost) as engine:
        try:
            await _migrate(engine, url)
            yield engine
        finally:
            await asyncio.shield(engine.dispose())


@asynccontextmanager
async def _locked(url: URL, lost: Callable[[Exception], None]) -> AsyncIterator[AsyncEngine]:
    if url.get_backend_name() != "sqlite":
        async with _server().connected(url, lost) as engine:
            yield engine
        return
    file = sqlite_file(url)
    with nullcontext() if file is None else locked_file(file):
        yield _sqlite(url)


def _server() -> ModuleType:
    """What needs the driver, which SQLite's users need not wait for."""
    try:
        from storage import postgres  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(f"PostgreSQL needs the package psycopg[binary]: {error}.") from error
    return postgres


def _sqlite(url: URL) -> AsyncEngine:
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
    """A file that others hold is waited for, as a server is that is not there yet."""
    patient = monotonic() + START
    while True:
        try:
            return await _migrated(engine, url)
        except SQLAlchemyError as error:
            if trouble(error) != "SQLITE_BUSY" or monotonic() >= patient:
                raise SetupError(f"The database {shown(url)} can't be used: {reason(error)}.") from error
            log.warning("The database %s is held by another program; waiting for it", shown(url))


async def _migrated(engine: AsyncEngine, url: URL) -> None:
    async with engine.connect() as connection:
        current = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
    if current == _scripts().get_current_head():
        return
    _known(current, url)
    if current is not None and (file := sqlite_file(url)) is not None:
        _copy(file, current)
        failpoint("copied")
    async with engine.begin() as connection, _unhurried(connection):
        await connection.run_sync(_upgrade)
        failpoint("migrating")


def _unhurried(connection: AsyncConnection) -> AbstractAsyncContextManager[None]:
    on_server = connection.dialect.name != "sqlite"
    return _server().unhurried(connection) if on_server else nullcontext()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    for folder in (ROOT / "alembic", PACKAGED_MIGRATIONS):
        if (folder / "env.py").is_file():  # site-packages/alembic, the library, has none
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            return config
    raise SetupError("The database migrations are missing: this installation is incomplete. Install Qwentin again.")


def _known(revision: str | None, url: URL) -> None:
    if revision is None:
        return
    try:
        _scripts().get_revision(revision)
    except CommandError as error:
        raise SetupError(f"The database {shown(url)} was written by a newer Qwentin: update this one.") from error


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
