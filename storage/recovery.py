"""Unfinished replies: those of a process that ended, those that nobody works on, delays and the backlog."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import Reply
from core.domain.reply_states import ACTIVE, Lane, ReplyEvent, State, next_state
from storage.mapping import select_replies
from storage.replies import SqlReplies
from storage.tables import CLOSED_INBOX, ChatRow, InboxRow, MessageRow, ReplyRow

MAX_ATTEMPTS = 10
"""Claims after which an unfinished answer fails: a bug would have it claimed for ever."""


class SqlRecovery:
    """See core.domain.store.Recovery."""

    def __init__(self, session: AsyncSession, replies: SqlReplies, now: Callable[[], int]) -> None:
        self._session, self._replies, self._now = session, replies, now

    async def recover(self, platform: str) -> Sequence[Reply]:
        here = ChatRow.platform == platform
        for reply in await select_replies(self._session, here & (ReplyRow.state == State.GENERATING)):
            if reply.outcome is not State.STOPPED:
                await self._replies.move(reply, ReplyEvent.CRASH)
        return await select_replies(self._session, here & ReplyRow.state.in_(ACTIVE))

    async def find_orphaned(
        self, platforms: Collection[str], running: Collection[tuple[int, int]], before: int
    ) -> Sequence[Reply]:
        here = ChatRow.platform.in_(platforms) & ReplyRow.state.in_(ACTIVE) & (ReplyRow.updated_at < before)
        active = await select_replies(self._session, here)
        orphaned = [reply for reply in active if (reply.id, reply.attempt) not in running]
        for reply in orphaned:
            if reply.state is State.GENERATING and reply.outcome is not State.STOPPED:
                await self._replies.move(reply, ReplyEvent.CRASH if reply.attempt < MAX_ATTEMPTS else ReplyEvent.FAIL)
        ids = [reply.id for reply in orphaned]
        return await select_replies(self._session, ReplyRow.id.in_(ids)) if ids else []

    async def delayed(self, platform: str, now: int) -> Sequence[tuple[Reply, int]]:
        query = select(ReplyRow.id, ReplyRow.not_before).where(ReplyRow.not_before > now)
        until = {id: at for id, at in await self._session.execute(query) if at is not None}
        replies = await select_replies(self._session, ReplyRow.id.in_(until) & (ChatRow.platform == platform))
        return [(reply, until[reply.id]) for reply in replies]

    async def backlog(self, platform: str, since: int) -> Sequence[Reply]:
        new_command = (ReplyRow.lane == Lane.NOTICE) & (InboxRow.received_at >= since)  # in every state
        in_backlog = (ReplyRow.state == State.QUEUED) | new_command
        return await select_replies(self._session, (ChatRow.platform == platform) & in_backlog)

    async def merge(self, into: Reply, others: Sequence[Reply]) -> None:
        text = "\n\n".join(reply.text for reply in (*others, into))
        await self._session.execute(update(MessageRow).where(MessageRow.id == into.question).values(text=text))
        await self._merge_queued(into, others)
        merged = [reply.question for reply in others]
        await self._session.execute(delete(MessageRow).where(MessageRow.id.in_(merged)))

    async def expire(self, reply: Reply, others: Sequence[Reply], text: str) -> Reply:
        # In the notice lane, because another answer may be in progress in the conversation.
        expired = {
            "lane": Lane.NOTICE,
            "state": next_state(State.QUEUED, ReplyEvent.EXPIRE),
            "outcome": State.FAILED,
            "final": text,
        }
        await self._session.execute(
            self._update_queued(ReplyRow.id == reply.id).values(expired | {"updated_at": self._now()})
        )
        await self._merge_queued(reply, others)
        self._session.expire_all()
        return await self._replies.get(reply.id)

    async def _merge_queued(self, into: Reply, others: Sequence[Reply]) -> None:
        ids = [reply.id for reply in others]
        merged = {
            "state": next_state(State.QUEUED, ReplyEvent.MERGE),
            "merged_into": into.id,
            "updated_at": self._now(),
        }
        await self._session.execute(self._update_queued(ReplyRow.id.in_(ids)).values(merged))
        inbox = select(ReplyRow.inbox_id).where(ReplyRow.id.in_(ids))
        await self._session.execute(update(InboxRow).where(InboxRow.id.in_(inbox)).values(CLOSED_INBOX))

    def _update_queued(self, condition: ColumnElement[bool]) -> Update:
        return update(ReplyRow).where(condition, ReplyRow.state == State.QUEUED)
