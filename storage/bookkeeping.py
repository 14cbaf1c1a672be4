"""What nobody needs any more is deleted, in small steps: messages that were dealt with long ago, and their replies."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, exists, or_, select

from core.domain.reply_states import OPEN, Lane
from core.domain.store import Pruned
from storage.connections import Connection
from storage.conversations import RETRYABLE
from storage.handled import HandledMessages
from storage.tables import inbox, messages, replies

_later_reply = replies.alias("later_reply")
_later_message = inbox.alias("later_message")
_answer = messages.alias("answer")
_ids: BindParameter[Any] = bindparam("ids", expanding=True)

_WINDOW = (
    select(replies.c.id, replies.c.updated_at)
    .where(replies.c.id > bindparam("after"))
    .order_by(replies.c.id)
    .limit(bindparam("most"))
)
_later_answer = exists().where(
    _later_reply.c.chat_id == replies.c.chat_id, _later_reply.c.lane == Lane.ANSWER, _later_reply.c.id > replies.c.id
)  # fmt: skip
_later_question = _later_answer.where(_later_reply.c.state.in_(RETRYABLE), _later_reply.c.question_id.is_not(None))
# The next answer removes the buttons under a conversation's last one; /retry and /undo are about its last question.
_is_last_answer = (replies.c.lane == Lane.ANSWER) & (
    ~_later_answer | (replies.c.question_id.is_not(None) & ~_later_question)
)
# How far a chat was read is known by its newest message.
_is_newest_message = ~exists().where(
    _later_message.c.chat_id == inbox.c.chat_id, _later_message.c.seq >= inbox.c.seq,
    _later_message.c.id > inbox.c.id,
)  # fmt: skip
_DONE = (
    select(
        replies.c.id, replies.c.inbox_id, replies.c.question_id, inbox.c.platform, inbox.c.bot, inbox.c.external_id
    )
    .join(inbox, inbox.c.id == replies.c.inbox_id)
    .where(
        replies.c.id > bindparam("after"), replies.c.id <= bindparam("last"), replies.c.state.not_in(OPEN),
        replies.c.updated_at < bindparam("before"), ~or_(_is_last_answer, _is_newest_message),
    )
)  # fmt: skip
_DELETE_REPLIES = delete(replies).where(replies.c.id.in_(_ids))
_DELETE_INBOX = delete(inbox).where(inbox.c.id.in_(_ids))
# A question that failed or was refused is no turn: it has nothing but its reply.
_DELETE_QUESTIONS = delete(messages).where(
    messages.c.id.in_(_ids),
    ~exists().where(_answer.c.reply_to == messages.c.id),
    ~exists().where(replies.c.question_id == messages.c.id),
)


class SqlBookkeeping:
    """See core.domain.store.Bookkeeping."""

    def __init__(self, connection: Connection, handled: HandledMessages) -> None:
        self._connection, self._handled = connection, handled

    async def prune(self, before: int, after: int, most: int) -> Pruned:
        execute = self._connection.execute
        window = (await execute(_WINDOW, {"after": after, "most": most})).all()
        if all(row.updated_at >= before for row in window):  # what comes after it is newer
            return Pruned(0, None)
        last = window[-1].id
        wanted = {"after": after, "last": last, "before": before}
        done = (await execute(_DONE, wanted)).all()
        if done:
            await self._handled.add([tuple(row[3:]) for row in done])
            await execute(_DELETE_REPLIES, {"ids": [row.id for row in done]})
            await execute(_DELETE_INBOX, {"ids": [row.inbox_id for row in done]})
            if questions := _present(row.question_id for row in done):
                await execute(_DELETE_QUESTIONS, {"ids": questions})
        return Pruned(len(done), last if len(window) == most else None)


def _present(ids: Iterable[int | None]) -> list[int]:
    return [id for id in ids if id is not None]
