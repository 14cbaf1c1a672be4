"""History, settings and languages on a real database, and what a restart leaves of them."""

import pytest

from core.domain.conversation import ELSEWHERE, ChatId, Question, Reply, Setting
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Transaction
from storage import conversations
from storage.database import open_database
from storage.store import DatabaseStore
from tests.fakes import ANN, CHAT, incoming, owe

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "1", "topic")


async def answered(tx: Transaction, question: str, answer: str, chat: ChatId = CHAT) -> Reply:
    """A question with its answer."""
    reply = await owe(tx, incoming(question, chat=chat), Lane.ANSWER)
    assert reply
    reply = await tx.replies.move(reply, ReplyEvent.CLAIM)
    await tx.turns.save_answer(reply, answer)
    return await tx.replies.move(await tx.replies.move(reply, ReplyEvent.FINISH, final=answer), ReplyEvent.DELIVER)


async def asked(tx: Transaction, text: str, chat: ChatId = CHAT) -> Reply:
    """A question without an answer yet."""
    reply = await owe(tx, incoming(text, chat=chat), Lane.ANSWER)
    assert reply and reply.question
    return reply


async def test_exactly_n_answered_turns_oldest_first(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for i in range(12):
            await answered(tx, f"q{i}", f"a{i}")
            await answered(tx, "elsewhere", "there", OTHER)
            await asked(tx, "unanswered")
        question = await asked(tx, "now")
        await answered(tx, "later", "after it")
        for limit in range(1, 11):
            turns = await tx.turns.recent(CHAT, question.question or 0, limit)
            expected = [(f"q{i}", f"a{i}") for i in range(12 - limit, 12)]
            assert [(turn.question, turn.answer) for turn in turns] == expected, limit
            assert [turn.index for turn in turns] == list(range(12 - limit, 12)), "of the answered ones"


@pytest.mark.slow
async def test_a_turn_keeps_its_index_until_it_is_counted_from_another(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many turns there are, few are counted: here those since the last id that is a multiple of ten."""
    monkeypatch.setattr(conversations, "COUNTED_IDS", 10)
    before, indexes = 0, dict[str, int]()
    async with store.begin() as tx:
        for i in range(20):
            reply = await answered(tx, f"q{i}", f"a{i}")
            now = {turn.question: turn.index for turn in await tx.turns.recent(CHAT, 1_000_000, 4)}
            assert list(now.values()) == list(range(now[f"q{i}"] - len(now) + 1, now[f"q{i}"] + 1))
            assert now[f"q{i}"] < 5
            if (reply.question or 0) // 10 == before // 10:
                assert all(now.get(question, index) == index for question, index in indexes.items())
            before, indexes = reply.question or 0, now


async def test_clear_deletes_and_what_was_asked_before_cannot_write_after(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        await answered(tx, "old", "older")
        running = await tx.replies.move(await asked(tx, "running"), ReplyEvent.CLAIM)
        command = await owe(tx, incoming("/clear"), Lane.NOTICE)
        later = await asked(tx, "asked after it")
        assert command
        await tx.turns.clear(command)
        moved = await tx.replies.get(later.id)
        assert (moved.text, moved.conversation) == ("asked after it", command.conversation + 1)
    async with store.begin() as tx:
        await tx.turns.save_answer(running, "too late")
        fresh = await asked(tx, "fresh")
        assert fresh.conversation == running.conversation + 1
        assert await tx.turns.recent(CHAT, fresh.question or 0, 10) == []


async def test_no_id_is_ever_given_twice(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first = await answered(tx, "one", "1")
        assert first.question
        await tx.turns.delete_pair(first.question)
        second = await asked(tx, "two")
        assert second.question and second.question > first.question + 1


async def test_undo_and_retry_find_their_question(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await tx.turns.last_question(CHAT) is None
        await answered(tx, "answered", "yes")
        failed = await tx.replies.move(
            await tx.replies.move(await asked(tx, "failed"), ReplyEvent.CLAIM), ReplyEvent.FAIL
        )
        await tx.replies.move(await asked(tx, "cancelled"), ReplyEvent.STOP)
        await asked(tx, "waiting")
        assert await tx.turns.last_question(CHAT) == Question(failed.question or 0, "failed", ANN_WITHOUT_LOCALE)
        await tx.turns.delete_pair(failed.question or 0)
        found = await tx.turns.last_question(CHAT)
        assert found and found.text == "answered"


async def test_a_new_answer_takes_the_place_of_the_old_one(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await answered(tx, "why?", "because")
        await tx.turns.save_answer(reply, "therefore")
        assert [turn.answer for turn in await tx.turns.recent(CHAT, 1_000_000, 5)] == ["therefore"]
        await tx.turns.save_answer(reply, "")
        assert await tx.turns.recent(CHAT, 1_000_000, 5) == []


ANN_WITHOUT_LOCALE = type(ANN)(ANN.id, ANN.name)


async def test_retry_takes_the_question_and_the_messages_of_its_last_answer(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first = await tx.replies.move(await asked(tx, "why?"), ReplyEvent.CLAIM)
        await tx.messages.add_intent(first, "n-0")
        await tx.messages.set_id(first, "n-0", "55")
        await tx.turns.save_answer(first, "because")
        await tx.replies.move(await tx.replies.move(first, ReplyEvent.FINISH), ReplyEvent.DELIVER)
        command = await owe(tx, incoming("/retry"), Lane.NOTICE)
        assert command
        command = await tx.replies.move(command, ReplyEvent.CLAIM)
        question = await tx.turns.last_question(CHAT)
        assert question
        again = await tx.replies.become_answer(command, question)
    assert (again.lane, again.state, again.text) == (Lane.ANSWER, State.QUEUED, "why?")
    assert again.chunks[0].message_id == "55"
    async with store.begin() as tx:
        await tx.messages.add_intent(again, f"n{ELSEWHERE}-1")
        await tx.turns.save_answer(again, "because")
        await tx.replies.move(await tx.replies.move(again, ReplyEvent.CLAIM), ReplyEvent.FINISH)
        await tx.replies.deliver(await tx.replies.get(again.id))
        command = await owe(tx, incoming("/retry"), Lane.NOTICE)
        assert command
        last = await tx.replies.become_answer(await tx.replies.move(command, ReplyEvent.CLAIM), question)
    assert [chunk.message_id for chunk in last.chunks] == ["55"], "none that stands outside its thread"


async def test_settings_know_who_and_when_and_survive_a_restart(database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await tx.preferences.set(CHAT, "memory", Setting("5", "Ann", 1))
        await tx.preferences.set(CHAT, "memory", Setting("6", "Bob", 2))
        await tx.preferences.set(CHAT, "temperature", Setting("0.1", "Ann", 3))
        await tx.preferences.delete(CHAT, "temperature")
        await tx.preferences.set_language("fake", "ann", "vi", 4)
        await answered(tx, "remember", "me")
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        assert dict(await tx.preferences.settings(CHAT)) == {"memory": Setting("6", "Bob", 2)}
        assert dict(await tx.preferences.settings(OTHER)) == {"memory": Setting("6", "Bob", 2, inherited=True)}
        assert dict(await tx.preferences.settings(ChatId("fake", "2"))) == {}
        assert await tx.preferences.language("fake", "ann") == "vi"
        assert await tx.preferences.language("other", "ann") == "auto"
        assert (await tx.turns.recent(CHAT, 1_000_000, 1))[0].answer == "me"


async def test_a_failed_transaction_leaves_nothing(store: DatabaseStore) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.begin() as tx:
            await asked(tx, "lost")
            raise ZeroDivisionError
    async with store.begin() as tx:
        assert await tx.replies.open_answers(CHAT) == []


async def test_the_latest_conversation_is_the_one_last_asked_in(store: DatabaseStore) -> None:
    assert await store.latest_chat("fake") is None
    async with store.begin() as tx:
        await asked(tx, "one", OTHER)
        await asked(tx, "two", CHAT)
        await asked(tx, "three", OTHER)
    assert await store.latest_chat("fake") == OTHER
