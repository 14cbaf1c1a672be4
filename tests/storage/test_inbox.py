"""What comes in at once is stored as one, and told as it was stored."""

from dataclasses import replace

import pytest

from core.domain.conversation import ChatId, NewReply
from core.domain.reply_states import Lane, ReplyEvent, State
from storage.inbox import MAX_MESSAGE_CHARACTERS
from storage.store import DatabaseStore
from tests.fakes import ANN, BOB, CHAT, claim_next, incoming, owe

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


@pytest.mark.slow
async def test_which_questions_may_be_edited(store: DatabaseStore) -> None:
    """Those that nobody has begun to answer, and that were written as one message. Nor is one that holds another's text
    found for its deletion."""
    begun, waits, long = incoming("begun"), incoming("waits"), incoming("x" * (MAX_MESSAGE_CHARACTERS + 1))
    earlier, both = incoming("earlier"), incoming("earlier, and more")
    async with store.begin() as tx:
        _, _, _, merged, into = [await owe(tx, each, Lane.ANSWER) for each in (begun, waits, long, earlier, both)]
        assert merged and into
        await tx.replies.move(merged, ReplyEvent.MERGE)
        await tx.inbox.set_merged_into([merged], into)
        assert await tx.inbox.find_question(*waits.key) and not await tx.inbox.find_question(*both.key)
        claimed = await claim_next(tx)
        assert claimed and claimed.text == "begun"
        await tx.replies.move(claimed, ReplyEvent.CRASH)
        for message in (begun, waits, long, both):
            await tx.inbox.edit_question(replace(message, text="edited"))
        texts = [reply.text for reply in await tx.replies.open_answers(CHAT)]
    assert texts == ["begun", "edited", long.text, both.text]


@pytest.mark.slow
async def test_who_has_asked_lately(store: DatabaseStore) -> None:
    """Only the people whose messages they are, each on their own platform, and by the platform's clock."""
    elsewhere = ChatId("other", "1")
    asked = [
        (1_000, ANN, CHAT),
        (2_000, ANN, CHAT),
        (3_000, BOB, CHAT),
        (4_000, BOB, elsewhere),
        (5_000, ANN, elsewhere),
    ]
    async with store.begin() as tx:
        for at, author, chat in asked:
            await owe(tx, replace(incoming("?", author, chat), at=at), Lane.ANSWER)
        load = await tx.inbox.queue_load([incoming("?"), incoming("?", BOB, elsewhere)], 2_000, ["fake"])
    assert load.asked == {("fake", "ann"): [2_000], ("other", "bob"): [4_000]}
    assert (load.here, load.waiting) == ({CHAT: 3, elsewhere: 2}, 3)
