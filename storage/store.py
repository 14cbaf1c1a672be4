"""The Store of core/domain/store.py over a Database: one short transaction at a time."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import bindparam, select

from core.domain.conversation import ChatId
from storage.bot_accounts import SqlAccounts
from storage.chats import SqlChats
from storage.connections import Connection, Database
from storage.errors import raises_unavailable
from storage.history import SqlTurns
from storage.inbox import SqlInbox
from storage.messages import SqlMessages
from storage.preferences import SqlPreferences
from storage.recovery import SqlRecovery
from storage.replies import SqlReplies
from storage.tables import chats, replies

_LATEST_CHAT = (
    select(chats.c.platform, chats.c.chat, chats.c.thread)
    .join(replies, replies.c.chat_id == chats.c.id)
    .where(chats.c.platform == bindparam("platform"))
    .order_by(replies.c.id.desc())
    .limit(1)
)


def now_ms() -> int:
    """The time in milliseconds UTC."""
    return time.time_ns() // 1_000_000


class SqlTransaction:
    """See core.domain.store.Transaction."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self.inbox = SqlInbox(connection, now)
        self.replies = SqlReplies(connection, now)
        self.messages = SqlMessages(connection)
        self.recovery = SqlRecovery(connection, self.replies, now)
        self.turns = SqlTurns(connection, now)
        self.preferences = SqlPreferences(connection)
        self.chats = SqlChats(connection, now)
        self.accounts = SqlAccounts(connection)


class DatabaseStore:
    """See core.domain.store.Store."""

    def __init__(self, database: Database, now: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._transaction = SqlTransaction(database, now)  # transactions run one after another: all share it

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlTransaction]:
        with raises_unavailable():
            async with self._database.transaction():
                yield self._transaction

    async def latest_chat(self, platform: str) -> ChatId | None:
        """The conversation of the platform with the newest reply; None without one. Raises Unavailable."""
        with raises_unavailable():
            async with self._database.transaction() as connection:
                row = (await connection.execute(_LATEST_CHAT, {"platform": platform})).first()
        return ChatId(*row) if row else None
