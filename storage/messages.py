"""The messages of a reply: intents and ids, in the order of the reply's text."""

import json
from typing import Any

from sqlalchemy import Text, bindparam, cast, select, update

from core.domain.conversation import Reply, fit_id
from core.domain.store import Stale
from storage.connections import Connection
from storage.tables import chats, replies

_Chunks = list[dict[str, Any]]

_CURRENT = (
    select(replies.c.chunks)
    .where(replies.c.id == bindparam("reply_id"), replies.c.attempt == bindparam("of_attempt"))
    .with_for_update()
)
_STORE = update(replies).where(replies.c.id == bindparam("reply_id"))
_CANDIDATES = (
    select(replies.c.chunks)
    .join(chats, chats.c.id == replies.c.chat_id)
    .where(
        chats.c.platform == bindparam("platform"),
        chats.c.chat == bindparam("chat"),
        # SQLite's LIKE takes "a" for "A", so what it finds is compared again.
        cast(replies.c.chunks, Text).contains(bindparam("part", type_=Text), escape="/"),
    )
)


class SqlMessages:
    """See core.domain.store.Messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add_intent(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        chunks, intended = await self._lock_current(reply), {"nonce": nonce, "id": None}
        if any(chunk["nonce"] == nonce for chunk in chunks):
            return
        if instead_of:
            chunks = [intended if chunk["nonce"] == instead_of else chunk for chunk in chunks]
        else:
            chunks = [*chunks, intended]
        await self._connection.execute(_STORE, {"reply_id": reply.id, "chunks": chunks})

    async def set_id(self, reply: Reply, nonce: str, message_id: str) -> None:
        chunks = await self._lock_current(reply)
        chunks = [{**chunk, "id": message_id} if chunk["nonce"] == nonce else chunk for chunk in chunks]
        await self._connection.execute(_STORE, {"reply_id": reply.id, "chunks": chunks})

    async def remove(self, reply: Reply, nonce: str) -> None:
        kept = [chunk for chunk in await self._lock_current(reply) if chunk["nonce"] != nonce]
        await self._connection.execute(_STORE, {"reply_id": reply.id, "chunks": kept})

    async def exists(self, platform: str, chat: str, message_id: str) -> bool:
        part = f'"id": {json.dumps(message_id)}'
        for special in "/%_":
            part = part.replace(special, "/" + special)
        wanted = {"platform": platform, "chat": fit_id(chat), "part": part}
        candidates = (await self._connection.execute(_CANDIDATES, wanted)).scalars()
        return any(chunk["id"] == message_id for chunks in candidates for chunk in chunks)

    async def _lock_current(self, reply: Reply) -> _Chunks:
        """The reply's stored messages, locked until the transaction ends. Raises Stale where its attempt is over: a
        worker may change a reply only while the attempt that it claimed is the current one."""
        attempt = {"reply_id": reply.id, "of_attempt": reply.attempt}
        if (row := (await self._connection.execute(_CURRENT, attempt)).first()) is None:
            raise Stale(f"reply {reply.id}: attempt {reply.attempt} is over")
        return list(row[0])
