"""Writes to a database in trouble: each is refused as Unavailable, without a word of what was to be stored."""

import pytest

from core.domain.reply_states import Lane
from core.domain.store import Unavailable
from storage.store import DatabaseStore
from tests.fakes import incoming, owe

SECRET = "what nobody may read"


async def write(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await owe(tx, incoming(SECRET), Lane.ANSWER)


async def refused(store: DatabaseStore) -> str:
    """It can't be written; the reason that is given."""
    with pytest.raises(Unavailable) as caught:
        await write(store)
    shown = f"{caught.value!r} {caught.value.__cause__}"
    assert SECRET not in shown and "\n" not in str(caught.value)
    return str(caught.value)


async def counted(store: DatabaseStore) -> int:
    async with store.begin() as tx:
        return (await tx.replies.count_active())[1]
