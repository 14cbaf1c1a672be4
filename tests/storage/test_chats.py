"""Chats that close, and chats that go on under another id."""

import pytest
from sqlalchemy import text

from core.domain.conversation import ChatId, Chunk, Incoming, KnownChat, Reply, Setting
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Stale
from storage.store import DatabaseStore
from tests.fakes import ANN, incoming, owe

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OLD, NEW = ChatId("fake", "-1"), ChatId("fake", "-100")
TOPIC = ChatId("fake", "-1", "7")


async def asked(store: DatabaseStore, message: Incoming, *, run: bool = False, answer: str = "") -> Reply:
    async with store.begin() as tx:
        reply = await owe(tx, message, Lane.ANSWER)
        assert reply
        if run or answer:
            reply = await tx.replies.move(reply, ReplyEvent.CLAIM)
        if answer:
            await tx.turns.save_answer(reply, answer)
            reply = await tx.replies.move(reply, ReplyEvent.FINISH, final=answer)
            reply = await tx.replies.move(reply, ReplyEvent.DELIVER)
        return reply


async def answers(store: DatabaseStore, chat: ChatId) -> list[str]:
    async with store.begin() as tx:
        return [turn.answer for turn in await tx.turns.recent(chat, 10**9, 10)]


async def state(store: DatabaseStore, reply: Reply) -> State:
    async with store.begin() as tx:
        return (await tx.replies.get(reply.id)).state


async def active(store: DatabaseStore) -> list[bool]:
    async with store.begin() as tx:
        rows = await tx.replies._connection.execute(text("SELECT active FROM chats ORDER BY id"))
        return [bool(row[0]) for row in rows]


async def test_a_chat_that_is_closed_drops_its_queue_and_keeps_its_data(store: DatabaseStore) -> None:
    await asked(store, incoming("one", ANN, OLD), answer="first")
    running = await asked(store, incoming("two", ANN, OLD), run=True)
    waiting = [await asked(store, incoming("three", ANN, chat)) for chat in (OLD, TOPIC)]
    other = await asked(store, incoming("elsewhere"))
    async with store.begin() as tx:
        assert await tx.chats.deactivate("fake", "-1") == [running.id]
    assert [await state(store, reply) for reply in waiting] == [State.CANCELLED] * 2
    assert (await state(store, running), await state(store, other)) == (State.GENERATING, State.QUEUED)
    assert await answers(store, OLD) == ["first"] and await active(store) == [False, False, True]
    await asked(store, incoming("back again", ANN, OLD))
    assert await active(store) == [True, False, True]


async def test_leaving_a_chat_that_nobody_knows(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await tx.chats.deactivate("fake", "nowhere") == []


async def test_a_chat_moves_with_all_it_has(store: DatabaseStore) -> None:
    await asked(store, incoming("one", ANN, OLD), answer="first")
    await asked(store, incoming("cats?", ANN, TOPIC), answer="in the topic")
    running = await asked(store, incoming("two", ANN, OLD), run=True)
    async with store.begin() as tx:
        await tx.preferences.set(OLD, "memory", Setting("5", "Ann", 1))
    for _ in range(2):
        async with store.begin() as tx:
            await tx.chats.change_id("fake", "-1", "-100")
    async with store.begin() as tx:
        assert (await tx.replies.get(running.id)).chat == NEW
        assert (await tx.preferences.settings(NEW))["memory"].value == "5"
        await tx.turns.save_answer(running, "second")  # by a worker that has not noticed yet
    assert await answers(store, NEW) == ["first", "second"] and await answers(store, OLD) == []
    assert await answers(store, ChatId("fake", "-100", "7")) == ["in the topic"]


@pytest.mark.parametrize("cleared", [False, True])
async def test_what_was_said_under_the_new_id_already_stands_after_the_old(store: DatabaseStore, cleared: bool) -> None:
    await asked(store, incoming("one", ANN, OLD), answer="first")
    new = await asked(store, incoming("two", ANN, NEW), answer="second")
    async with store.begin() as tx:
        if cleared:
            await tx.turns.clear(new)
            await tx.turns.clear(new)
        await tx.preferences.set(OLD, "memory", Setting("5", "Ann", 1))
        await tx.preferences.set(OLD, "temperature", Setting("0", "Ann", 1))
        await tx.preferences.set(NEW, "memory", Setting("7", "Ann", 1))
        await tx.chats.change_id("fake", "-1", "-100")
    async with store.begin() as tx:
        values = {name: setting.value for name, setting in (await tx.preferences.settings(NEW)).items()}
        assert values == {"memory": "7", "temperature": "0"}
    assert await answers(store, NEW) == (["first"] if cleared else ["first", "second"])


async def test_a_move_to_where_it_is_changes_nothing(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await owe(tx, incoming("hi", chat=ChatId("fake", "-1")), Lane.ANSWER)
        await tx.chats.change_id("fake", "-1", "-1")
        assert reply and await tx.replies.get(reply.id) == reply


async def test_which_answer_was_shown_before(store: DatabaseStore) -> None:
    first = await asked(store, incoming("one"), run=True)
    async with store.begin() as tx:
        await tx.messages.add_intent(first, "n")
        await tx.messages.set_id(first, "n", "7")
        first = await tx.replies.move(first, ReplyEvent.FINISH, final="1")
        assert await tx.replies.deliver(first) is None
    await asked(store, incoming("never shown"), answer="2")
    await asked(store, incoming("elsewhere", ANN, OLD), answer="3")
    last = await asked(store, incoming("two"), run=True)
    async with store.begin() as tx:
        last = await tx.replies.move(last, ReplyEvent.FINISH, final="4")
        earlier = await tx.replies.deliver(last)
        assert earlier is not None and earlier.id == first.id and earlier.chunks[0].message_id == "7"


async def test_whether_an_answer_was_cut(store: DatabaseStore) -> None:
    reply = await asked(store, incoming("one"), run=True)
    assert reply.question
    async with store.begin() as tx:
        assert not await tx.turns.is_truncated(reply.question)
        await tx.turns.save_answer(reply, "half", cut=True)
        assert await tx.turns.is_truncated(reply.question)
        await tx.turns.save_answer(reply, "whole")
        assert not await tx.turns.is_truncated(reply.question)


async def test_an_id_from_outside_may_be_none(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await tx.replies.find(99) is None and await tx.replies.find(2**62) is None


async def test_two_answers_in_progress_become_one_and_one_that_begins_again(store: DatabaseStore) -> None:
    """The bot was told of the move by a failed send, while people wrote in the new group already."""
    old = await asked(store, incoming("one", ANN, OLD), run=True)
    new = await asked(store, incoming("two", ANN, NEW), run=True)
    async with store.begin() as tx:
        await tx.chats.change_id("fake", "-1", "-100")
    assert (await state(store, old), await state(store, new)) == (State.QUEUED, State.GENERATING)
    with pytest.raises(Stale):
        async with store.begin() as tx:
            await tx.replies.move(old, ReplyEvent.FINISH, final="by a worker that has not noticed yet")


async def test_messages_of_the_old_id_are_nobodys_in_the_new(store: DatabaseStore) -> None:
    """There they are counted anew: the same numbers are other people's messages."""
    done = await asked(store, incoming("one", ANN, OLD), run=True)
    async with store.begin() as tx:
        await tx.messages.add_intent(done, "n")
        await tx.messages.set_id(done, "n", "7")
        done = await tx.replies.move(done, ReplyEvent.FINISH, final="1")
        await tx.replies.move(done, ReplyEvent.DELIVER)
    running = await asked(store, incoming("two", ANN, OLD), run=True)
    async with store.begin() as tx:
        await tx.messages.add_intent(running, "m")
        await tx.messages.set_id(running, "m", "9")
        await tx.chats.change_id("fake", "-1", "-100")
        done, running = await tx.replies.get(done.id), await tx.replies.get(running.id)
    assert done.chunks == () and running.chunks == (Chunk("m"),) and running.seq == 0


async def test_the_answers_that_wait(store: DatabaseStore) -> None:
    first = await asked(store, incoming("one"))
    await asked(store, incoming("two", ANN, OLD), run=True)
    second = await asked(store, incoming("three", ANN, OLD))
    async with store.begin() as tx:
        assert [reply.id for reply in await tx.replies.longest_waiting(["fake"], 5)] == [first.id, second.id]
        assert [reply.id for reply in await tx.replies.longest_waiting(["fake"], 1)] == [first.id]
        assert await tx.replies.longest_waiting(["other"], 5) == []


async def test_known_conversations_with_their_newest_message(store: DatabaseStore) -> None:
    await asked(store, incoming("one", ANN, OLD), answer="first")
    newest = await asked(store, incoming("two", ANN, OLD))
    topic = await asked(store, incoming("three", ANN, TOPIC, private=False))
    closed = await asked(store, incoming("four", ANN, NEW))
    async with store.begin() as tx:
        await tx.chats.deactivate("fake", closed.chat.chat)
        known = list(await tx.chats.active("fake"))
        assert known == [KnownChat(TOPIC, False, topic.seq), KnownChat(OLD, True, newest.seq)]
        assert list(await tx.chats.active("other")) == []
