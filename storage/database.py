"""Opening the database: lock, connect, migrate. What goes wrong here is a SetupError: one clear line for the owner."""

import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from time import monotonic
from types import ModuleType

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from core.domain.errors import SetupError
from core.runtime.failpoints import failpoint
from storage.connections import Database
from storage.database_url import error_line, parse_database_url, sqlite_file, without_password
from storage.errors import damage_of, unavailable_reason
from storage.sqlite import SqliteDatabase
from storage.sqlite_lock import InUse, hold_file_lock
from storage.sqlite_watch import DatabaseFileLost, FileWatch

__all__ = ["InUse", "open_database"]

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
PACKAGED_MIGRATIONS = Path(__file__).parent / "migrations"
"""Where a wheel has what is ROOT/alembic in a clone."""
START_TIMEOUT_S = 60.0
"""How long a database that is busy is waited for at start."""


def _log_error(error: Exception) -> None:
    log.error("%s", error)


@asynccontextmanager
async def open_database(address: str, lost: Callable[[Exception], None] = _log_error) -> AsyncIterator[Database]:
    """The migrated database, whose lock is held until the block ends.

    Raises InUse, and SetupError for an unknown address, a missing or read-only folder, a damaged file, a server that
    can't be reached within START_TIMEOUT_S or refuses, or a database of a newer version.

    `lost` is called at most once, and then the process should end. On PostgreSQL with InUse when another process has
    taken the lock, or with the bug that ended its supervision: from then on the store raises Unavailable. On SQLite
    with DatabaseFileLost when the file is gone, is another one, or is damaged.
    """
    url = parse_database_url(address)
    async with _locked_database(url, lost) as database:
        try:
            await _migrate(database, url)
            async with _watched(database, sqlite_file(url), lost):
                yield database
        finally:
            await database.close()


@asynccontextmanager
async def _watched(database: Database, file: Path | None, lost: Callable[[Exception], None]) -> AsyncIterator[None]:
    if not isinstance(database, SqliteDatabase) or file is None:
        yield
        return
    watch = FileWatch(file, lost)
    database.on_damage = watch.report
    async with watch.watching():
        yield


@asynccontextmanager
async def _locked_database(url: URL, lost: Callable[[Exception], None]) -> AsyncIterator[Database]:
    if url.get_backend_name() != "sqlite":
        async with _postgres().open_postgres(url, lost) as database:
            yield database
        return
    file = sqlite_file(url)
    with nullcontext() if file is None else hold_file_lock(file):
        yield SqliteDatabase(url)


def _postgres() -> ModuleType:
    """The module that imports the driver, which takes time and may not be installed."""
    try:
        from storage import postgres  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(f"PostgreSQL needs the package psycopg[binary]: {error}.") from error
    return postgres


async def _migrate(database: Database, url: URL) -> None:
    """Migrate to the newest revision. A file that another program has locked is waited for."""
    deadline = monotonic() + START_TIMEOUT_S
    while True:
        try:
            return await _migrate_once(database, url)
        except SQLAlchemyError as error:
            if (file := sqlite_file(url)) is not None and (damage := damage_of(error)):
                raise DatabaseFileLost(file, f"is damaged ({damage})") from error
            if unavailable_reason(error) != "SQLITE_BUSY" or monotonic() >= deadline:
                raise SetupError(f"The database {without_password(url)} can't be used: {error_line(error)}.") from error
            log.warning("The database %s is held by another program; waiting for it", without_password(url))


async def _migrate_once(database: Database, url: URL) -> None:
    current = await database.run(lambda connection: MigrationContext.configure(connection).get_current_revision())
    if current == _scripts().get_current_head():
        return
    _check_revision(current, url)
    if current is not None and (file := sqlite_file(url)) is not None:
        _back_up(file, current)
        failpoint("copied")
    await database.run(_upgrade)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    for folder in (ROOT / "alembic", PACKAGED_MIGRATIONS):
        if (folder / "env.py").is_file():  # site-packages/alembic, the library, has none
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            return config
    raise SetupError("The database migrations are missing: this installation is incomplete. Install Qwentin again.")


def _check_revision(revision: str | None, url: URL) -> None:
    if revision is None:
        return
    try:
        _scripts().get_revision(revision)
    except CommandError as error:
        raise SetupError(
            f"The database {without_password(url)} was written by a newer Qwentin: update this one."
        ) from error


def _back_up(file: Path, revision: str) -> None:
    """Copy the file as it is before a migration. SQLite copies it, so that what is still in the WAL is included."""
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
    failpoint("migrating")
