"""The database as a trial sees it: read over a connection of its own, by another library than the bot's."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.evidence import Kept, Row, Turn


class NotNow(Exception):
    """It is not there yet, or in trouble."""


Ask = Callable[[str], Sequence[Sequence[Any]]]

_ROWS = """
SELECT replies.id, chats.platform, chats.chat, chats.thread, inbox.external_id, replies.lane, replies.state,
       replies.chunks, replies.question_id, replies.merged_into
FROM replies JOIN inbox ON inbox.id = replies.inbox_id JOIN chats ON chats.id = replies.chat_id ORDER BY replies.id
"""
_TURNS = """
SELECT messages.id, chats.platform, chats.chat, chats.thread, messages.role, messages.text, messages.reply_to,
       messages.cut
FROM messages JOIN chats ON chats.id = messages.chat_id ORDER BY messages.id
"""
_SETTINGS = """
SELECT chats.platform, chats.chat, chats.thread, settings.name, settings.value
FROM settings JOIN chats ON chats.id = settings.chat_id
"""
_OPEN = "SELECT count(*) FROM replies WHERE state IN ('queued', 'generating', 'sending')"
_STORED = "SELECT count(*) FROM inbox"


class Database:
    """One trial's. `address` is what the bot is told, "" where it finds the file by itself."""

    def __init__(self, file: Path, address: str = "") -> None:
        self.file, self.address = file, address

    def kept(self) -> Kept:
        """All of it. Not while a bot works on it."""
        with self.asking() as ask:
            rows = [
                Row(id, _where(*chat), external_id, lane, state, _chunks(chunks), question, merged)
                for id, *chat, external_id, lane, state, chunks, question, merged in ask(_ROWS)
            ]
            turns = [
                Turn(id, _where(*chat), role, text, reply_to, bool(cut))
                for id, *chat, role, text, reply_to, cut in ask(_TURNS)
            ]
            settings = {(_where(*chat), name): value for *chat, name, value in ask(_SETTINGS)}
            return Kept(rows, turns, settings, self._troubles(ask))

    def progress(self) -> tuple[int, int]:
        """How many messages are stored, and how many replies are open."""
        with self.asking() as ask:
            return ask(_STORED)[0][0], ask(_OPEN)[0][0]

    def ids(self) -> set[str]:
        """What the stored messages are known by."""
        with self.asking() as ask:
            return {row[0] for row in ask("SELECT external_id FROM inbox")}

    @contextmanager
    def asking(self) -> Iterator[Ask]:
        """Queries over a connection that changes nothing."""
        try:
            if self.address:
                with psycopg.connect(self.address, autocommit=True) as server:
                    yield lambda query: server.execute(query.encode()).fetchall()
            else:
                with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)) as connection:
                    yield lambda query: connection.execute(query).fetchall()
        except (sqlite3.OperationalError, psycopg.Error) as error:
            raise NotNow from error

    def _troubles(self, ask: Ask) -> list[str]:
        if self.address:
            return []
        found = [row[0] for row in ask("PRAGMA integrity_check") if row[0] != "ok"]
        return found + [f"a foreign key is broken: {row[:3]}" for row in ask("PRAGMA foreign_key_check")]


def _where(platform: str, chat: str, thread: str) -> str:
    """As core.domain.conversation.ChatId is written."""
    return "/".join(filter(None, (platform, chat, thread)))


def _chunks(stored: Any) -> tuple[str | None, ...]:
    """Their ids, without the place that Discord's may begin with."""
    chunks = json.loads(stored) if isinstance(stored, str) else stored
    return tuple(chunk["id"] and chunk["id"].rpartition("/")[2] for chunk in chunks or ())
