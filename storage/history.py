"""The history: questions and the answers that name them."""

from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, delete, exists, insert, select, update

from core.domain.conversation import Author, ChatId, Question, Reply, Turn
from core.domain.reply_states import State
from storage.chats import get_or_create_chat, is_chat, key_of
from storage.connections import Connection
from storage.tables import chats, messages, replies

_RETRYABLE = (State.DONE, State.STOPPED, State.FAILED)

_answer = messages.alias("answer")
_here = (messages.c.chat_id == chats.c.id) & (messages.c.conversation == chats.c.conversation)
_RECENT = (
    select(messages.c.text, _answer.c.text, messages.c.author_name)
    .select_from(chats.join(messages, _here).join(_answer, _answer.c.reply_to == messages.c.id))
    .where(is_chat(), messages.c.id < bindparam("before"))
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
_DELETE = delete(messages).where(messages.c.id == bindparam("message"))
_ADD_ANSWER = insert(messages)
_TRUNCATED = select(messages.c.id).where(messages.c.reply_to == bindparam("question"), messages.c.cut)
_LAST_QUESTION = (
    select(messages.c.id, messages.c.text, messages.c.author_id, messages.c.author_name)
    .select_from(chats.join(messages, _here))
    .where(
        is_chat(),
        messages.c.role == "user",
        exists().where(replies.c.question_id == messages.c.id, replies.c.state.in_(_RETRYABLE)),
    )
    .order_by(messages.c.id.desc())
    .limit(1)
)
_DELETE_UNANSWERED = _DELETE.where(~exists().where(_answer.c.reply_to == messages.c.id))
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
        rows = await self._connection.execute(_RECENT, {**key_of(chat), "before": before, "most": limit})
        return [Turn(*row) for row in reversed(rows.all())]

    async def save_answer(self, reply: Reply, text: str, *, cut: bool = False) -> None:
        if not reply.question:
            return
        asked = {"reply_id": reply.id, "question": reply.question}
        if (row := (await self._connection.execute(_QUESTION, asked)).first()) is None:
            return
        chat_id, conversation, earlier = row
        if earlier is not None:
            await self._connection.execute(_DELETE, {"message": earlier})
        if not text:
            return
        answer = {
            "chat_id": chat_id, "conversation": conversation, "role": "assistant", "text": text, "cut": cut,
            "author_id": "", "author_name": "", "reply_to": reply.question, "at": self._now(),
        }  # fmt: skip
        await self._connection.execute(_ADD_ANSWER, answer)

    async def is_truncated(self, question: int) -> bool:
        return (await self._connection.execute(_TRUNCATED, {"question": question})).first() is not None

    async def last_question(self, chat: ChatId) -> Question | None:
        row = (await self._connection.execute(_LAST_QUESTION, key_of(chat))).first()
        return Question(row.id, row.text, Author(row.author_id, row.author_name)) if row else None

    async def delete_pair(self, question: int) -> None:
        # The answer is deleted by its foreign key.
        await self._connection.execute(_DELETE, {"message": question})

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
