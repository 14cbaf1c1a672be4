"""What comes in at once is stored as one, and told as it was stored."""

from dataclasses import replace

import pytest

from core.domain.conversation import ChatId, NewReply
from core.domain.reply_states import Lane, State
from storage.store import DatabaseStore
from tests.fakes import BOB, incoming

pytestmark = pytest.mark.databases("sqlite", "postgresql")


async def test_replies_are_told_as_they_were_stored(store: DatabaseStore) -> None:
    fixed = DatabaseStore(store._database, lambda: 1_800_000_000_000)
    private = replace(incoming("question"), reply_token="a key")
    owed = [
        NewReply(private, Lane.ANSWER),
        NewReply(replace(incoming("/temp 0", BOB), options={"value": 0}), Lane.NOTICE),
        NewReply(replace(incoming(""), reply_token="key"), Lane.NOTICE, State.SENDING, final="busy"),
        NewReply(replace(incoming(""), reply_token="key"), Lane.NOTICE, State.MERGED, merged_into=1),
        NewReply(incoming("chào", BOB, ChatId("fake", "9", "3"), private=False), Lane.ANSWER),
    ]
    async with fixed.begin() as tx:
        told = await tx.inbox.add(owed)
    async with fixed.begin() as tx:
        assert [await tx.replies.get(reply.id) for reply in told] == list(told)
    assert [reply.text for reply in told] == ["question", "/temp 0", "", "", "chào"]
