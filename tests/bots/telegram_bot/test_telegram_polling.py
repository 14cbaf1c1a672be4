"""Polling: two programs with one token, webhooks, what waited at the start, and where a crash would hit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from telegram import Bot, Update
from telegram.request import HTTPXRequest

from bots.desk import ServiceDesk
from bots.telegram_bot.long_polling import Poller
from core.domain.errors import SetupError
from core.inbound.storing import store_with_retry
from tests.bots.telegram_bot.telegram_running import BOT, asked, quiet, running
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.watching import held, release


class Program:
    """A poller as a program has one, with what it takes."""

    def __init__(self, server: BotApi) -> None:
        self.taken: list[str] = []
        self.caught_up: list[int] = []
        """How much had been taken each time that it said so."""
        self.fails = 0
        bot, self.request = Bot(server.token, f"{server.url}/bot"), HTTPXRequest()
        self.poller = Poller(bot, self.request, self.take, lambda: self.caught_up.append(len(self.taken)))

    async def take(self, groups: Sequence[Sequence[Update]]) -> None:
        for updates in groups:
            await store_with_retry("an update", partial(self.take_one, updates))

    async def take_one(self, updates: Sequence[Update]) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError
        self.taken += [update.message.text or "" for update in updates if update.message]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(8):
            while not true():
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.poller.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.request.shutdown()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes become parts of a second."""
    monkeypatch.setattr("bots.telegram_bot.long_polling.YOUNG", 1.2)
    monkeypatch.setattr("bots.telegram_bot.long_polling.TRIED_AGAIN", 0.05)
    monkeypatch.setattr("bots.telegram_bot.long_polling.OTHER_POLLER", 0.15)


# Two programs


@pytest.mark.usefixtures("hasty")
async def test_of_two_programs_the_later_one_ends(
    server: BotApi, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Program(server), Program(server)
    said = [f"message {number}" for number in range(30)]
    async with first.polling() as polling:
        private.say(said[0], ann)
        await first.until(lambda: first.taken)
        await asyncio.sleep(1.3)
        async with second.polling() as ending:
            for text in said[1:]:
                private.say(text, ann)
                await asyncio.sleep(0.04)
            with pytest.raises(SetupError, match="another program already asks Telegram for this bot's messages"):
                async with asyncio.timeout(8):
                    await ending
        private.say("last", ann)
        await first.until(lambda: "last" in first.taken)
        assert not polling.done() and "another program asks Telegram" in caplog.text
    assert first.taken.count(said[0]) == first.taken.count("last") == 1 and len(set(first.taken)) == len(first.taken)
    assert {said[0], "last"}.isdisjoint(second.taken) and len(set(second.taken)) == len(second.taken)
    assert {*first.taken, *second.taken} == {*said, "last"}, "while they quarrel nothing is lost"


@pytest.mark.usefixtures("hasty")
async def test_of_two_young_programs_one_ends(
    server: BotApi, ann: Person, private: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.telegram_bot.long_polling.YOUNG", 180.0)
    programs = [Program(server), Program(server)]
    async with programs[0].polling() as one, programs[1].polling() as other:
        async with asyncio.timeout(8):
            done, left = await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)
        private.say("hello", ann)
        await programs[0].until(lambda: programs[0].taken + programs[1].taken)
        await asyncio.sleep(0.5)
        assert [type(task.exception()) for task in done] == [SetupError] and not any(task.done() for task in left)
    assert programs[0].taken + programs[1].taken == ["hello"]


async def test_a_restart_after_a_kill_is_no_second_program(server: BotApi, ann: Person, private: Chat) -> None:
    """The killed one's poll is still held open; and its last word may even meet the new one."""
    killed, new = Program(server), Program(server)
    async with killed.polling():
        private.say("one", ann)
        await killed.until(lambda: killed.taken and len(server.queue.polls) >= 2)
    still_held = asyncio.create_task(server.queue.get(None, 100, 50, None))
    await asyncio.sleep(0.05)
    server.fault("error", "getUpdates", code=409, description="Conflict: terminated by other getUpdates request")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bots.telegram_bot.long_polling.TRIED_AGAIN", 0.1)
        async with new.polling() as polling:
            private.say("two", ann)
            await new.until(lambda: "two" in new.taken)
            await asyncio.sleep(0.3)
            assert not polling.done()
    await asyncio.gather(still_held, return_exceptions=True)


async def test_a_webhook_that_is_set_meanwhile_gives_way(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database):
        private.say("one", ann)
        await private.ended()
        server.queue.webhook = "https://example.org"
        for text in ("two", "three"):
            private.say(text, ann)
        await private.until(lambda chat: chat.texts == ["one", "two", "three"])
    assert not server.queue.webhook


# What waited


async def test_who_has_caught_up_says_so_once_all_of_it_is_stored(server: BotApi, ann: Person, private: Chat) -> None:
    program = Program(server)
    for number in range(150):
        private.say(str(number), ann)
    private.say("x" * 4096, ann)  # the rest of it is waited for: this holds up nobody
    program.fails = 3
    async with program.polling():
        await program.until(lambda: program.caught_up)
        assert program.caught_up == [150] and len(program.taken) == 150
        await program.until(lambda: len(program.taken) == 151)
    assert program.caught_up == [150]


async def test_where_nothing_waits_it_is_said_at_once(
    server: BotApi, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[str] = []
    monkeypatch.setattr(ServiceDesk, "settle", lambda self, platform: settled.append(platform))
    server.fault("error", "getUpdates", code=500, description="Internal Server Error")
    async with running(server, database) as bot, asyncio.timeout(5):
        settled.clear()  # nothing has been asked of Telegram yet
        while not settled:
            await asyncio.sleep(0.01)
        await quiet(bot, server)
    assert settled == ["telegram"] and len(server.queue.polls) >= 1


# Where a crash would hit


async def test_the_points_of_a_crash(
    server: BotApi, ann: Person, private: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, passed = Program(server), list[tuple[str, int, int | None]]()
    monkeypatch.setattr(
        "bots.telegram_bot.long_polling.failpoint",
        lambda name: passed.append((name, len(program.taken), len(server.queue) or None)),
    )
    async with program.polling():
        private.say("one", ann)
        await program.until(lambda: len(passed) == 2)
        private.say("two", ann)
        await program.until(lambda: len(passed) == 4 and len(server.queue) == 0)
    assert passed == [("fetched", 0, 1), ("confirming", 1, 1), ("fetched", 1, 1), ("confirming", 2, 1)]


async def test_a_poller_that_ends_ends_the_program(
    server: BotApi, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(self: Poller) -> None:
        await asyncio.sleep(0.05)

    monkeypatch.setattr(Poller, "run", ends)
    async with running(server, database) as bot:
        with pytest.raises(ExceptionGroup) as ended:
            await bot.polling
    assert str(ended.value.exceptions[0]) == "asking Telegram for messages has ended"


# Edits


async def test_a_question_that_waits_is_answered_as_it_was_edited(
    server: BotApi, database: str, ann: Person, private: Chat, group: Chat
) -> None:
    model = held()
    async with running(server, database, model) as bot:
        first = private.say("first", ann)
        await private.until(lambda chat: model.running)
        second, third = private.say("secnd", ann), private.say("third", ann)
        private.revise(first, "too late")
        private.revise(second, "second")
        private.revise(third, "/clear")  # a command is done when it comes: this is none
        unheard = group.say("nobody's", ann)
        group.revise(unheard, f"{BOT} hello?")
        await quiet(bot, server)
        release(model)
        await private.until(lambda chat: chat.texts == ["first", "second", "third"])
        await quiet(bot, server)
    assert asked(bot) == ["first", "second", "third"] and not group.messages


async def test_an_edit_of_one_piece_leaves_the_rest(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    """A paste is one question; and an album that is waited for is stored before its edit."""
    model = held()
    async with running(server, database, model) as bot:
        private.say("first", ann)
        await private.until(lambda chat: model.running)
        paste = private.paste("x" * 4096 + "end", ann)
        photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
        album = private.say("", ann, caption="what?", photo=photo, media_group_id="m")
        private.known[album] |= {"caption": "what is this?"}
        server.queue.put("edited_message", private.known[album])
        private.revise(paste[0], "y")
        await quiet(bot, server)
        release(model)
        await private.until(lambda chat: len(asked(bot)) == 3)
    assert [text[:14] for text in asked(bot)] == ["first", "x" * 14, "what is this?\n"]
