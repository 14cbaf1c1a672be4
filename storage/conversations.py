"""Conversations: the row of each, its settings, its history; and the interface languages of people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, bindparam, delete, exists, func, insert, or_, select, update

from core.domain.conversation import Author, ChatId, Question, Reply, Setting, StoredAnswer, Turn, fit_id
from core.domain.reply_states import State
from storage.connections import Connection
from storage.tables import chats, messages, replies, settings, users


def is_chat() -> ColumnElement[bool]:
    """Whether a row of `chats` is that of the conversation whose `key_of` are the parameters."""
    return (
        (chats.c.platform == bindparam("of_platform"))
        & (chats.c.chat == bindparam("of_chat"))
        & (chats.c.thread == bindparam("of_thread"))
    )


def key_of(chat: ChatId) -> dict[str, Any]:
    """The parameters of `is_chat`."""
    return {"of_platform": chat.platform, "of_chat": fit_id(chat.chat), "of_thread": fit_id(chat.thread)}


class ChatKey(NamedTuple):
    """A conversation's row id and current number."""

    id: int
    conversation: int


SELECT_KEY = select(chats.c.id, chats.c.conversation).where(is_chat())
_ADD_CHAT = insert(chats)


async def get_or_create_chat(connection: Connection, chat: ChatId) -> ChatKey:
    """The conversation's row, for what writes; a new one has number 1 and has never been served."""
    row = (await connection.execute(SELECT_KEY, key_of(chat))).first()
    if row is not None:
        return ChatKey(*row)
    new = {"platform": chat.platform, "chat": fit_id(chat.chat), "thread": fit_id(chat.thread)}
    added = await connection.execute(_ADD_CHAT, new)
    ids = list(added.inserted_primary_key or ())
    return ChatKey(ids[0], 1)


_SETTINGS = (
    select(chats.c.thread, settings.c.name, settings.c.value, settings.c.set_by, settings.c.set_at)
    .join(settings, settings.c.chat_id == chats.c.id)
    .where(
        chats.c.platform == bindparam("of_platform"),
        chats.c.chat == bindparam("of_chat"),
        or_(chats.c.thread == "", chats.c.thread == bindparam("of_thread")),
    )
    .order_by(chats.c.thread)
)
"""The chat's own first: what a topic sets itself replaces them."""
_setting = settings.c.chat_id == bindparam("chat_row"), settings.c.name == bindparam("of_name")
_CHANGE_SETTING = update(settings).where(*_setting)
_ADD_SETTING = insert(settings)
_DELETE_SETTING = delete(settings).where(
    settings.c.name == bindparam("of_name"),
    settings.c.chat_id == select(chats.c.id).where(is_chat()).scalar_subquery(),
)
_person = users.c.platform == bindparam("of_platform"), users.c.user == bindparam("of_user")
_LANGUAGE = select(users.c.language).where(*_person)
_LANGUAGES = (
    select(users.c.user, users.c.language)
    .where(users.c.platform == bindparam("of_platform"))
    .order_by(users.c.set_at.desc())
    .limit(bindparam("most"))
)
_CHANGE_LANGUAGE = update(users).where(*_person)
_ADD_LANGUAGE = insert(users)


class SqlPreferences:
    """See core.domain.store.Preferences."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def settings(self, chat: ChatId) -> Mapping[str, Setting]:
        rows = await self._connection.execute(_SETTINGS, key_of(chat))
        return {
            name: Setting(value, by, at, inherited=bool(chat.thread) and not thread)
            for thread, name, value, by, at in rows
        }

    async def set(self, chat: ChatId, name: str, setting: Setting) -> None:
        row = (await get_or_create_chat(self._connection, chat)).id
        values = {"value": setting.value, "set_by": setting.by, "set_at": setting.at}
        changed = await self._connection.execute(_CHANGE_SETTING, {"chat_row": row, "of_name": name, **values})
        if not changed.rowcount:
            await self._connection.execute(_ADD_SETTING, {"chat_id": row, "name": name, **values})

    async def delete(self, chat: ChatId, name: str) -> None:
        await self._connection.execute(_DELETE_SETTING, {**key_of(chat), "of_name": name})

    async def language(self, platform: str, user: str) -> str:
        person = {"of_platform": platform, "of_user": fit_id(user)}
        return (await self._connection.execute(_LANGUAGE, person)).scalar() or "auto"

    async def languages(self, platform: str, limit: int) -> Mapping[str, str]:
        rows = await self._connection.execute(_LANGUAGES, {"of_platform": platform, "most": limit})
        return {user: language for user, language in rows}

    async def set_language(self, platform: str, user: str, language: str, at: int) -> None:
        person, values = {"of_platform": platform, "of_user": fit_id(user)}, {"language": language, "set_at": at}
        changed = await self._connection.execute(_CHANGE_LANGUAGE, {**person, **values})
        if not changed.rowcount:
            await self._connection.execute(_ADD_LANGUAGE, {"platform": platform, "user": fit_id(user), **values})


COUNTED_IDS = 4096
"""The index of a turn is counted from the last message on whose id is a multiple of this, or would be. All turns of a
conversation would take 4 ms where there are 10,000."""
RETRYABLE = (State.DONE, State.STOPPED, State.FAILED)
"""How an answer ends whose question can be asked again."""

_answer = messages.alias("answer")
_here = (messages.c.chat_id == chats.c.id) & (messages.c.conversation == chats.c.conversation)
_answered = chats.join(messages, _here).join(_answer, _answer.c.reply_to == messages.c.id)
_older = is_chat(), messages.c.id < bindparam("before")
_newest = (
    select(messages.c.id)
    .select_from(_answered)
    .where(*_older)
    .order_by(messages.c.id.desc())
    .limit(1)
    .correlate(None)
    .scalar_subquery()
)
_span = bindparam("span", type_=BigInteger)
# Read from indexes alone: 0.4 µs a turn.
_COUNT = (
    select(func.count())
    .select_from(_answered)
    .where(*_older, messages.c.id >= _newest - _newest % _span)
    .correlate(None)
    .scalar_subquery()
)
_RECENT = (
    select(messages.c.text, _answer.c.text, messages.c.author_name, _COUNT)
    .select_from(_answered)
    .where(*_older)
    .order_by(messages.c.id.desc())
    .limit(bindparam("most"))
)
# Not by the reply's chat: it may have another id since.
_QUESTION = (
    select(chats.c.id, chats.c.conversation, _answer.c.id)
    .select_from(replies)
    .join(chats, chats.c.id == replies.c.chat_id)
    .join(messages, (messages.c.id == bindparam("question")) & (messages.c.conversation == chats.c.conversation))
    .outerjoin(_answer, _answer.c.reply_to == messages.c.id)
    .where(replies.c.id == bindparam("reply_id"))
)
_DELETE_MESSAGE = delete(messages).where(messages.c.id == bindparam("message"))
_ADD_ANSWER = insert(messages)
_ended_as = (
    select(replies.c.state)
    .where(replies.c.question_id == bindparam("question"), replies.c.state.in_(RETRYABLE))
    .order_by(replies.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_STORED_ANSWER = select(messages.c.text, messages.c.cut, _ended_as).where(messages.c.reply_to == bindparam("question"))
_TRUNCATED = select(messages.c.id).where(messages.c.reply_to == bindparam("question"), messages.c.cut)
LAST_QUESTION = (
    select(messages.c.id, messages.c.text, messages.c.author_id, messages.c.author_name)
    .select_from(chats.join(messages, _here))
    .where(
        is_chat(),
        messages.c.role == "user",
        or_(
            exists().where(replies.c.question_id == messages.c.id, replies.c.state.in_(RETRYABLE)),
            # Its reply is pruned.
            exists().where(_answer.c.reply_to == messages.c.id)
            & ~exists().where(replies.c.question_id == messages.c.id),
        ),
    )
    .order_by(messages.c.id.desc())
    .limit(1)
)
_DELETE_UNANSWERED = _DELETE_MESSAGE.where(~exists().where(_answer.c.reply_to == messages.c.id))
_later = select(replies.c.question_id).where(
    replies.c.chat_id == bindparam("chat_row"), replies.c.id > bindparam("reply_id"), replies.c.question_id.is_not(None)
)
_mine = messages.c.chat_id == bindparam("chat_row")
_CLEAR = delete(messages).where(_mine, messages.c.id.not_in(_later))
_RENUMBER_CHAT = update(chats).where(chats.c.id == bindparam("chat_row"))
_RENUMBER_MESSAGES = update(messages).where(_mine)
_RENUMBER_REPLIES = update(replies).where(
    replies.c.chat_id == bindparam("chat_row"), replies.c.id > bindparam("reply_id")
)  # fmt: skip


class SqlTurns:
    """See core.domain.store.Turns."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now

    async def recent(self, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        found = await self._connection.execute(
            _RECENT, {**key_of(chat), "before": before, "most": limit, "span": COUNTED_IDS}
        )
        newest_first = [
            Turn(question, answer, author, count - 1 - later)
            for later, (question, answer, author, count) in enumerate(found.all())
        ]
        return newest_first[::-1]

    async def save_answer(self, reply: Reply, text: str, *, cut: bool = False) -> None:
        if not reply.question:
            return
        asked = {"reply_id": reply.id, "question": reply.question}
        if (row := (await self._connection.execute(_QUESTION, asked)).first()) is None:
            return
        chat_id, conversation, earlier = row
        if earlier is not None:
            await self._connection.execute(_DELETE_MESSAGE, {"message": earlier})
        if not text:
            return
        answer = {
            "chat_id": chat_id, "conversation": conversation, "role": "assistant", "text": text, "cut": cut,
            "author_id": "", "author_name": "", "reply_to": reply.question, "at": self._now(),
        }  # fmt: skip
        await self._connection.execute(_ADD_ANSWER, answer)

    async def answer_to(self, question: int) -> StoredAnswer | None:
        row = (await self._connection.execute(_STORED_ANSWER, {"question": question})).first()
        return StoredAnswer(row[0], row[1], row[2] == State.STOPPED) if row else None

    async def is_truncated(self, question: int) -> bool:
        return (await self._connection.execute(_TRUNCATED, {"question": question})).first() is not None

    async def last_question(self, chat: ChatId) -> Question | None:
        row = (await self._connection.execute(LAST_QUESTION, key_of(chat))).first()
        return Question(row.id, row.text, Author(row.author_id, row.author_name)) if row else None

    async def delete_pair(self, question: int) -> None:
        # The answer is deleted by its foreign key.
        await self._connection.execute(_DELETE_MESSAGE, {"message": question})

    async def delete_unanswered(self, question: int) -> None:
        await self._connection.execute(_DELETE_UNANSWERED, {"message": question})

    async def clear(self, reply: Reply) -> None:
        row = await get_or_create_chat(self._connection, reply.chat)
        here, later = {"chat_row": row.id}, {"chat_row": row.id, "reply_id": reply.id}
        current = {"conversation": row.conversation + 1}
        await self._connection.execute(_RENUMBER_CHAT, here | current)
        await self._connection.execute(_CLEAR, later)
        await self._connection.execute(_RENUMBER_MESSAGES, here | current)
        await self._connection.execute(_RENUMBER_REPLIES, later | current)
