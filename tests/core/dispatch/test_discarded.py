"""Questions whose messages are deleted: nobody is answered, nothing stays to be seen, the history has none of it."""

import pytest

from core.domain.conversation import ChatId, Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import Bot, MakeBot
from tests.fakes import claim_next, incoming, owe
from tests.patience import limit
from tests.watching import contents, held, history, outcome, release, running, shown


async def delete(bot: Bot, reply: Reply) -> None:
    await bot.service.ingest.delete(reply.chat.platform, reply.bot, reply.external_id)


@pytest.mark.slow
async def test_one_that_waits_is_cancelled(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        first = await bot.accept("one")
        await running(bot)
        second, third = await bot.accept("two"), await bot.accept("three")
        await delete(bot, second)
        await delete(bot, second)
        release(bot.model)
        assert [await outcome(bot, reply) for reply in (first, second, third)] == [
            State.DONE, State.CANCELLED, State.DONE,
        ]  # fmt: skip
        assert second.id not in bot.platform.channels
        assert [turn.question for turn in await history(bot)] == ["one", "three"]
        assert contents(bot.model.prompts[-1]) == ["one", "one", "three"]


async def test_one_that_is_being_answered_ends_in_silence(make_bot: MakeBot) -> None:
    async with make_bot(held(2)) as bot:
        running_one = await bot.accept("one two three")
        await shown(bot, running_one, "one two")
        await delete(bot, running_one)
        await bot.service.control.stop(running_one)  # /stop then changes nothing
        release(bot.model)
        assert await outcome(bot, running_one) is State.CANCELLED
        assert bot.platform.text(running_one) == "" and await history(bot) == []
        assert await bot.say("and now?") == "and now?"


@pytest.mark.slow
async def test_a_later_deletion_is_ignored_and_so_is_that_of_a_command(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        answered, command = await bot.accept("one"), await bot.accept("/temp 0")
        assert await outcome(bot, answered) is await outcome(bot, command) is State.DONE
        bot.model.gate = held().gate
        again = await bot.accept("/retry")
        await running(bot)
        for reply in (answered, command, again):
            await delete(bot, reply)
        release(bot.model)
        assert await outcome(bot, again) is State.DONE
        assert [turn.question for turn in await history(bot)] == ["one"]


@pytest.mark.slow
async def test_a_question_that_holds_others_texts_too_is_answered(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        replies = [await owe(tx, incoming(text), Lane.ANSWER) for text in ("one", "two")]
        assert replies[0] and replies[1]
        await tx.recovery.merge(replies[1], [replies[0]])
    async with make_bot() as bot:
        assert replies[1]
        await delete(bot, replies[1])
        assert await outcome(bot, replies[1]) is State.DONE


@pytest.mark.slow
async def test_after_a_crash_too_nothing_stays(make_bot: MakeBot, database: str) -> None:
    """Deleted while it was generated, right before the crash; and while it waits to be generated again."""
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        replies = list[Reply]()
        for chat in ("1", "2"):
            assert await owe(tx, incoming("one", chat=ChatId("fake", chat)), Lane.ANSWER)
            reply = await claim_next(tx)
            assert reply
            await tx.messages.add_intent(reply, "a-0")
            await tx.messages.set_id(reply, "a-0", "77")
            replies.append(reply)
        await tx.replies.move(replies[0], ReplyEvent.DISCARD)
        await tx.turns.delete_pair(replies[0].question or 0)
    async with make_bot(held()) as bot:
        await delete(bot, replies[1])
        release(bot.model)
        async with limit():
            for reply in replies:
                assert await outcome(bot, reply) is State.CANCELLED
                assert bot.platform.text(reply) == "" and not (await stored(bot, reply)).chunks


async def stored(bot: Bot, reply: Reply) -> Reply:
    async with bot.store.begin() as tx:
        return await tx.replies.get(reply.id)
