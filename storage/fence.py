"""The fence: a worker may change a reply only while the attempt that it claimed is the current one."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import Reply
from core.domain.store import Stale
from storage.tables import ReplyRow


async def lock_current_row(session: AsyncSession, reply: Reply) -> ReplyRow:
    """The reply's row, locked until the transaction ends. Raises Stale where its attempt is over."""
    query = select(ReplyRow).where(ReplyRow.id == reply.id, ReplyRow.attempt == reply.attempt).with_for_update()
    row = (await session.scalars(query)).one_or_none()
    if row is None:
        raise Stale(f"reply {reply.id}: attempt {reply.attempt} is over")
    return row
