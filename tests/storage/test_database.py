"""Opening: every mistake is one clear line; migrations make what the tables say; what was there is kept."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from core.domain.errors import SetupError
from storage import database as database_module
from storage import postgres_lock
from storage.connections import Database
from storage.database import InUse, open_database
from storage.sqlite import BUSY_TIMEOUT_S
from storage.store import DatabaseStore
from storage.tables import metadata
from tests.tables import each_row


def address(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


def damaged(folder: Path) -> str:
    (folder / "bad.db").write_bytes(b"this is no database, but long enough to be looked at" * 100)
    return address(folder / "bad.db")


def read_only(folder: Path) -> str:
    sqlite3.connect(folder / "ro.db").execute("CREATE TABLE t (x)").connection.close()
    return f"sqlite+aiosqlite:///file:{folder}/ro.db?mode=ro&uri=true"


def newer(folder: Path) -> str:
    with sqlite3.connect(folder / "new.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    return address(folder / "new.db")


MISTAKES: dict[str, tuple[Callable[[Path], str], str]] = {
    "no address": (lambda folder: "nonsense", "DATABASE_URL"),
    "another kind": (lambda folder: "mysql+aiomysql://x/y", "DATABASE_URL"),
    "no port": (lambda folder: "postgresql://x:port/y", "DATABASE_URL"),
    "no such driver": (lambda folder: "oracle+what://x/y", "DATABASE_URL"),
    "a driver that is not used": (lambda folder: f"sqlite+pysqlcipher:///{folder}/x.db", "DATABASE_URL"),
    "folder missing": (lambda folder: address(folder / "nowhere" / "x.db"), "does not exist"),
    "folder read-only": (lambda folder: address(Path("/proc/x.db")), "can't be written"),
    "file read-only": (read_only, "readonly"),
    "file damaged": (damaged, "not a database"),
    "newer than the code": (newer, "newer"),
}


@each_row("mistake", MISTAKES)
async def test_a_mistake_is_one_clear_line(tmp_path: Path, mistake: str) -> None:
    make, words = MISTAKES[mistake]
    with pytest.raises(SetupError) as caught:
        async with open_database(make(tmp_path)):
            pass
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        async with open_database("postgresql+nodriver://me:hunter2@localhost/x"):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.databases("sqlite", "postgresql")
async def test_a_second_process_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_database(database):
        monkeypatch.setattr(postgres_lock, "HAND_OVER_TIMEOUT_S", 0.3)
        with pytest.raises(InUse, match="in use"):
            async with open_database(database):
                pass
    async with open_database(database):
        pass


async def test_it_works_as_it_must(database: str) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    async with open_database(database) as opened, opened.transaction() as connection:
        found = {name: (await connection.execute(text(f"PRAGMA {name}"))).scalar() for name in wanted}
        assert found == wanted
        # A locked file is waited for between statements, and no statement itself waits in the event loop's thread.
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar() == 0 and BUSY_TIMEOUT_S == 10


@each_row("scheme", ["sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"])
async def test_every_name_of_the_driver_opens_the_same_file(database: str, scheme: str) -> None:
    async with open_database(database.replace("sqlite+aiosqlite", scheme, 1)) as opened:
        assert await DatabaseStore(opened).latest_chat("fake") is None


async def test_a_transaction_that_only_reads_holds_the_lock_already(database: str) -> None:
    """Or one that reads first and writes later would fail at once where another has written in between."""
    file = database.removeprefix("sqlite+aiosqlite:///")
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await tx.replies.count_active()
        with (
            closing(sqlite3.connect(file, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


async def test_migrations_make_what_the_tables_say(database: str) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with open_database(database) as opened:
        assert await opened.run(differences) == []
        await _check_what_the_comparison_does_not_see(opened)


async def _check_what_the_comparison_does_not_see(opened: Database) -> None:
    async with opened.transaction() as connection:
        index = await connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'one_active_answer'"))
        assert "WHERE lane = 'answer' AND state IN ('generating', 'sending')" in str(index.scalar())
        tables = await connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"))
        assert {name for (name,) in tables} == {"chats", "identifies", "inbox", "messages", "replies"}


NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "0006"

def upgrade() -> None:
    op.add_column("users", sa.Column("mood", sa.Text()))
"""


async def test_what_was_there_is_copied_before_a_migration(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer version of the code, with one migration more."""
    file = Path(database.removeprefix("sqlite+aiosqlite:///"))
    kept = file.with_name(f"{file.name}.0006.bak")
    async with open_database(database) as opened, opened.transaction() as connection:
        await connection.execute(text("INSERT INTO users VALUES ('fake', 'ann', 'vi', 1)"))
    assert not kept.exists(), "nothing to migrate, nothing to copy"
    shutil.copytree(database_module.ROOT / "alembic", tmp_path / "newer" / "alembic")
    (tmp_path / "newer" / "alembic" / "versions" / "9999_mood.py").write_text(NEXT)
    monkeypatch.setattr(database_module, "ROOT", tmp_path / "newer")
    async with open_database(database) as opened, opened.transaction() as connection:
        assert (await connection.execute(text("SELECT language, mood FROM users"))).one() == ("vi", None)
    with closing(sqlite3.connect(kept)) as copy:
        assert copy.execute("SELECT * FROM users").fetchall() == [("fake", "ann", "vi", 1)]


async def test_an_installed_package_has_its_own_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside `alembic`, the library, whose folder has the same name."""
    (tmp_path / "alembic").mkdir()
    (tmp_path / "alembic" / "__init__.py").touch()
    shutil.copytree(database_module.ROOT / "alembic", tmp_path / "100% storage")
    monkeypatch.setattr(database_module, "PACKAGED_MIGRATIONS", tmp_path / "100% storage")
    monkeypatch.setattr(database_module, "ROOT", tmp_path)
    async with open_database(address(tmp_path / "x.db")) as opened, opened.transaction() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()


async def test_an_installation_without_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "ROOT", tmp_path)
    with pytest.raises(SetupError, match="incomplete"):
        async with open_database(address(tmp_path / "x.db")):
            pass
