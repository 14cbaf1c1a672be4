"""A database file that is deleted, replaced or damaged under way: the owner is told at once, and of the newest copy."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from core.domain.errors import SetupError
from storage import sqlite_watch
from storage.database import open_database
from storage.sqlite_watch import DatabaseFileLost
from tests.patience import limit
from tests.tables import each_row


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.rename(file)


@each_row(
    ("harm", "problem"),
    [
        (Path.unlink, "is gone"),
        (replaced, "was replaced by another file"),
        (lambda file: os.truncate(file, 0), "is damaged: it is empty"),
    ],
)
async def test_what_happens_to_a_file_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], problem: str
) -> None:
    monkeypatch.setattr(sqlite_watch, "WATCH_EVERY_S", 0.01)
    file, lost = tmp_path / f"{problem[:6]}.db", asyncio.get_running_loop().create_future()
    async with open_database(f"sqlite:///{file}", lost.set_exception):
        for age, name in ((200, "old"), (100, "new")):
            copy = file.with_name(f"{file.name}.{name}.bak")
            copy.write_text(name)
            os.utime(copy, (10_000 - age, 10_000 - age))
        harm(file)
        with pytest.raises(DatabaseFileLost, match=problem) as line:
            async with limit():
                await lost
    assert str(line.value).count("\n") == 0 and str(file) in str(line.value)
    assert f"The newest copy is {file}.new.bak" in str(line.value)


async def test_damage_that_sqlite_finds(tmp_path: Path) -> None:
    """In the middle of the file, where nobody looks; at the next start too."""
    file, found = tmp_path / "x.db", list[Exception]()
    async with open_database(f"sqlite:///{file}") as database, database.transaction() as connection:
        await connection.execute(text("CREATE TABLE big (words TEXT)"))
        await connection.execute(text("INSERT INTO big VALUES (:words)"), {"words": "x" * 200_000})
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(size - 100_000)
        opened.write(b"\xff" * 100_000)
    async with open_database(f"sqlite:///{file}", found.append) as database:
        for _ in range(2):
            with pytest.raises(DatabaseError):
                async with database.transaction() as connection:
                    await connection.execute(text("SELECT words FROM big"))
    assert [type(each) for each in found] == [DatabaseFileLost], "once"
    assert "There is no copy of it here" in str(found[0])
    file.write_bytes(b"this is no database, but long enough to be looked at" * 100)
    with pytest.raises(SetupError, match=f"{file} is damaged .file is not a database..* Put a good file in its place"):
        async with open_database(f"sqlite:///{file}"):
            pass
