"""A database of an older version opens, is migrated, and keeps what was in it; on both databases."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from core.domain.conversation import Author, ChatId, Chunk
from core.domain.reply_states import Lane, ReplyEvent
from storage import database as database_module
from storage.database import open_database
from storage.store import DatabaseStore
from storage.tables import metadata
from tests.fakes import claim_next, incoming, owe
from tests.postgres import Postgres

ROWS = (
    "INSERT INTO chats (id, platform, chat, thread, conversation, served_at) VALUES (1, 'telegram', '-1', '7', 3, 5)",
    "INSERT INTO inbox (id, platform, bot, external_id, chat_id, seq, private, author_id, author_name, locale, text,"
    " origin, received_at) VALUES (1, 'telegram', '42', 'm:-1:9', 1, 9, false, '11', 'Ann', 'vi', NULL, NULL, 1),"
    " (2, 'telegram', '42', 'm:-1:10', 1, 10, false, '11', 'Ann', 'vi', '/temp 0', 'token', 2)",
    "INSERT INTO messages (id, chat_id, conversation, role, text, author_id, author_name, at)"
    " VALUES (1, 1, 3, 'user', 'why?', '11', 'Ann', 1)",
    "INSERT INTO messages (id, chat_id, conversation, role, text, author_id, author_name, reply_to, at)"
    " VALUES (2, 1, 3, 'assistant', 'because', '', '', 1, 2)",
    "INSERT INTO replies (id, inbox_id, chat_id, conversation, lane, state, attempt, question_id, chunks, updated_at)"
    """ VALUES (1, 1, 1, 3, 'answer', 'done', 1, 1, '[{"nonce": "n", "id": "55"}]', 2),"""
    " (2, 2, 1, 3, 'notice', 'queued', 0, NULL, '[]', 2)",
    "INSERT INTO settings VALUES (1, 'memory', '5', 'Ann', 1)",
    "INSERT INTO users VALUES ('telegram', '11', 'vi', 1)",
    "INSERT INTO identifies (id, platform, bot, at) VALUES (1, 'discord', '42', 7)",
    "INSERT INTO menus VALUES ('discord', '42', 'print')",
)


def migrate(connection: Connection, revision: str, *, back: bool = False) -> None:
    """Bring a database to a revision, as the version with that revision did."""
    config = database_module._config()
    config.attributes["connection"] = connection
    (command.downgrade if back else command.upgrade)(config, revision)


def synchronous(address: str) -> str:
    return address.replace("sqlite+aiosqlite:", "sqlite:").replace("postgresql:", "postgresql+psycopg:")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database as the migrations up to 0004 made it, with a row in each table."""
    if request.param == "sqlite":
        yield from filled(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as name:
        yield from filled(server.address(name))


def filled(address: str) -> Iterator[str]:
    engine = create_engine(synchronous(address))
    with engine.begin() as connection:
        migrate(connection, "0004")
        for row in ROWS:
            connection.execute(text(row.replace(":", "\\:")))
        for table in ("chats", "inbox", "messages", "replies", "identifies") if "postgres" in address else ():
            highest = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            connection.execute(text(highest))
    engine.dispose()
    yield address


async def test_an_old_database_opens_with_all_it_had(old: str) -> None:
    chat = ChatId("telegram", "-1", "7")
    async with open_database(old) as engine:
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            answer, command = await tx.replies.get(1), await tx.replies.get(2)
            assert (answer.chat, answer.author, answer.question) == (chat, Author("11", "Ann", "vi"), 1)
            assert answer.chunks == (Chunk("n", "55"),) and answer.options == {}
            assert (command.text, command.reply_token, command.options) == ("/temp 0", "token", {})
            assert [turn.answer for turn in await tx.turns.recent(chat, 99, 5)] == ["because"]
            assert (await tx.preferences.settings(chat))["memory"].value == "5"
            assert await tx.preferences.language("telegram", "11") == "vi"
            assert await tx.accounts.logins_since("discord", "42", 0) == [7]
            assert await tx.accounts.menu_fingerprint("discord", "42") == "print"
            assert await tx.messages.exists("telegram", "-1", "55")
        async with store.begin() as tx:
            claimed = await claim_next(tx, Lane.NOTICE, platform="telegram")
            assert claimed and claimed.id == 2
            done = await tx.replies.move(claimed, ReplyEvent.FINISH, final="ok")
            assert (await tx.replies.move(done, ReplyEvent.DELIVER)).text == ""
        async with store.begin() as tx:
            long = ChatId("fake", "c" * 255, "t" * 255)
            reply = await owe(tx, incoming("new", Author("@" * 255, "X"), long, external_id="e" * 255), Lane.ANSWER)
            assert reply and (await tx.replies.get(reply.id)).chat == long and reply.id == 3


async def test_an_old_database_becomes_what_the_tables_say(old: str) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with open_database(old) as database:
        assert await database.run(differences) == []
    if old.startswith("sqlite"):
        file = Path(old.removeprefix("sqlite+aiosqlite:///"))
        with closing(sqlite3.connect(file.with_name("old.db.0004.bak"))) as kept:
            assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
        with closing(sqlite3.connect(file)) as migrated:
            assert migrated.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert migrated.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_a_way_back_keeps_the_rows(old: str) -> None:
    async with open_database(old):
        pass
    engine = create_engine(synchronous(old))
    with engine.begin() as connection:
        migrate(connection, "0004", back=True)
        assert connection.execute(text("SELECT count(*) FROM inbox WHERE external_id LIKE 'm%'")).scalar() == 2
    engine.dispose()
