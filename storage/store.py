"""The Store of core/domain/store.py over SQLAlchemy: one short transaction at a time."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from core.domain.conversation import ChatId
from storage.bot_accounts import SqlAccounts
from storage.chats import SqlChats
from storage.errors import raises_unavailable
from storage.history import SqlTurns
from storage.inbox import SqlInbox
from storage.messages import SqlMessages
from storage.preferences import SqlPreferences
from storage.recovery import SqlRecovery
from storage.replies import SqlReplies
from storage.tables import ChatRow, ReplyRow
from storage.uncancelled_session import UncancelledSession


def now_ms() -> int:
    """The time in milliseconds UTC."""
    return time.time_ns() // 1_000_000


class SqlTransaction:
    """See core.domain.store.Transaction."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self.inbox = SqlInbox(session, now)
        self.replies = SqlReplies(session, now)
        self.messages = SqlMessages(session)
        self.recovery = SqlRecovery(session, self.replies, now)
        self.turns = SqlTurns(session, now)
        self.preferences = SqlPreferences(session)
        self.chats = SqlChats(session, now)
        self.accounts = SqlAccounts(session)


class DatabaseStore:
    """See core.domain.store.Store."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = now_ms) -> None:
        self._sessions = async_sessionmaker(engine, class_=UncancelledSession, expire_on_commit=False)
        self._now = now

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlTransaction]:
        with raises_unavailable():
            session = self._sessions()
            try:
                yield SqlTransaction(session, self._now)
                await session.commit()
            finally:
                await session.close()  # rolls back what is not committed

    async def latest_chat(self, platform: str) -> ChatId | None:
        """The conversation of the platform with the newest reply; None without one. Raises Unavailable."""
        query = (
            select(ChatRow)
            .join(ReplyRow, ReplyRow.chat_id == ChatRow.id)
            .where(ChatRow.platform == platform)
            .order_by(ReplyRow.id.desc())
            .limit(1)
        )
        with raises_unavailable():
            session = self._sessions()
            try:
                row = (await session.scalars(query)).one_or_none()
            finally:
                await session.close()
        return ChatId(row.platform, row.chat, row.thread) if row else None
