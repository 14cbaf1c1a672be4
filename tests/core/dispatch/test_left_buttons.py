"""Buttons under answers that can't be repeated any more: taken back, or followed by another when the process died."""

import asyncio

import pytest

from core.domain.conversation import ChatId
from core.domain.platform import NO_CONTROLS, ButtonAction, Controls, NotSent
from core.domain.reply_states import Lane
from tests.conftest import MakeBot
from tests.tables import each_row
from tests.watching import held, idle, outcome, reached, release, running

pytestmark = pytest.mark.slow


@each_row("command", ["/clear", "/new", "/undo"])
async def test_what_is_taken_back_loses_its_buttons(make_bot: MakeBot, command: str) -> None:
    async with make_bot() as bot:
        reply = await bot.accept("hi")
        await outcome(bot, reply)
        channel = bot.platform.channels[reply.id]
        (before,) = channel.controls.values()
        await bot.say(command)
        await idle(bot)
        assert before.actions and list(channel.controls.values()) == [NO_CONTROLS]


async def test_what_is_the_last_answer_again_after_an_undo_stays_as_it_is(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        first, second = await bot.accept("one"), await bot.accept("two")
        await outcome(bot, second)
        await bot.say("/undo")
        await idle(bot)
        assert all(not bot.platform.channels[each.id].controls["1"].actions for each in (first, second))


async def test_the_answer_before_one_that_was_taken_back(make_bot: MakeBot) -> None:
    """It is the last one again, with its button if that was not removed yet, until another question is answered."""
    async with make_bot() as bot:
        first, second = await bot.accept("one"), await bot.accept("two")
        await outcome(bot, second)
        await bot.say("/undo")
        await idle(bot)
        controls = bot.platform.channels[first.id].controls
        controls["1"] = Controls((ButtonAction.RETRY,))  # as where the platform was busy meanwhile
        await bot.say("three")
        await idle(bot)
        assert controls["1"] == NO_CONTROLS


@each_row(("said", "cleaned"), [(("one",), False), (("one", "two"), True), (("one", "/clear"), True)])
async def test_what_the_last_process_has_left(make_bot: MakeBot, said: tuple[str, ...], cleaned: bool) -> None:
    """As if it had died before it could remove the buttons: the messages are those of the new process' platform."""
    async with make_bot() as bot:
        first = await bot.accept(said[0])
        await outcome(bot, first)
        for text in said[1:]:
            await bot.say(text)
    async with make_bot() as bot:
        await idle(bot)
        assert (first.id in bot.platform.channels) is cleaned
        assert not cleaned or list(bot.platform.channels[first.id].controls.values()) == [NO_CONTROLS]


async def test_a_repeat_that_is_answered_after_a_later_question(make_bot: MakeBot) -> None:
    """The later question waited, so that the earlier one was the last with an answer; then both are answered."""
    model = held(1000)
    model.slots = 1
    async with make_bot(model) as bot:
        first = await bot.accept("one")
        await outcome(bot, first)
        model.gate = asyncio.Semaphore(0)
        elsewhere = await bot.accept("three", chat=ChatId("fake", "2"))
        await running(bot)
        second, repeat = await bot.accept("two"), await bot.accept("/retry")
        await reached(bot, repeat, lambda reply: reply.lane is Lane.ANSWER)
        release(model)
        for reply in (elsewhere, second, repeat):
            await outcome(bot, reply)
        await idle(bot)
        channels = bot.platform.channels
        assert [each.actions for each in channels[second.id].controls.values()] == [(ButtonAction.RETRY,)]
        assert [each.actions for each in channels[repeat.id].controls.values()] == [()]


async def test_what_a_platform_does_not_take_is_tried_again(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        first = await bot.accept("one")
        await outcome(bot, first)
        channel, tries = bot.platform.channels[first.id], list[str]()
        remove = channel.remove_buttons

        async def once_refused(message_id: str) -> None:
            tries.append(message_id)
            if len(tries) == 1:
                raise NotSent
            await remove(message_id)

        channel.remove_buttons = once_refused  # type: ignore[method-assign]
        await bot.say("two")
        await idle(bot)
        assert len(tries) == 2 and list(channel.controls.values()) == [NO_CONTROLS]
