"""Polling: two programs with one token, webhooks, what waited at the start, and where a crash would hit."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from bots.telegram_bot.adapter import TelegramBot
from bots.telegram_bot.long_polling import LongPoller, UpdateBatch
from bots.telegram_bot.timing import TelegramTiming
from core.commands.press import PressResult
from core.domain.errors import SetupError
from core.i18n import t
from core.inbound.events import (
    Acceptance,
    ButtonPressed,
    CaughtUp,
    ChatMoved,
    Event,
    MessageEdited,
    MessageReceived,
    PressReceipt,
    Receipt,
)
from tests.bots.telegram_bot.telegram_running import BOT, QUICK_TIMING, asked, lone_services, running, settled
from tests.patience import LIMIT_S, limit
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.bot_api_presses import Pressed
from tests.platforms.faults import FaultKind
from tests.waiting import idle, until
from tests.watching import held, release

YOUNG = replace(QUICK_TIMING, established_after_s=LIMIT_S, young_conflict_pause_s=0.05)
OLD = replace(YOUNG, established_after_s=0.0, established_conflict_pause_s=0.15)
"""A program that has just begun to poll, and one that has long been polling; pauses are parts of a second."""


class Program:
    """An adapter as a program has one, with what it yields. Messages are acknowledged at once, after `fails` failures;
    presses are left to the test."""

    def __init__(self, server: BotApi, timing: TelegramTiming = QUICK_TIMING) -> None:
        self.telegram = TelegramBot(server.token, server.url, lone_services(), timing=timing)
        self.taken: list[str] = []
        self.edits: list[str] = []
        self.presses: list[ButtonPressed] = []
        self.caught_up: list[int] = []
        """How many messages had been taken each time that it said so."""
        self.fails = 0

    async def consume(self) -> None:
        async with aclosing(self.telegram.events()) as events:
            async for event in events:
                await self.take(event)

    async def take(self, event: Event) -> None:
        while self.fails:
            self.fails -= 1
            await asyncio.sleep(0.03)
        match event:
            case MessageReceived(message):
                self.taken.append(message.text)
            case MessageEdited(message):
                self.edits.append(message.text)
            case CaughtUp():
                self.caught_up.append(len(self.taken))
            case ButtonPressed():
                self.presses.append(event)
                return
        event.acknowledge(Receipt(Acceptance.STORED))

    async def until(self, true: Callable[[], object]) -> None:
        await until(true)

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[asyncio.Task[None]]:
        async with self.telegram.connected():
            task = asyncio.create_task(self.consume())
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


# Two programs


async def test_of_two_programs_the_later_one_ends(
    server: BotApi, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Program(server, OLD), Program(server, YOUNG)
    said = [f"message {number}" for number in range(30)]
    async with first.polling() as polling:
        private.say(said[0], ann)
        await first.until(lambda: first.taken)
        async with second.polling() as ending:
            for text in said[1:]:
                private.say(text, ann)
                await until(lambda text=text: text in first.taken + second.taken)  # type: ignore[misc]
            with pytest.raises(SetupError, match="another program already asks Telegram for this bot's messages"):
                async with limit():
                    await ending
        private.say("last", ann)
        await first.until(lambda: "last" in first.taken)
        assert not polling.done() and "another program asks Telegram" in caplog.text
    assert first.taken.count(said[0]) == first.taken.count("last") == 1 and len(set(first.taken)) == len(first.taken)
    assert {said[0], "last"}.isdisjoint(second.taken) and len(set(second.taken)) == len(second.taken)
    assert {*first.taken, *second.taken} == {*said, "last"}, "while they quarrel nothing is lost"


async def test_of_two_young_programs_one_ends(server: BotApi, ann: Person, private: Chat) -> None:
    programs = [Program(server, YOUNG) for _ in range(2)]
    async with programs[0].polling() as one, programs[1].polling() as other:
        async with limit():
            done, left = await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)
        for count, text in enumerate(("hello", "again"), 1):
            private.say(text, ann)
            await until(lambda count=count: len(programs[0].taken + programs[1].taken) == count)  # type: ignore[misc]
        assert [type(task.exception()) for task in done] == [SetupError] and not any(task.done() for task in left)
    assert programs[0].taken + programs[1].taken == ["hello", "again"]


async def test_a_restart_after_a_kill_is_no_second_program(server: BotApi, ann: Person, private: Chat) -> None:
    """The killed one's poll is still held open; and its last word may even meet the new one."""
    killed, new = Program(server), Program(server, replace(QUICK_TIMING, young_conflict_pause_s=0.1))
    async with killed.polling():
        private.say("one", ann)
        await killed.until(lambda: killed.taken and len(server.queue.polls) >= 2)
    still_held = asyncio.create_task(server.queue.get(None, 100, 50, None))
    await until(lambda: server.queue.held)
    server.fault(
        FaultKind.ERROR, "getUpdates", code=409, description="Conflict: terminated by other getUpdates request"
    )
    async with new.polling() as polling:
        private.say("two", ann)
        await new.until(lambda: "two" in new.taken)
        private.say("three", ann)
        await new.until(lambda: "three" in new.taken)
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


async def test_where_nothing_waits_it_is_said_at_once(server: BotApi) -> None:
    server.fault(FaultKind.ERROR, "getUpdates", code=500, description="Internal Server Error")
    program = Program(server)
    async with program.polling():
        await program.until(lambda: program.caught_up)
        await program.until(lambda: len(server.queue.polls) >= 2)
    assert program.caught_up == [0]


# What is confirmed


async def test_nothing_is_confirmed_before_all_of_its_batch_is_acknowledged(
    server: BotApi, ann: Person, private: Chat
) -> None:
    for text in ("one", "two"):
        private.say(text, ann)
    telegram = TelegramBot(server.token, server.url, lone_services(), timing=QUICK_TIMING)
    async with telegram.connected(), aclosing(telegram.events()) as events:
        one, two = [await anext(events), await anext(events)]
        caught_up = asyncio.ensure_future(anext(events))
        two.acknowledge(Receipt(Acceptance.STORED))
        await idle()
        assert not caught_up.done() and len(server.queue) == 2
        one.acknowledge(Receipt(Acceptance.REJECTED))  # it never will be stored: it holds up nothing
        async with limit():
            assert isinstance(await caught_up, CaughtUp)
            later = asyncio.ensure_future(anext(events))
            await until(lambda: not len(server.queue))
        later.cancel()
        await asyncio.gather(later, return_exceptions=True)


async def test_what_follows_a_move_waits_for_it(server: BotApi, ann: Person) -> None:
    """Stored before, a question in the new group would be answered without the history of the old one."""
    group = server.group(ann, admins=(ann,), kind="group")
    group.say(f"{BOT} old", ann)
    server.upgrade(group).say(f"{BOT} new", ann)
    telegram = TelegramBot(server.token, server.url, lone_services(), timing=QUICK_TIMING)
    async with telegram.connected(), aclosing(telegram.events()) as events:
        old, moved = [await anext(events), await anext(events)]
        following = asyncio.ensure_future(anext(events))
        assert isinstance(old, MessageReceived) and isinstance(moved, ChatMoved)
        old.acknowledge(Receipt(Acceptance.STORED))
        await idle()
        assert not following.done()
        moved.acknowledge(Receipt(Acceptance.STORED))
        again = await following  # Telegram tells it in both groups
        assert isinstance(again, ChatMoved)
        again.acknowledge(Receipt(Acceptance.STORED))
        new = await anext(events)
        assert isinstance(new, MessageReceived) and new.message.text == "new"


async def test_a_press_holds_up_no_message(server: BotApi, ann: Person, private: Chat) -> None:
    program = Program(server)
    async with program.polling():
        message = private.say("one", ann)
        press = server.press(ann, private, data="n", message=message)
        private.say("two", ann)
        await program.until(lambda: program.taken == ["one", "two"] and len(server.queue) == 0)
        assert not press._answer.done()
        [event] = program.presses
        event.acknowledge(PressReceipt(Acceptance.STORED, "en", PressResult("`/x` done", alert=True)))
        answer = await press.answered()
        assert (answer.text, answer.alert) == ("/x done", True)


def press_inline(server: BotApi, person: Person, data: str) -> Pressed:
    """Press a button under a message that somebody sent by way of the bot: Telegram tells no chat."""
    id = str(next(server._people))
    server._answers[id] = asyncio.get_running_loop().create_future()
    server.queue.put(
        "callback_query", {"id": id, "from": person.user, "chat_instance": "1", "inline_message_id": "i", "data": data}
    )
    return Pressed(server._answers[id])


async def test_a_press_without_a_chat_is_answered_by_the_adapter(server: BotApi, ann: Person, bob: Person) -> None:
    program = Program(server)
    async with program.polling():
        for person, language in ((ann, "en"), (bob, "vi")):
            answer = await press_inline(server, person, "junk").answered()
            assert (answer.text, answer.alert) == (t(language, "press.stale"), True)
        assert (await press_inline(server, ann, "n").answered()).text == ""
    assert not program.presses


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
    async def ends(self: LongPoller) -> AsyncGenerator[UpdateBatch, None]:
        yield UpdateBatch((), is_caught_up=True)

    monkeypatch.setattr(LongPoller, "batches", ends)
    async with running(server, database) as bot:
        with pytest.raises(RuntimeError, match="has ended"):
            await bot.consuming


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
        await settled(bot, server)
        release(model)
        await private.until(lambda chat: chat.texts == ["first", "second", "third"])
        await settled(bot, server)
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
        await settled(bot, server)
        release(model)
        await private.until(lambda chat: len(asked(bot)) == 3)
    assert [text[:14] for text in asked(bot)] == ["first", "x" * 14, "what is this?\n"]
