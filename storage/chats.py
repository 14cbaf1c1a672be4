"""Finding the row of a conversation, or making it."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.chat import ChatId
from storage.tables import ChatRow


async def find_chat(session: AsyncSession, chat: ChatId) -> ChatRow:
    """The conversation's row; a new one has number 1 and has never been served."""
    query = select(ChatRow).where(
        ChatRow.platform == chat.platform, ChatRow.chat == chat.chat, ChatRow.thread == chat.thread
    )
    row = (await session.scalars(query)).one_or_none()
    if row is None:
        row = ChatRow(platform=chat.platform, chat=chat.chat, thread=chat.thread, conversation=1, served_at=0)
        session.add(row)
        await session.flush()
    return row
