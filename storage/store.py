"""The Store of core/domain/conversation.py over SQLAlchemy: one short transaction at a time."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from core.domain.conversation import ChatId
from storage.bot_accounts import StoredAccounts
from storage.chats import StoredChats
from storage.errors import reachable
from storage.history import StoredHistory
from storage.inbox import StoredInbox
from storage.messages import StoredMessages
from storage.preferences import StoredPreferences
from storage.recovery import StoredRecovery
from storage.replies import StoredReplies
from storage.tables import ChatRow, ReplyRow
from storage.uncancelled_session import WholeSession


def now_ms() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


class StoredTransaction:
    """See core.domain.store.Transaction."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self.inbox = StoredInbox(session, now)
        self.replies = StoredReplies(session, now)
        self.messages = StoredMessages(session)
        self.recovery = StoredRecovery(session, self.replies, now)
        self.turns = StoredHistory(session, now)
        self.preferences = StoredPreferences(session)
        self.chats = StoredChats(session, now)
        self.accounts = StoredAccounts(session)


class DatabaseStore:
    """See core.domain.store.Store."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = now_ms) -> None:
        self._sessions = async_sessionmaker(engine, class_=WholeSession, expire_on_commit=False)
        self._now = now

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[StoredTransaction]:
        """A transaction. A cancelled commit may have happened. Raises Unavailable, also where its block uses it."""
        with reachable():
            session = self._sessions()
            try:
                yield StoredTransaction(session, self._now)
                await session.commit()
            finally:
                await session.close()  # rolls back what is not committed

    async def latest_chat(self, platform: str) -> ChatId | None:
        """The conversation of a platform in which something was asked last."""
        query = (
            select(ChatRow)
            .join(ReplyRow, ReplyRow.chat_id == ChatRow.id)
            .where(ChatRow.platform == platform)
            .order_by(ReplyRow.id.desc())
            .limit(1)
        )
        with reachable():
            session = self._sessions()
            try:
                row = (await session.scalars(query)).one_or_none()
            finally:
                await session.close()
        return ChatId(row.platform, row.chat, row.thread) if row else None
