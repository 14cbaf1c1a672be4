"""From rows to the nouns of core.domain: a reply with its message, its conversation and its question."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import Author, ChatId, Chunk, Reply
from core.domain.reply_states import Lane, State
from storage.tables import ChatRow, InboxRow, MessageRow, ReplyRow


async def nouns(session: AsyncSession, condition: ColumnElement[bool]) -> list[Reply]:
    """The replies that fulfil a condition, oldest first."""
    prefix = aliased(MessageRow)
    query = (
        select(ReplyRow, InboxRow, ChatRow, MessageRow, prefix.text)
        .join(InboxRow, InboxRow.id == ReplyRow.inbox_id)
        .join(ChatRow, ChatRow.id == ReplyRow.chat_id)
        .outerjoin(MessageRow, MessageRow.id == ReplyRow.question_id)
        .outerjoin(prefix, (prefix.reply_to == ReplyRow.question_id) & ReplyRow.goes_on)
        .where(condition)
        .order_by(ReplyRow.id)
    )
    return [_noun(*row) for row in await session.execute(query)]


def _noun(row: ReplyRow, inbox: InboxRow, chat: ChatRow, question: MessageRow | None, prefix: str | None) -> Reply:
    return Reply(
        id=row.id,
        chat=ChatId(chat.platform, chat.chat, chat.thread),
        private=inbox.private,
        conversation=row.conversation,
        lane=Lane(row.lane),
        state=State(row.state),
        attempt=row.attempt,
        author=Author(inbox.author_id, inbox.author_name, inbox.locale),
        text=question.text if question else inbox.text or "",
        bot=inbox.bot,
        external_id=inbox.external_id,
        seq=inbox.seq,
        reply_token=inbox.origin or "",
        options=inbox.options or {},
        question=question.id if question else None,
        asker=Author(question.author_id, question.author_name) if question else None,
        outcome=State(row.outcome) if row.outcome else None,
        final=row.final,
        chunks=tuple(Chunk(chunk["nonce"], chunk["id"]) for chunk in row.chunks),
        at=question.at if question else inbox.received_at,
        isolated=row.alone,
        engine_deaths=row.strikes,
        merged_into=row.merged_into,
        prefix=prefix or "",
    )
