"""Messages whose rows are pruned: a keyed hash of each stays, so that one that comes again is not answered again."""

import secrets
from collections.abc import Collection, Sequence
from hashlib import blake2b

from sqlalchemy import bindparam, insert, select

from storage.connections import Connection
from storage.tables import handled, keys

DIGEST_BYTES = 16
_KEY_NAME = "handled"

Key = tuple[str, str, str]
"""A message's identity: platform, bot, external id."""

_FIND_KEY = select(keys.c.value).where(keys.c.name == _KEY_NAME)
_ADD_KEY = insert(keys)
_FIND = select(handled.c.digest).where(handled.c.digest.in_(bindparam("digests", expanding=True)))
_ADD = insert(handled)


class HandledMessages:
    """The hashes of one database. `is_empty`: nothing was ever pruned, as far as is known without asking."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_empty = False

    async def among(self, messages: Sequence[Key]) -> Collection[Key]:
        """Those of the messages that were handled and pruned."""
        key = (await self._connection.execute(_FIND_KEY)).scalar()
        if key is None:
            self.is_empty = True
            return ()
        digests = {_digest(key, message): message for message in messages}
        found = await self._connection.execute(_FIND, {"digests": list(digests)})
        return [digests[bytes(digest)] for digest in found.scalars()]

    async def add(self, messages: Sequence[Key]) -> None:
        """Remember messages whose rows are deleted in this transaction."""
        key = (await self._connection.execute(_FIND_KEY)).scalar()
        if key is None:
            key = secrets.token_bytes(32)
            await self._connection.execute(_ADD_KEY, {"name": _KEY_NAME, "value": key})
        await self._connection.execute(_ADD, [{"digest": _digest(key, message)} for message in messages])
        self.is_empty = False


def _digest(key: bytes, message: Key) -> bytes:
    return blake2b("\0".join(message).encode(), digest_size=DIGEST_BYTES, key=key).digest()
