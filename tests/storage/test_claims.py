"""Claims of several replies: the order of claims one by one, one answer a conversation, isolated answers alone."""

from dataclasses import replace

import pytest

from core.domain.conversation import ChatId, Chunk, Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Claimed, Stale, Transaction
from storage.store import DatabaseStore
from tests.fakes import CHAT, claim_next, incoming, owe

pytestmark = pytest.mark.databases("sqlite", "postgresql")

CHATS = [ChatId("fake", str(number)) for number in range(1, 5)]


async def add(tx: Transaction, text: str, chat: ChatId = CHAT) -> Reply:
    reply = await owe(tx, incoming(text, chat=chat), Lane.NOTICE if text.startswith("/") else Lane.ANSWER)
    assert reply
    return reply


async def claim(tx: Transaction, limit: int, lane: Lane = Lane.ANSWER, now: int = 1) -> Claimed:
    return await tx.replies.claim(lane, ["fake"], now, limit)


def ids(claimed: Claimed) -> list[int]:
    return [reply.id for reply in claimed.replies]


async def isolate(tx: Transaction, reply: Reply) -> Reply:
    return await tx.replies.requeue(await tx.replies.move(reply, ReplyEvent.CLAIM), isolated=True)


async def test_as_many_as_there_is_room_for_in_the_order_of_single_claims(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for at, chat in ((10, CHATS[1]), (20, CHATS[2]), (30, CHATS[0])):  # served at these times
            await add(tx, "before", chat)
            served = await claim_next(tx, now=at)
            assert served
            await tx.replies.move(served, ReplyEvent.FAIL)
        new = await add(tx, "never served", CHATS[3])
        third, first, second = [await add(tx, "now", chat) for chat in CHATS[:3]]
        later = await add(tx, "later", CHATS[1])
        claimed = await claim(tx, 2, now=40)
        assert (ids(claimed), claimed.waiting) == ([new.id, first.id], True)
        assert [(reply.state, reply.attempt) for reply in claimed.replies] == [(State.GENERATING, 1)] * 2
        assert list(claimed.replies) == [await tx.replies.get(reply.id) for reply in claimed.replies]
        claimed = await claim(tx, 9, now=50)
        assert (ids(claimed), claimed.waiting) == ([second.id, third.id], True), "the later one is held up"
        assert await claim(tx, 9) == Claimed((), waiting=True)
        await tx.replies.move(await tx.replies.get(first.id), ReplyEvent.FAIL)
        claimed = await claim(tx, 9)
        assert (ids(claimed), claimed.waiting) == ([later.id], False)
        assert await claim(tx, 9) == Claimed((), waiting=False)


async def test_commands_one_a_conversation_oldest_first(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first = await add(tx, "/temp 0", CHATS[1])
        held_up = await add(tx, "/temp 1", CHATS[1])
        third = await add(tx, "/temp", CHATS[0])
        claimed = await claim(tx, 9, Lane.NOTICE)
        assert (ids(claimed), claimed.waiting) == ([first.id, third.id], True)
        await tx.replies.move(claimed.replies[0], ReplyEvent.FAIL)
        claimed = await claim(tx, 9, Lane.NOTICE)
        assert (ids(claimed), claimed.waiting) == ([held_up.id], False)


async def test_an_isolated_answer_runs_with_no_other_beside_it(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        running, other, dying = [await add(tx, "one", chat) for chat in CHATS[:3]]
        running = await tx.replies.move(running, ReplyEvent.CLAIM)
        isolated = await isolate(tx, dying)
        assert await claim(tx, 9) == Claimed((), waiting=True), "one is being generated"
        await tx.replies.move(running, ReplyEvent.FAIL)
        claimed = await claim(tx, 9)
        assert (ids(claimed), claimed.waiting) == ([isolated.id], True)
        assert claimed.replies[0].isolated and claimed.replies[0].attempt == 2
        assert await claim(tx, 9) == Claimed((), waiting=True), "it runs alone"
        await tx.replies.move(claimed.replies[0], ReplyEvent.FAIL)
        assert ids(await claim(tx, 9)) == [other.id]


async def test_other_platforms_neither_run_nor_wait(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        await add(tx, "one", ChatId("other", "1"))
        assert await claim(tx, 9) == Claimed((), waiting=False)


async def test_a_delivery_returns_the_answer_before_that_has_a_message(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first = await finished(tx, "one", message_id="7")
        assert await tx.replies.deliver(first) is None
        unseen = await finished(tx, "never shown")
        await finished(tx, "elsewhere", CHATS[1], message_id="8")
        before = await tx.replies.deliver(unseen)
        assert before and (before.id, before.chunks) == (first.id, (Chunk("n", "7"),))
        last = await finished(tx, "two", message_id="9")
        notice = await tx.replies.move(await add(tx, "/temp"), ReplyEvent.CLAIM)
        notice = await tx.replies.move(notice, ReplyEvent.FINISH, final="ok")
        assert await tx.replies.deliver(notice) is None
        before = await tx.replies.deliver(last)
        assert before and before.id == first.id
        assert (await tx.replies.get(last.id)).state is State.DONE
        for stale in (last, replace(last, attempt=9)):
            with pytest.raises(Stale):
                await tx.replies.deliver(stale)


async def finished(tx: Transaction, text: str, chat: ChatId = CHAT, *, message_id: str = "") -> Reply:
    """An answer that is to be delivered, with a message that is sent already if it has an id."""
    reply = await tx.replies.move(await add(tx, text, chat), ReplyEvent.CLAIM)
    if message_id:
        await tx.messages.add_intent(reply, "n")
        await tx.messages.set_id(reply, "n", message_id)
    return await tx.replies.move(reply, ReplyEvent.FINISH, final=text)
