"""The Store of core/domain/store.py over a Database: one short transaction at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from core.domain.conversation import ChatId
from core.domain.store import Unavailable, Unstorable
from storage.bookkeeping import SqlBookkeeping
from storage.bot_accounts import SqlAccounts
from storage.chats import SqlChats
from storage.connections import Connection, Database
from storage.conversations import SqlPreferences, SqlTurns
from storage.errors import unavailable_reason, unstorable_reason
from storage.handled import HandledMessages
from storage.inbox import SqlInbox
from storage.recovery import SqlRecovery
from storage.replies import SqlMessages, SqlReplies
from storage.tables import chats, replies

TURN_TIMEOUT_S = 3600.0
"""How long a transaction waits for those before it."""

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
        handled = HandledMessages(connection)
        self.inbox = SqlInbox(connection, handled, now)
        self.replies = SqlReplies(connection, now)
        self.messages = SqlMessages(connection)
        self.recovery = SqlRecovery(connection, self.replies, now)
        self.turns = SqlTurns(connection, now)
        self.preferences = SqlPreferences(connection)
        self.chats = SqlChats(connection, now)
        self.accounts = SqlAccounts(connection)
        self.bookkeeping = SqlBookkeeping(connection, handled)


class DatabaseStore:
    """See core.domain.store.Store."""

    def __init__(self, database: Database, now: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._transaction = SqlTransaction(database, now)  # transactions run one after another: all share it

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlTransaction]:
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):  # one after another, in the order in which they were begun
                await self._database.turn.acquire()
        except TimeoutError as error:
            raise Unavailable("the database is in trouble: no connection is free") from error
        try:
            async with self._database.transaction():
                yield self._transaction
        except SQLAlchemyError as error:
            # The kind alone: the text of an SQL error quotes values.
            if kind := unavailable_reason(error):
                raise Unavailable(f"the database is in trouble: {kind}") from error
            if kind := unstorable_reason(error):
                raise Unstorable(f"the database refuses what was to be stored: {kind}") from error
            raise
        finally:
            self._database.turn.release()

    async def latest_chat(self, platform: str) -> ChatId | None:
        """The conversation of the platform with the newest reply; None without one. Raises Unavailable."""
        async with self.begin():
            row = (await self._database.execute(_LATEST_CHAT, {"platform": platform})).first()
        return ChatId(*row) if row else None
