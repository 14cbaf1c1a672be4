"""After a restart: what the last process left in mid-air, penalties that still run, what piled up meanwhile."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import Reply
from core.domain.reply_states import ACTIVE, Event, Lane, State, after
from storage.mapping import nouns
from storage.replies import StoredReplies
from storage.tables import CLOSED_INBOX, ChatRow, InboxRow, MessageRow, ReplyRow

ATTEMPTS = 10
"""So often a reply is claimed before it counts as one that can't be answered."""


class StoredRecovery:
    """See core.domain.store.Recovery."""

    def __init__(self, session: AsyncSession, replies: StoredReplies, now: Callable[[], int]) -> None:
        self._session, self._replies, self._now = session, replies, now

    async def recover(self, platform: str) -> Sequence[Reply]:
        """What is being sent, and what was to be stopped, is returned."""
        here = ChatRow.platform == platform
        for reply in await nouns(self._session, here & (ReplyRow.state == State.GENERATING)):
            if reply.outcome is not State.STOPPED:
                await self._replies.move(reply, Event.CRASH)
        return await nouns(self._session, here & ReplyRow.state.in_(ACTIVE))

    async def find_orphaned(
        self, platforms: Collection[str], running: Collection[tuple[int, int]], before: int
    ) -> Sequence[Reply]:
        """As after a crash; what was tried so often already that it must be a bug is given up."""
        here = ChatRow.platform.in_(platforms) & ReplyRow.state.in_(ACTIVE) & (ReplyRow.updated_at < before)
        adrift = [each for each in await nouns(self._session, here) if (each.id, each.attempt) not in running]
        for reply in adrift:
            if reply.state is State.GENERATING and reply.outcome is not State.STOPPED:
                await self._replies.move(reply, Event.CRASH if reply.attempt < ATTEMPTS else Event.FAIL)
        return await nouns(self._session, ReplyRow.id.in_([reply.id for reply in adrift])) if adrift else []

    async def delayed(self, platform: str, now: int) -> Sequence[tuple[Reply, int]]:
        """The penalties that are not over."""
        query = select(ReplyRow.id, ReplyRow.not_before).where(ReplyRow.not_before > now)
        until = {id: at for id, at in await self._session.execute(query) if at is not None}
        there = await nouns(self._session, ReplyRow.id.in_(until) & (ChatRow.platform == platform))
        return [(reply, until[reply.id]) for reply in there]

    async def backlog(self, platform: str, since: int) -> Sequence[Reply]:
        """What has begun to be answered, too."""
        command = (ReplyRow.lane == Lane.NOTICE) & (InboxRow.received_at >= since)
        return await nouns(self._session, (ChatRow.platform == platform) & ((ReplyRow.state == State.QUEUED) | command))

    async def merge(self, into: Reply, others: Sequence[Reply]) -> None:
        """The survivor's question becomes all of them: their words stand in the history once."""
        text = "\n\n".join(reply.text for reply in (*others, into))
        await self._session.execute(update(MessageRow).where(MessageRow.id == into.question).values(text=text))
        await self._close(into, others)
        gone = [reply.question for reply in others]
        await self._session.execute(delete(MessageRow).where(MessageRow.id.in_(gone)))

    async def expire(self, reply: Reply, others: Sequence[Reply], text: str) -> Reply:
        """In the other lane: an answer may be in progress there."""
        said = {"lane": Lane.NOTICE, "state": after(State.QUEUED, Event.EXPIRE), "outcome": State.FAILED, "final": text}
        await self._session.execute(self._waiting(ReplyRow.id == reply.id).values(said | {"updated_at": self._now()}))
        await self._close(reply, others)
        self._session.expire_all()
        return await self._replies.get(reply.id)

    async def _close(self, into: Reply, others: Sequence[Reply]) -> None:
        ids = [reply.id for reply in others]
        merged = {"state": after(State.QUEUED, Event.MERGE), "merged_into": into.id, "updated_at": self._now()}
        await self._session.execute(self._waiting(ReplyRow.id.in_(ids)).values(merged))
        inbox = select(ReplyRow.inbox_id).where(ReplyRow.id.in_(ids))
        await self._session.execute(update(InboxRow).where(InboxRow.id.in_(inbox)).values(CLOSED_INBOX))

    def _waiting(self, which: ColumnElement[bool]) -> Update:
        return update(ReplyRow).where(which, ReplyRow.state == State.QUEUED)
