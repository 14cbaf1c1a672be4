"""From rows to the value types of core.domain: a reply with its message, its conversation and its question."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import Author, ChatId, Chunk, Reply
from core.domain.reply_states import Lane, State
from storage.tables import ChatRow, InboxRow, MessageRow, ReplyRow


async def select_replies(session: AsyncSession, condition: ColumnElement[bool]) -> list[Reply]:
    """The replies that fulfil a condition on their reply, inbox, chat or question row, oldest first."""
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
    return [_to_reply(*row) for row in await session.execute(query)]


async def select_reply(session: AsyncSession, condition: ColumnElement[bool]) -> Reply | None:
    """The oldest reply that fulfils a condition, see select_replies; None where none does."""
    replies = await select_replies(session, condition)
    return replies[0] if replies else None


def _to_reply(row: ReplyRow, inbox: InboxRow, chat: ChatRow, question: MessageRow | None, prefix: str | None) -> Reply:
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
        reply_token=inbox.reply_token or "",
        options=inbox.options or {},
        question=question.id if question else None,
        asker=Author(question.author_id, question.author_name) if question else None,
        outcome=State(row.outcome) if row.outcome else None,
        final=row.final,
        chunks=tuple(Chunk(chunk["nonce"], chunk["id"]) for chunk in row.chunks),
        at=question.at if question else inbox.received_at,
        isolated=row.isolated,
        engine_deaths=row.engine_deaths,
        merged_into=row.merged_into,
        prefix=prefix or "",
    )
