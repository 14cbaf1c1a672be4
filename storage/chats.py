"""Conversations: the row of one; chats that are closed to the bot or get another id."""

from collections.abc import Callable, Sequence

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import ChatId, KnownChat, fit_id
from core.domain.reply_states import ACTIVE, Lane, ReplyEvent, State, next_state
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


class SqlChats:
    """See core.domain.store.Chats."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def deactivate(self, platform: str, chat: str) -> Sequence[int]:
        rows = await self._chat_rows(platform, chat)
        for row in rows:
            row.active = False
        here = ReplyRow.chat_id.in_([row.id for row in rows])
        queued = list(await self._session.scalars(select(ReplyRow).where(here, ReplyRow.state == State.QUEUED)))
        for reply in queued:
            reply.state, reply.updated_at = next_state(State.QUEUED, ReplyEvent.CLEAR) or State.CANCELLED, self._now()
        texts = update(InboxRow).where(InboxRow.id.in_([reply.inbox_id for reply in queued]))
        await self._session.execute(texts.values(CLOSED_INBOX))
        running = select(ReplyRow.id).where(here, ReplyRow.lane == Lane.ANSWER, ReplyRow.state == State.GENERATING)
        return list(await self._session.scalars(running))

    async def change_id(self, platform: str, old: str, new: str) -> None:
        new = fit_id(new)
        if new == fit_id(old):
            return
        for row in await self._chat_rows(platform, old):
            await self._delete_message_ids(row)
            same_thread = await self._session.scalars(
                select(ChatRow).where(ChatRow.platform == platform, ChatRow.chat == new, ChatRow.thread == row.thread)
            )
            target = same_thread.one_or_none()
            if target is None:
                row.chat = new
            else:
                await self._merge(row, target)
            await self._session.flush()

    async def _delete_message_ids(self, row: ChatRow) -> None:
        """The platform numbers messages anew under the new id: an old number would be another person's message."""
        for reply in await self._session.scalars(select(ReplyRow).where(ReplyRow.chat_id == row.id)):
            reply.chunks = [{**chunk, "id": None} for chunk in reply.chunks] if State(reply.state).open else []
        await self._session.execute(update(InboxRow).where(InboxRow.chat_id == row.id).values(seq=0))

    async def _merge(self, row: ChatRow, target: ChatRow) -> None:
        """Move what belongs to a conversation to another and delete its row. Of two settings the target's is kept;
        its turns come after those of `row`."""
        kept = set(await self._session.scalars(select(SettingRow.name).where(SettingRow.chat_id == target.id)))
        await self._session.execute(delete(SettingRow).where(SettingRow.chat_id == row.id, SettingRow.name.in_(kept)))
        # A conversation may have one active answer, and the target may have one: this one is generated again.
        active = select(ReplyRow).where(
            ReplyRow.chat_id == row.id, ReplyRow.lane == Lane.ANSWER, ReplyRow.state.in_(ACTIVE)
        )
        for reply in await self._session.scalars(active):
            reply.state, reply.attempt, reply.chunks = State.QUEUED, reply.attempt + 1, []
        await self._session.flush()
        moved = {"chat_id": target.id}
        for table in (SettingRow, InboxRow):
            await self._session.execute(update(table).where(table.chat_id == row.id).values(moved))
        for owner, number in ((MessageRow.chat_id, MessageRow.conversation), (ReplyRow.chat_id, ReplyRow.conversation)):
            current = {**moved, "conversation": target.conversation}
            await self._session.execute(
                update(owner.class_).where(owner == row.id, number == row.conversation).values(current)
            )
            await self._session.execute(update(owner.class_).where(owner == row.id).values(moved))
        await self._session.flush()
        await self._session.delete(row)

    async def active(self, platform: str) -> Sequence[KnownChat]:
        query = (
            select(ChatRow, func.max(InboxRow.seq), func.max(case((InboxRow.private, 1), else_=0)))
            .join(InboxRow, InboxRow.chat_id == ChatRow.id)
            .where(ChatRow.platform == platform, ChatRow.active)
            .group_by(ChatRow.id)
            .order_by(func.max(InboxRow.seq).desc())
        )
        rows = (await self._session.execute(query)).all()
        return [KnownChat(ChatId(row.platform, row.chat, row.thread), bool(private), seq) for row, seq, private in rows]

    async def _chat_rows(self, platform: str, chat: str) -> Sequence[ChatRow]:
        query = select(ChatRow).where(ChatRow.platform == platform, ChatRow.chat == fit_id(chat))
        return list(await self._session.scalars(query))
