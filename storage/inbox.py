"""Incoming messages, each stored once. A batch takes a few statements, not a few for each message."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Insert,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)

from core.domain.conversation import Author, ChatId, Incoming, NewReply, QueueLoad, Reply, fit_id
from core.domain.reply_states import OPEN, Lane, State
from storage.connections import Connection
from storage.conversations import ChatKey
from storage.handled import HandledMessages
from storage.reply_rows import select_replies, to_reply
from storage.tables import chats, inbox, messages, replies

_Values = dict[str, object]
COUNTED_MS = 3 * 3600 * 1000
"""What was received longer ago is not looked through for who asked how often: long enough that nothing is missed where
the clock is set an hour ahead, and so short that it is read in no time."""
MAX_MESSAGE_CHARACTERS = 4096
"""A longer question was put together from several messages: the edit of one must not replace all of it."""


def _one_of(**columns: Column[str]) -> ColumnElement[bool]:
    """Whether each column has one of the values of the parameter of its name, see `_among`. For a list of tuples SQLite
    would read the whole index; here it looks up each combination, of which some were not asked for."""
    return and_(*(column.in_(bindparam(name, expanding=True)) for name, column in columns.items()))


def _among(names: Sequence[str], wanted: Collection[tuple[str, ...]]) -> _Values:
    """The parameters of `_one_of`."""
    return {name: list(dict.fromkeys(values)) for name, values in zip(names, zip(*wanted, strict=True), strict=True)}


_MESSAGE, _CHAT, _AUTHOR = ("platform", "bot", "external_id"), ("platform", "chat", "thread"), ("platform", "author")
_STORED = select(inbox.c.platform, inbox.c.bot, inbox.c.external_id).where(
    _one_of(platform=inbox.c.platform, bot=inbox.c.bot, external_id=inbox.c.external_id)
)
_is_one_of_chats = _one_of(platform=chats.c.platform, chat=chats.c.chat, thread=chats.c.thread)
_CHATS = select(
    chats.c.platform, chats.c.chat, chats.c.thread, chats.c.id, chats.c.conversation, chats.c.active
).where(_is_one_of_chats)  # fmt: skip
_ACTIVATE = update(chats).where(chats.c.id.in_(bindparam("ids", expanding=True))).values(active=True)
_queued_answers = (
    select(func.count())
    .select_from(replies.join(chats, chats.c.id == replies.c.chat_id))
    .where(replies.c.lane == Lane.ANSWER, replies.c.state == State.QUEUED)
)
_COUNT_HERE = (
    _queued_answers.with_only_columns(chats.c.platform, chats.c.chat, chats.c.thread, func.count())
    .where(_is_one_of_chats)
    .group_by(chats.c.id)
)
_COUNT_EVERYWHERE = _queued_answers.where(chats.c.platform.in_(bindparam("platforms", expanding=True)))
_ASKED = (
    select(inbox.c.platform, inbox.c.author_id, messages.c.at)
    .join(replies, replies.c.inbox_id == inbox.c.id)
    .join(messages, messages.c.id == replies.c.question_id)
    .where(_one_of(platform=inbox.c.platform, author=inbox.c.author_id))
    # The first by this machine's clock, for the index; the second by the platform's.
    .where(inbox.c.received_at >= bindparam("received_since"), messages.c.at >= bindparam("since"))
    .order_by(messages.c.at)
)
_other = replies.alias("other")
_merged_here = exists().where(  # so that the question holds the text of another message too
    _other.c.chat_id == replies.c.chat_id, _other.c.lane == Lane.ANSWER, _other.c.state == State.MERGED,
    _other.c.merged_into == replies.c.id,
)  # fmt: skip
_EDITABLE = (
    select(replies.c.question_id)
    .join(inbox, inbox.c.id == replies.c.inbox_id)
    .where(
        inbox.c.platform == bindparam("platform"), inbox.c.bot == bindparam("bot"),
        inbox.c.external_id == bindparam("external_id"), replies.c.state == State.QUEUED, replies.c.attempt == 0,
        replies.c.lane == Lane.ANSWER, ~_merged_here,
    )
)  # fmt: skip
_QUESTION = select_replies().where(
    inbox.c.platform == bindparam("platform"), inbox.c.bot == bindparam("bot"),
    inbox.c.external_id == bindparam("external_id"), replies.c.lane == Lane.ANSWER, ~_merged_here,
)  # fmt: skip
_EDIT = update(messages).where(
    messages.c.id == bindparam("question"), func.length(messages.c.text) <= MAX_MESSAGE_CHARACTERS
)  # fmt: skip
_SET_MERGED_INTO = update(replies).where(replies.c.id.in_(bindparam("ids", expanding=True)))


@cache
def _insert_into(table: Table) -> Insert:
    return insert(table)


@cache
def _highest_id(table: Table) -> Select[*tuple[Any, ...]]:
    return select(func.max(table.c.id))


@cache
def _ids_above(table: Table) -> Select[*tuple[Any, ...]]:
    return select(table.c.id).where(table.c.id > bindparam("before")).order_by(table.c.id)


class SqlInbox:
    """See core.domain.store.Inbox."""

    def __init__(self, connection: Connection, handled: HandledMessages, now: Callable[[], int]) -> None:
        self._connection, self._handled = connection, handled
        self._now = now

    async def stored_keys(self, messages: Sequence[Incoming]) -> Collection[tuple[str, str, str]]:
        if not messages:
            return set()
        keys = {message.key for message in messages}
        rows = await self._connection.execute(_STORED, _among(_MESSAGE, keys))
        stored = {key for platform, bot, external_id in rows if (key := (platform, bot, external_id)) in keys}
        if not self._handled.is_empty:
            stored.update(await self._handled.among(list(keys)))
        return stored

    async def add(self, owed: Sequence[NewReply]) -> Sequence[Reply]:
        if not owed:
            return []
        now, keys = self._now(), await self._chats([each.incoming.chat for each in owed])
        added = [_without_ids(each, keys[each.incoming.chat].conversation, now) for each in owed]
        inbox_ids = await self._insert(inbox, [{
            "platform": reply.chat.platform, "bot": reply.bot, "external_id": reply.external_id,
            "chat_id": keys[reply.chat].id, "seq": reply.seq, "private": reply.private, "author_id": reply.author.id,
            "author_name": reply.author.name, "locale": reply.author.locale,
            "text": None if reply.lane is Lane.ANSWER else reply.text or None,  # a question's is in `messages`
            "reply_token": reply.reply_token or None, "options": dict(reply.options) or None, "received_at": now,
        } for reply in added])  # fmt: skip
        question_ids = iter(await self._insert(messages, [{
            "chat_id": keys[reply.chat].id, "conversation": reply.conversation, "role": "user", "text": reply.text,
            "author_id": reply.author.id, "author_name": reply.author.name, "at": reply.at,
        } for reply in added if reply.lane is Lane.ANSWER]))  # fmt: skip
        questions = [next(question_ids) if reply.lane is Lane.ANSWER else None for reply in added]
        ids = await self._insert(replies, [{
            "inbox_id": inbox_id, "chat_id": keys[reply.chat].id, "conversation": reply.conversation,
            "lane": reply.lane, "state": reply.state, "question_id": question, "final": reply.final,
            "merged_into": reply.merged_into, "outcome": reply.outcome, "chunks": [], "updated_at": now,
        } for reply, inbox_id, question in zip(added, inbox_ids, questions, strict=True)])  # fmt: skip
        return [
            replace(reply, id=id, question=question) for reply, id, question in zip(added, ids, questions, strict=True)
        ]

    async def queue_load(self, messages: Sequence[Incoming], since: int, platforms: Collection[str]) -> QueueLoad:
        load = QueueLoad({message.chat: 0 for message in messages}, 0, {})
        keys = [(chat.platform, chat.chat, chat.thread) for chat in load.here]
        for platform, chat, thread, count in await self._connection.execute(_COUNT_HERE, _among(_CHAT, keys)):
            if (where := ChatId(platform, chat, thread)) in load.here:
                load.here[where] = count
        everywhere = await self._connection.execute(_COUNT_EVERYWHERE, {"platforms": list(platforms)})
        load.waiting = everywhere.scalar() or 0
        authors = {(message.chat.platform, message.author.id) for message in messages}
        asked = _among(_AUTHOR, authors) | {"since": since, "received_since": self._now() - COUNTED_MS}
        for platform, author, at in await self._connection.execute(_ASKED, asked):
            if (platform, author) in authors:
                load.asked.setdefault((platform, author), []).append(at)
        return load

    async def edit_question(self, incoming: Incoming) -> bool:
        platform, bot, external_id = incoming.key
        message = {"platform": platform, "bot": bot, "external_id": external_id}
        question = (await self._connection.execute(_EDITABLE, message)).scalar_one_or_none()
        if question is None or not incoming.text:
            return False
        await self._connection.execute(_EDIT, {"question": question, "text": incoming.text})
        return True

    async def find_question(self, platform: str, bot: str, external_id: str) -> Reply | None:
        message = {"platform": platform, "bot": fit_id(bot), "external_id": fit_id(external_id)}
        row = (await self._connection.execute(_QUESTION, message)).first()
        return to_reply(row) if row else None

    async def set_merged_into(self, others: Sequence[Reply], into: Reply) -> None:
        ids = [reply.id for reply in others]
        await self._connection.execute(_SET_MERGED_INTO, {"ids": ids, "merged_into": into.id})

    async def _chats(self, wanted: Sequence[ChatId]) -> Mapping[ChatId, ChatKey]:
        """The conversations' rows, made where there are none. A message shows that the bot may write there."""
        found, inactive = dict[ChatId, ChatKey](), list[int]()
        unique = dict.fromkeys(wanted)
        keys = [(chat.platform, chat.chat, chat.thread) for chat in unique]
        rows = await self._connection.execute(_CHATS, _among(_CHAT, keys))
        for platform, chat, thread, id, conversation, active in rows:
            if (where := ChatId(platform, chat, thread)) not in unique:
                continue
            found[where] = ChatKey(id, conversation)
            if not active:
                inactive.append(id)
        if inactive:
            await self._connection.execute(_ACTIVATE, {"ids": inactive})
        new = [chat for chat in unique if chat not in found]
        ids = await self._insert(chats, [{"platform": c.platform, "chat": c.chat, "thread": c.thread} for c in new])
        return found | {chat: ChatKey(id, 1) for chat, id in zip(new, ids, strict=True)}

    async def _insert(self, table: Table, rows: list[_Values]) -> list[int]:
        """Insert rows; return their ids in order. No other transaction inserts meanwhile, so one statement reads
        them: to ask each insert for its id would take SQLite a statement for each row."""
        if not rows:
            return []
        statement = _insert_into(table)
        if len(rows) == 1:
            return list((await self._connection.execute(statement, rows[0])).inserted_primary_key or ())
        before = (await self._connection.execute(_highest_id(table))).scalar() or 0
        await self._connection.execute(statement, rows)
        return list((await self._connection.execute(_ids_above(table), {"before": before})).scalars())


def _without_ids(owed: NewReply, conversation: int, now: int) -> Reply:
    """The reply as it will be stored. To read a batch back would take as long as to store it."""
    incoming, asks = owed.incoming, owed.lane is Lane.ANSWER
    queued_command = not asks and owed.state is State.QUEUED
    return Reply(
        id=0, chat=incoming.chat, private=incoming.private, conversation=conversation, lane=owed.lane,
        state=owed.state, attempt=0, author=incoming.author, bot=incoming.bot,
        text=incoming.text if asks or queued_command else "",
        external_id=incoming.external_id, seq=incoming.seq,
        reply_token=incoming.reply_token if owed.state in OPEN else "",
        options=incoming.options if queued_command else {},
        asker=Author(incoming.author.id, incoming.author.name) if asks else None,
        outcome=State.REFUSED if owed.final else None, final=owed.final, at=incoming.at if asks else now,
        merged_into=owed.merged_into,
    )  # fmt: skip
