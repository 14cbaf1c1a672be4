"""Chats that are closed to the bot or get another id, and those that the bot knows."""

from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, delete, select, update

from core.domain.conversation import ChatId, KnownChat, fit_id
from core.domain.reply_states import ACTIVE, OPEN, Lane, ReplyEvent, State, next_state
from storage.connections import Connection
from storage.conversations import SELECT_KEY, ChatKey
from storage.tables import CLOSED_INBOX, chats, inbox, messages, replies, settings

_ROWS = select(chats.c.id, chats.c.thread, chats.c.conversation).where(
    chats.c.platform == bindparam("of_platform"), chats.c.chat == bindparam("of_chat")
)
_CHANGE_CHAT = update(chats).where(chats.c.id == bindparam("chat_row"))
_DELETE_CHAT = delete(chats).where(chats.c.id == bindparam("chat_row"))
_DEACTIVATE = update(chats).where(
    chats.c.platform == bindparam("of_platform"), chats.c.chat == bindparam("of_chat")
).values(active=False)  # fmt: skip
_here = replies.c.chat_id.in_(
    select(chats.c.id).where(chats.c.platform == bindparam("of_platform"), chats.c.chat == bindparam("of_chat"))
)
_QUEUED = select(replies.c.id, replies.c.inbox_id).where(_here, replies.c.state == State.QUEUED).with_for_update()
_CANCEL = update(replies).where(replies.c.id.in_(bindparam("ids", expanding=True)))
_CLOSE_INBOX = update(inbox).where(inbox.c.id.in_(bindparam("ids", expanding=True))).values(CLOSED_INBOX)
_GENERATING = select(replies.c.id).where(
    _here, replies.c.lane == Lane.ANSWER, replies.c.state == State.GENERATING
)  # fmt: skip
_CHUNKS = select(replies.c.id, replies.c.state, replies.c.chunks).where(replies.c.chat_id == bindparam("chat_row"))
_CHANGE_REPLY = update(replies).where(replies.c.id == bindparam("reply_id"))
_UNNUMBER = update(inbox).where(inbox.c.chat_id == bindparam("chat_row")).values(seq=0)
_other = inbox.alias("other")
_newest = (
    select(_other.c.id)
    .where(_other.c.chat_id == chats.c.id)
    .order_by(_other.c.seq.desc())
    .limit(1)
    .correlate(chats)
    .scalar_subquery()
)
_ACTIVE_CHATS = (
    select(chats.c.chat, chats.c.thread, inbox.c.seq, inbox.c.private)
    .select_from(chats)
    .join(inbox, inbox.c.id == _newest)
    .where(chats.c.platform == bindparam("of_platform"), chats.c.active)
    .order_by(inbox.c.seq.desc())
)


class SqlChats:
    """See core.domain.store.Chats."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now

    async def deactivate(self, platform: str, chat: str) -> Sequence[int]:
        here = {"of_platform": platform, "of_chat": fit_id(chat)}
        await self._connection.execute(_DEACTIVATE, here)
        queued = (await self._connection.execute(_QUEUED, here)).all()
        if queued:
            cancelled = next_state(State.QUEUED, ReplyEvent.CLEAR)
            changes = {"state": cancelled, "updated_at": self._now()}
            await self._connection.execute(_CANCEL, {"ids": [row.id for row in queued], **changes})
            await self._connection.execute(_CLOSE_INBOX, {"ids": [row.inbox_id for row in queued]})
        return list((await self._connection.execute(_GENERATING, here)).scalars())

    async def change_id(self, platform: str, old: str, new: str) -> None:
        new = fit_id(new)
        if new == fit_id(old):
            return
        here = {"of_platform": platform, "of_chat": fit_id(old)}
        for id, thread, conversation in (await self._connection.execute(_ROWS, here)).all():
            await self._delete_message_ids(id)
            there = {"of_platform": platform, "of_chat": new, "of_thread": thread}
            target = (await self._connection.execute(SELECT_KEY, there)).first()
            if target is None:
                await self._connection.execute(_CHANGE_CHAT, {"chat_row": id, "chat": new})
            else:
                await self._merge(ChatKey(id, conversation), ChatKey(*target))

    async def _delete_message_ids(self, chat_row: int) -> None:
        """The platform numbers messages anew under the new id: an old number would be another person's message."""
        here = {"chat_row": chat_row}
        for id, state, chunks in (await self._connection.execute(_CHUNKS, here)).all():
            kept = [{**chunk, "id": None} for chunk in chunks] if state in OPEN else []
            if kept != chunks:
                await self._connection.execute(_CHANGE_REPLY, {"reply_id": id, "chunks": kept})
        await self._connection.execute(_UNNUMBER, here)

    async def _merge(self, source: ChatKey, target: ChatKey) -> None:
        """Move what belongs to a conversation to another and delete its row. Of two settings the target's is kept;
        its turns come after those of `source`. Rare, so that its statements are built each time."""
        execute = self._connection.execute
        kept = select(settings.c.name).where(settings.c.chat_id == target.id)
        names = list((await execute(kept)).scalars())
        await execute(delete(settings).where(settings.c.chat_id == source.id, settings.c.name.in_(names)))
        # A conversation may have one active answer, and the target may have one: this one is generated again.
        active = replies.c.chat_id == source.id, replies.c.lane == Lane.ANSWER, replies.c.state.in_(ACTIVE)
        again = {"state": State.QUEUED, "attempt": replies.c.attempt + 1, "chunks": []}
        await execute(update(replies).where(*active).values(again))
        for table in (settings, inbox):
            await execute(update(table).where(table.c.chat_id == source.id).values(chat_id=target.id))
        for table in (messages, replies):
            current = table.c.chat_id == source.id, table.c.conversation == source.conversation
            await execute(update(table).where(*current).values(chat_id=target.id, conversation=target.conversation))
            await execute(update(table).where(table.c.chat_id == source.id).values(chat_id=target.id))
        await execute(_DELETE_CHAT, {"chat_row": source.id})

    async def active(self, platform: str) -> Sequence[KnownChat]:
        rows = await self._connection.execute(_ACTIVE_CHATS, {"of_platform": platform})
        return [KnownChat(ChatId(platform, chat, thread), private, seq) for chat, thread, seq, private in rows]
