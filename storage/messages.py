"""The messages of a reply: intents and ids, in the order of the reply's text."""

import json

from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import Reply, fit_id
from storage.fence import lock_current_row
from storage.tables import ChatRow, ReplyRow


class SqlMessages:
    """See core.domain.store.Messages."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_intent(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        row, intended = await lock_current_row(self._session, reply), {"nonce": nonce, "id": None}
        if any(chunk["nonce"] == nonce for chunk in row.chunks):
            return
        if instead_of:
            row.chunks = [intended if chunk["nonce"] == instead_of else chunk for chunk in row.chunks]
        else:
            row.chunks = [*row.chunks, intended]

    async def set_id(self, reply: Reply, nonce: str, message_id: str) -> None:
        row = await lock_current_row(self._session, reply)
        row.chunks = [{**chunk, "id": message_id} if chunk["nonce"] == nonce else chunk for chunk in row.chunks]

    async def remove(self, reply: Reply, nonce: str) -> None:
        row = await lock_current_row(self._session, reply)
        row.chunks = [chunk for chunk in row.chunks if chunk["nonce"] != nonce]

    async def exists(self, platform: str, chat: str, message_id: str) -> bool:
        here = ChatRow.platform == platform, ChatRow.chat == fit_id(chat)
        # SQLite's LIKE takes "a" for "A", so what it finds is compared again.
        has_text = cast(ReplyRow.chunks, Text).contains(f'"id": {json.dumps(message_id)}', autoescape=True)
        candidates = await self._session.scalars(select(ReplyRow.chunks).join(ChatRow).where(*here, has_text))
        return any(chunk["id"] == message_id for chunks in candidates for chunk in chunks)
