"""The history: questions and the answers that name them."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import Author, ChatId, Question, Reply, Turn
from core.domain.reply_states import State
from storage.chats import get_chat, get_or_create_chat
from storage.tables import ChatRow, MessageRow, ReplyRow

_RETRYABLE = (State.DONE, State.STOPPED, State.FAILED)


class SqlTurns:
    """See core.domain.store.Turns."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def recent(self, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        if (row := await get_chat(self._session, chat)) is None:
            return []
        answer = aliased(MessageRow)
        query = (
            select(MessageRow, answer)
            .join(answer, answer.reply_to == MessageRow.id)
            .where(MessageRow.chat_id == row.id, MessageRow.conversation == row.conversation, MessageRow.id < before)
            .order_by(MessageRow.id.desc())
            .limit(limit)
        )
        pairs = [(q, a) for q, a in await self._session.execute(query)]
        return [Turn(question.text, given.text, question.author_name) for question, given in reversed(pairs)]

    async def save_answer(self, reply: Reply, text: str, *, cut: bool = False) -> None:
        # Not by reply.chat: the chat may have another id since.
        mine = select(ReplyRow.chat_id).where(ReplyRow.id == reply.id).scalar_subquery()
        row = (await self._session.scalars(select(ChatRow).where(ChatRow.id == mine))).one()
        question = await self._session.get(MessageRow, reply.question) if reply.question else None
        if question is None or question.conversation != row.conversation:
            return
        await self._session.execute(delete(MessageRow).where(MessageRow.reply_to == question.id))
        if not text:
            return
        self._session.add(
            MessageRow(
                chat_id=row.id, conversation=row.conversation, role="assistant", text=text, cut=cut,
                author_id="", author_name="", reply_to=question.id, at=self._now(),
            )
        )  # fmt: skip

    async def is_truncated(self, question: int) -> bool:
        query = select(MessageRow.id).where(MessageRow.reply_to == question, MessageRow.cut)
        return (await self._session.execute(query)).first() is not None

    async def last_question(self, chat: ChatId) -> Question | None:
        if (row := await get_chat(self._session, chat)) is None:
            return None
        ended = exists().where(ReplyRow.question_id == MessageRow.id, ReplyRow.state.in_(_RETRYABLE))
        query: Select[Any] = (
            select(MessageRow)
            .where(MessageRow.chat_id == row.id, MessageRow.conversation == row.conversation, MessageRow.role == "user")
            .where(ended)
            .order_by(MessageRow.id.desc())
            .limit(1)
        )
        found = (await self._session.scalars(query)).one_or_none()
        return found and Question(found.id, found.text, Author(found.author_id, found.author_name))

    async def delete_pair(self, question: int) -> None:
        # The answer is deleted by its foreign key.
        await self._session.execute(delete(MessageRow).where(MessageRow.id == question))

    async def delete_unanswered(self, question: int) -> None:
        answer = aliased(MessageRow)
        answered = exists().where(answer.reply_to == question)
        await self._session.execute(delete(MessageRow).where(MessageRow.id == question, ~answered))

    async def clear(self, reply: Reply) -> None:
        row = await get_or_create_chat(self._session, reply.chat)
        row.conversation += 1
        later = select(ReplyRow.question_id).where(
            ReplyRow.chat_id == row.id, ReplyRow.id > reply.id, ReplyRow.question_id.is_not(None)
        )
        here = MessageRow.chat_id == row.id
        await self._session.execute(delete(MessageRow).where(here, MessageRow.id.not_in(later)))
        await self._session.execute(update(MessageRow).where(here).values(conversation=row.conversation))
        await self._session.execute(
            update(ReplyRow)
            .where(ReplyRow.chat_id == row.id, ReplyRow.id > reply.id)
            .values(conversation=row.conversation)
        )
