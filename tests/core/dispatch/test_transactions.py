"""What a question, a command and a press cost in transactions, and that no claim is empty."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.commands.settings_view import setting_revision
from core.domain.conversation import Author, ChatId, Incoming, Reply
from core.domain.platform import ButtonAction
from core.domain.reply_states import Lane, State
from core.i18n import t
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import Bot, running_bot
from tests.core.commands.pressing import Pressing
from tests.core.dispatch.counting import NO_SWEEP, Claim, CountingStore, at_rest, ended
from tests.fakes import ANN, BOB, CHAT, FakeModel, incoming
from tests.watching import held, release, running, warmed

GROUP = ChatId("fake", "group")


@asynccontextmanager
async def counted(database: str, model: FakeModel | None = None) -> AsyncIterator[tuple[Bot, CountingStore]]:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        counting = CountingStore(store)
        async with running_bot(counting, store, model or FakeModel(), timing=NO_SWEEP) as bot:
            await at_rest(bot, counting)
            counting.reset()
            yield bot, counting


async def cost(
    bot: Bot, counting: CountingStore, text: str, author: Author = ANN, chat: ChatId = CHAT, *, private: bool = True
) -> int:
    """The transactions of one message, to the end of what follows its reply."""
    await at_rest(bot, counting)
    counting.reset()
    await ended(bot.store, await bot.accept(text, author, chat, private=private))
    await at_rest(bot, counting)
    return counting.begun


async def test_a_question_costs_eight_transactions(database: str) -> None:
    """C1, the claim, one read, C3, C4, C6, C7, and what the model reads ahead; the earlier answer's buttons go too."""
    async with counted(database) as (bot, counting):
        for count in range(1, 4):
            assert await cost(bot, counting, f"one two {count}") == 8
            await warmed(bot.model, count)
            assert counting.claims == [Claim(Lane.ANSWER, 4, 1, waiting=False)]


async def test_a_question_on_a_platform_with_placeholders_costs_as_much(database: str) -> None:
    async with counted(database) as (bot, counting):
        bot.platform.needs_placeholder = True
        assert await cost(bot, counting, "one two") == 8


async def test_a_command_costs_six_transactions(database: str) -> None:
    """C1, the claim, its own, C3, C4, C7; also where the person may not give it."""
    async with counted(database) as (bot, counting):
        looking = ("/settings", "/start", "/status", "/temp")
        for text in ("/temp 0.3", "/lang vi", "/clear", *looking):
            assert await cost(bot, counting, text) == 6, text
            lane = Lane.LOOK if text in looking else Lane.NOTICE
            assert counting.claims == [Claim(lane, 8, 1, waiting=False)]
        assert await cost(bot, counting, "/clear", BOB, GROUP, private=False) == 6
        assert await cost(bot, counting, "/temp 7") == 7, "what its handler refuses is rolled back first"


async def test_a_command_that_fails_says_so_in_the_language_of_its_person(database: str) -> None:
    async with counted(database) as (bot, _):
        await bot.say("/lang vi", ANN, GROUP, private=False)
        assert await bot.say("/clear", ANN, GROUP, private=False) == t("vi", "refused.admins")


async def test_a_press_on_stop_costs_two_transactions(database: str) -> None:
    async with counted(database, held(1)) as (bot, counting):
        reply = await bot.accept("one two")
        while reply.id not in bot.platform.channels or not bot.platform.channels[reply.id].messages:
            await asyncio.sleep(0.001)
        await quiet(counting)
        pressing = Pressing(bot)
        assert (await pressing(ButtonAction.STOP, reply)).text == t("en", "stop.done")
        assert counting.begun <= 3, "with the person's language, which is looked up once"
        assert (await ended(bot.store, reply)).state is State.STOPPED


async def quiet(counting: CountingStore) -> None:
    begun = -1
    while begun != counting.begun:
        begun = counting.begun
        await asyncio.sleep(0.05)
    counting.reset()


async def test_a_press_on_retry_costs_one_read_and_what_it_stores(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = list[Incoming]()

    async def accept(message: Incoming) -> Reply | None:
        stored.append(message)
        return None

    async with counted(database) as (bot, counting):
        reply = await ended(bot.store, await bot.accept("one two"))
        pressing = Pressing(bot)
        await bot.service.languages.of("fake", ANN)
        monkeypatch.setattr(bot.service.buttons, "_accept", accept)
        await at_rest(bot, counting)
        counting.reset()
        await pressing(ButtonAction.RETRY, reply)
        assert counting.begun == 1 and [message.text for message in stored] == ["/retry"]


async def test_a_press_on_the_panel_costs_one_transaction(database: str) -> None:
    async with counted(database) as (bot, counting):
        reply = await ended(bot.store, await bot.accept("/settings"))
        settings = await bot.service.buttons.settings(CHAT)
        pressing = Pressing(bot)
        await bot.service.languages.of("fake", ANN)
        await at_rest(bot, counting)
        counting.reset()
        revision = setting_revision(CHAT, settings, "memory")
        result = await pressing.choose(reply, ANN, "memory", "5", revision)
        assert result.panel and result.panel.memory == 5 and counting.begun == 1


# Claims


async def test_one_claim_fills_every_free_slot(database: str) -> None:
    async with counted(database) as (bot, counting):
        messages = [incoming("hello", ANN, ChatId("fake", str(number))) for number in range(3)]
        replies = await asyncio.gather(*map(bot.service.ingest.accept, messages))
        for reply in replies:
            assert reply and (await ended(bot.store, reply)).state is State.DONE
        await at_rest(bot, counting)
        assert counting.claims == [Claim(Lane.ANSWER, 4, 3, waiting=False)]


async def test_what_finds_no_slot_is_claimed_when_one_is_free(database: str) -> None:
    model = held()
    model.slots = 2
    async with counted(database, model) as (bot, counting):
        messages = [incoming("hello", ANN, ChatId("fake", str(number))) for number in range(5)]
        replies = await asyncio.gather(*map(bot.service.ingest.accept, messages))
        await running(bot, 2)
        assert counting.claims == [Claim(Lane.ANSWER, 2, 2, waiting=True)]
        release(model)
        for reply in replies:
            assert reply and (await ended(bot.store, reply)).state is State.DONE
        await at_rest(bot, counting)
        assert not counting.empty_claims and sum(claim.taken for claim in counting.claims) == 5


async def test_what_an_answer_holds_up_is_claimed_once_it_has_ended(database: str) -> None:
    """The second question's own claim finds that it must wait; nothing else is in vain."""
    async with counted(database, held()) as (bot, counting):
        await bot.accept("one")
        await running(bot)
        second = await bot.accept("two")
        await claimed_so_often(counting, 2)
        release(bot.model)
        assert (await ended(bot.store, second)).state is State.DONE
        await at_rest(bot, counting)
        taken = [(claim.taken, claim.waiting) for claim in counting.claims]
        assert taken == [(1, False), (0, True), (1, False)]


async def claimed_so_often(counting: CountingStore, count: int) -> None:
    while len(counting.claims) < count:
        await asyncio.sleep(0.001)


async def test_nothing_is_claimed_while_nothing_is_stored(database: str) -> None:
    async with counted(database) as (bot, counting):
        await at_rest(bot, counting)
        assert counting.claims == [] and counting.begun == 0
