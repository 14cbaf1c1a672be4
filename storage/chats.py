"""Conversations: finding the row of one, or making it; a chat that is closed, or goes on under another id."""

from collections.abc import Callable, Sequence

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import ChatId, KnownChat, fit_id
from core.domain.reply_states import ACTIVE, Event, Lane, State, after
from storage.tables import CLOSED_INBOX, ChatRow, InboxRow, MessageRow, ReplyRow, SettingRow


async def get_chat(session: AsyncSession, chat: ChatId) -> ChatRow | None:
    """The conversation's row; None where nothing of it is stored."""
    fitted = chat.fitted()
    query = select(ChatRow).where(
        ChatRow.platform == fitted.platform, ChatRow.chat == fitted.chat, ChatRow.thread == fitted.thread
    )
    return (await session.scalars(query)).one_or_none()


async def get_or_create_chat(session: AsyncSession, chat: ChatId) -> ChatRow:
    """The conversation's row, for what writes; a new one has number 1 and has never been served."""
    row = await get_chat(session, chat)
    if row is None:
        fitted = chat.fitted()
        row = ChatRow(platform=fitted.platform, chat=fitted.chat, thread=fitted.thread, conversation=1, served_at=0)
        session.add(row)
        await session.flush()
    return row


class StoredChats:
    """See core.domain.store.Chats."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def deactivate(self, platform: str, chat: str) -> Sequence[int]:
        """Mark every conversation of the chat; cancel what waits; the running answers' ids."""
        rows = await self._conversations(platform, chat)
        for row in rows:
            row.active = False
        here = ReplyRow.chat_id.in_([row.id for row in rows])
        waiting = list(await self._session.scalars(select(ReplyRow).where(here, ReplyRow.state == State.QUEUED)))
        for reply in waiting:
            reply.state, reply.updated_at = after(State.QUEUED, Event.CLEAR) or State.CANCELLED, self._now()
        texts = update(InboxRow).where(InboxRow.id.in_([reply.inbox_id for reply in waiting]))
        await self._session.execute(texts.values(CLOSED_INBOX))
        running = select(ReplyRow.id).where(here, ReplyRow.lane == Lane.ANSWER, ReplyRow.state == State.GENERATING)
        return list(await self._session.scalars(running))

    async def change_id(self, platform: str, old: str, new: str) -> None:
        """Give each conversation the new id; where the new chat has it already, what the old one had joins it."""
        new = fit_id(new)
        for row in await self._conversations(platform, old):
            await self._forget_messages(row)
            there = await self._session.scalars(
                select(ChatRow).where(ChatRow.platform == platform, ChatRow.chat == new, ChatRow.thread == row.thread)
            )
            target = there.one_or_none()
            if target is None:
                row.chat = new
            else:
                await self._join(row, target)
            await self._session.flush()

    async def _forget_messages(self, row: ChatRow) -> None:
        """Messages are counted anew there: an old id would be somebody else's message."""
        for reply in await self._session.scalars(select(ReplyRow).where(ReplyRow.chat_id == row.id)):
            reply.chunks = [{**chunk, "id": None} for chunk in reply.chunks] if State(reply.state).open else []
        await self._session.execute(update(InboxRow).where(InboxRow.chat_id == row.id).values(seq=0))

    async def _join(self, row: ChatRow, target: ChatRow) -> None:
        """The new conversation's own settings count; what was said before stands before."""
        known = set(await self._session.scalars(select(SettingRow.name).where(SettingRow.chat_id == target.id)))
        await self._session.execute(delete(SettingRow).where(SettingRow.chat_id == row.id, SettingRow.name.in_(known)))
        # There may be an answer in progress there too, and only one may be: this one begins again.
        active = select(ReplyRow).where(
            ReplyRow.chat_id == row.id, ReplyRow.lane == Lane.ANSWER, ReplyRow.state.in_(ACTIVE)
        )
        for reply in await self._session.scalars(active):
            reply.state, reply.attempt, reply.chunks = State.QUEUED, reply.attempt + 1, []
        await self._session.flush()
        joined = {"chat_id": target.id}
        for table in (SettingRow, InboxRow):
            await self._session.execute(update(table).where(table.chat_id == row.id).values(joined))
        for owner, number in ((MessageRow.chat_id, MessageRow.conversation), (ReplyRow.chat_id, ReplyRow.conversation)):
            current = {**joined, "conversation": target.conversation}
            await self._session.execute(
                update(owner.class_).where(owner == row.id, number == row.conversation).values(current)
            )
            await self._session.execute(update(owner.class_).where(owner == row.id).values(joined))
        await self._session.flush()
        await self._session.delete(row)

    async def active(self, platform: str) -> Sequence[KnownChat]:
        """With the newest stored message of each."""
        query = (
            select(ChatRow, func.max(InboxRow.seq), func.max(case((InboxRow.private, 1), else_=0)))
            .join(InboxRow, InboxRow.chat_id == ChatRow.id)
            .where(ChatRow.platform == platform, ChatRow.active)
            .group_by(ChatRow.id)
            .order_by(func.max(InboxRow.seq).desc())
        )
        rows = (await self._session.execute(query)).all()
        return [KnownChat(ChatId(row.platform, row.chat, row.thread), bool(private), seq) for row, seq, private in rows]

    async def _conversations(self, platform: str, chat: str) -> Sequence[ChatRow]:
        query = select(ChatRow).where(ChatRow.platform == platform, ChatRow.chat == fit_id(chat))
        return list(await self._session.scalars(query))
