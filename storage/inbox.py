"""Incoming messages, each stored once. A batch takes a few statements, not a few for each message."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

from sqlalchemy import ColumnElement, exists, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import Author, ChatId, Incoming, NewReply, QueueLoad, Reply
from core.domain.reply_states import Lane, State
from storage.tables import ChatRow, InboxRow, MessageRow, ReplyRow

_Table = type[ChatRow] | type[InboxRow] | type[MessageRow] | type[ReplyRow]
_Values = dict[str, object]
MAX_MESSAGE_CHARACTERS = 4096
"""A longer question was put together from several messages: the edit of one must not replace all of it."""


class SqlInbox:
    """See core.domain.store.Inbox."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def stored_keys(self, messages: Sequence[Incoming]) -> Collection[tuple[str, str, str]]:
        key = tuple_(InboxRow.platform, InboxRow.bot, InboxRow.external_id)
        query = select(InboxRow.platform, InboxRow.bot, InboxRow.external_id)
        rows = await self._session.execute(query.where(key.in_([message.key for message in messages])))
        return {(platform, bot, external_id) for platform, bot, external_id in rows}

    async def add(self, owed: Sequence[NewReply]) -> Sequence[Reply]:
        if not owed:
            return []
        chats = await self._chats([each.incoming.chat for each in owed])
        inbox = await self._insert(InboxRow, [self._inbox_values(each, chats[each.incoming.chat]) for each in owed])
        asked = [each for each in owed if each.lane is Lane.ANSWER]
        turns = [_question_values(each.incoming, chats[each.incoming.chat]) for each in asked]
        question_ids = await self._insert(MessageRow, turns)
        questions = dict(zip((each.incoming.key for each in asked), question_ids, strict=True))
        rows = [
            self._reply_values(each, chats[each.incoming.chat], inbox_id, questions.get(each.incoming.key))
            for each, inbox_id in zip(owed, inbox, strict=True)
        ]
        ids = await self._insert(ReplyRow, rows)
        return [
            _added_reply(each, id, row, chats[each.incoming.chat], self._now())
            for each, id, row in zip(owed, ids, rows, strict=True)
        ]

    async def queue_load(self, messages: Sequence[Incoming], since: int, platforms: Collection[str]) -> QueueLoad:
        queued = (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.state == State.QUEUED)
        here = {message.chat: 0 for message in messages}
        counts = (
            select(ChatRow.platform, ChatRow.chat, ChatRow.thread, func.count())
            .join(ReplyRow, ReplyRow.chat_id == ChatRow.id)
            .where(queued, _is_one_of(here))
            .group_by(ChatRow.id)
        )
        for platform, chat, thread, count in await self._session.execute(counts):
            here[ChatId(platform, chat, thread)] = count
        everywhere = select(func.count()).select_from(ReplyRow).join(ChatRow)
        waiting = await self._session.scalar(everywhere.where(queued, ChatRow.platform.in_(platforms)))
        return QueueLoad(here, waiting or 0, await self._asked(messages, since))

    async def _asked(self, messages: Sequence[Incoming], since: int) -> Mapping[tuple[str, str], Sequence[int]]:
        authors = {(message.chat.platform, message.author.id) for message in messages}
        query = (
            select(InboxRow.platform, InboxRow.author_id, MessageRow.at)
            .join(ReplyRow, ReplyRow.inbox_id == InboxRow.id)
            .join(MessageRow, MessageRow.id == ReplyRow.question_id)
            .where(tuple_(InboxRow.platform, InboxRow.author_id).in_(authors))
            # Both, because a message may be received long after it was written.
            .where(InboxRow.received_at >= since, MessageRow.at >= since)
            .order_by(MessageRow.at)
        )
        asked: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for platform, author, at in await self._session.execute(query):
            asked[platform, author].append(at)
        return asked

    async def edit_question(self, incoming: Incoming) -> bool:
        other = aliased(ReplyRow)  # merged into it, so that the question holds its text too
        queued = select(ReplyRow.question_id).join(InboxRow, InboxRow.id == ReplyRow.inbox_id)
        mine = queued.where(
            InboxRow.platform == incoming.chat.platform, InboxRow.bot == incoming.bot,
            InboxRow.external_id == incoming.external_id, ReplyRow.state == State.QUEUED, ReplyRow.attempt == 0,
            ReplyRow.lane == Lane.ANSWER, ~exists().where(
                other.chat_id == ReplyRow.chat_id, other.lane == Lane.ANSWER, other.state == State.MERGED,
                other.merged_into == ReplyRow.id,
            ),
        )  # fmt: skip
        question = (await self._session.scalars(mine)).one_or_none()
        if question is None or not incoming.text:
            return False
        single = MessageRow.id == question, func.length(MessageRow.text) <= MAX_MESSAGE_CHARACTERS
        await self._session.execute(update(MessageRow).where(*single).values(text=incoming.text))
        return True

    async def merge_refused(self, others: Sequence[Reply], into: Reply) -> None:
        theirs = update(ReplyRow).where(ReplyRow.id.in_([reply.id for reply in others]))
        await self._session.execute(theirs.values(merged_into=into.id))

    async def _chats(self, chats: Sequence[ChatId]) -> Mapping[ChatId, ChatRow]:
        """The conversations' rows, made where there are none. A message shows that the bot may write there."""
        found = await self._found(chats)
        for row in found.values():
            row.active = True
        new = [chat for chat in dict.fromkeys(chats) if chat not in found]
        await self._insert(ChatRow, [{"platform": c.platform, "chat": c.chat, "thread": c.thread} for c in new])
        return {**found, **await self._found(new)}

    async def _found(self, chats: Sequence[ChatId]) -> Mapping[ChatId, ChatRow]:
        rows = await self._session.scalars(select(ChatRow).where(_is_one_of(chats)))
        return {ChatId(row.platform, row.chat, row.thread): row for row in rows}

    async def _insert(self, table: _Table, rows: list[_Values]) -> list[int]:
        """Insert rows; return their ids in order. No other transaction inserts meanwhile, so one statement reads
        them: to ask each insert for its id would take SQLite a statement for each row."""
        if not rows:
            return []
        before = await self._session.scalar(select(func.max(table.id))) or 0
        await self._session.execute(insert(table), rows)
        return list(await self._session.scalars(select(table.id).where(table.id > before).order_by(table.id)))

    def _inbox_values(self, owed: NewReply, chat: ChatRow) -> _Values:
        incoming, kept = owed.incoming, owed.lane is Lane.NOTICE and owed.state is State.QUEUED
        return {
            "platform": incoming.chat.platform, "bot": incoming.bot, "external_id": incoming.external_id,
            "chat_id": chat.id, "seq": incoming.seq, "private": incoming.private, "author_id": incoming.author.id,
            "author_name": incoming.author.name, "locale": incoming.author.locale,
            "text": incoming.text if kept else None, "received_at": self._now(),
            "reply_token": (incoming.reply_token or None) if owed.state.open else None,
            "options": (dict(incoming.options) or None) if kept else None,
        }  # fmt: skip

    def _reply_values(self, owed: NewReply, chat: ChatRow, inbox: int, question: int | None) -> _Values:
        return {
            "inbox_id": inbox, "chat_id": chat.id, "conversation": chat.conversation, "lane": owed.lane,
            "state": owed.state, "question_id": question, "final": owed.final, "merged_into": owed.merged_into,
            "outcome": State.REFUSED if owed.final else None, "chunks": [], "updated_at": self._now(),
        }  # fmt: skip


def _added_reply(owed: NewReply, id: int, row: _Values, chat: ChatRow, now: int) -> Reply:
    """The reply as it was just stored. To read a batch back would take as long as to store it."""
    incoming, asks = owed.incoming, owed.lane is Lane.ANSWER
    queued_command = not asks and owed.state is State.QUEUED
    return Reply(
        id=id, chat=incoming.chat, private=incoming.private, conversation=chat.conversation, lane=owed.lane,
        state=owed.state, attempt=0, author=incoming.author, bot=incoming.bot,
        text=incoming.text if asks or queued_command else "",
        external_id=incoming.external_id, seq=incoming.seq, reply_token=incoming.reply_token if owed.state.open else "",
        options=incoming.options if queued_command else {},
        question=cast(int, row["question_id"]) if asks else None,
        asker=Author(incoming.author.id, incoming.author.name) if asks else None,
        outcome=State.REFUSED if owed.final else None, final=owed.final, at=incoming.at if asks else now,
        merged_into=owed.merged_into,
    )  # fmt: skip


def _question_values(incoming: Incoming, chat: ChatRow) -> _Values:
    return {
        "chat_id": chat.id, "conversation": chat.conversation, "role": "user", "text": incoming.text,
        "author_id": incoming.author.id, "author_name": incoming.author.name, "at": incoming.at,
    }  # fmt: skip


def _is_one_of(chats: Collection[ChatId]) -> ColumnElement[bool]:
    key = tuple_(ChatRow.platform, ChatRow.chat, ChatRow.thread)
    return key.in_({(chat.platform, chat.chat, chat.thread) for chat in chats})
