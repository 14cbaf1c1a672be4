"""Once an answer is shown, the model prefills the next prompt but for its question, and delays no answer by it."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from core.answering.assistant import NEXT_QUESTION_ID
from core.domain.conversation import Author, ChatId, Turn
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from core.filters import ContentFilter
from core.i18n import t
from storage.conversations import SqlTurns
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, FakeModel, WordFilter, echo
from tests.patience import LIMIT_S
from tests.sweeps import some_quick
from tests.watching import contents, held, outcome, release, running, shown, warmed

OTHER = ChatId("fake", "2")
GROUP = ChatId("fake", "group")
TOPIC = ChatId("fake", "group", "topic")


async def quiet(bot: Bot) -> None:
    """Wait until the model has been asked for all warming so far: that of a later answer elsewhere has arrived."""
    before = len(bot.model.warmed)
    await bot.say("and elsewhere?", BOB, ChatId("fake", "quiet"))
    await bot.model.until(lambda: any(owner == "fake/quiet" for _, owner in bot.model.warmed[before:]))
    bot.model.warmed = [read for read in bot.model.warmed if read[1] != "fake/quiet"]


WINDOWS = [
    pytest.param(memory, chat, private, marks=() if (memory, chat) in ((1, CHAT), (3, TOPIC)) else pytest.mark.slow)
    for memory in (1, 3, 10)
    for chat, private in ((CHAT, True), (GROUP, False), (TOPIC, False))
]


@pytest.mark.parametrize(("memory", "chat", "private"), WINDOWS)
async def test_the_warmed_prompt_is_the_beginning_of_the_next(
    bot: Bot, memory: int, chat: ChatId, private: bool
) -> None:
    """Holds while the history grows and once its oldest turns drop out."""
    bot.platform.admins = {"ann"}
    await bot.say(f"/memory {memory}", ANN, chat, private=private)
    read: Prompt = ()
    for turn in range(memory + 6):
        await bot.say(f"question {turn}", (ANN, BOB)[turn % 2], chat, private=private)
        prompt = bot.model.prompts[-1]
        assert not read or read == prompt[:-1], "all but the question"
        read = await warmed(bot.model, turn + 1)
        assert len(read) == 1 + 2 * (turn + 1 - max(0, turn + 1 - memory) // 3 * 3)
    assert {owner for _, owner in bot.model.warmed} == {str(chat)}


async def test_warming_starts_once_the_answer_is_shown(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        bot.platform.channels[reply.id].slow = gate = asyncio.Event()
        release(bot.model)
        await quiet(bot)
        assert bot.model.warmed == []
        gate.set()
        assert contents(await warmed(bot.model, 1)) == ["one", "one"]
        assert await outcome(bot, reply) is State.DONE


async def test_only_turns_that_fit_are_warmed(bot: Bot) -> None:
    bot.model.context = 512 + 40
    for count in range(1, 4):
        await bot.say(f"{count} " * 10)
        await warmed(bot.model, count)
    await bot.say("next?")
    assert bot.model.warmed[2][0] == bot.model.prompts[-1][:-1]
    assert [text[:1] for text in contents(bot.model.warmed[2][0])] == ["3", "3"]


async def test_a_stopped_answer_is_warmed_too(make_bot: MakeBot) -> None:
    async with make_bot(held(2)) as bot:
        reply = await bot.accept("one two three")
        await shown(bot, reply, "one two")
        await bot.say("/stop")
        assert contents(await warmed(bot.model, 1)) == ["one two three", "one two"]


@pytest.mark.databases("sqlite", "postgresql")
async def test_retry_puts_the_new_answer_in_the_old_ones_place(make_bot: MakeBot) -> None:
    answers = iter(["first", "second"])
    async with make_bot(FakeModel(lambda prompt: [next(answers)])) as bot:
        await bot.say("why?")
        assert contents(await warmed(bot.model, 1)) == ["why?", "first"]
        await bot.say("/retry")
        assert contents(await warmed(bot.model, 2)) == ["why?", "second"]


# What is not prefilled


async def test_after_a_clear_nothing_is_kept(bot: Bot) -> None:
    await bot.say("a secret")
    await warmed(bot.model, 1)
    assert bot.model.dropped == []
    await bot.say("/clear")
    assert bot.model.dropped == ["fake/1"]
    await bot.say("new")
    assert contents(await warmed(bot.model, 2)) == ["new", "new"]
    await bot.say("/temp 0"), await bot.say("/undo")
    assert bot.model.dropped == ["fake/1"]


async def test_a_clear_under_a_running_answer(make_bot: MakeBot) -> None:
    async with make_bot(held(3)) as bot:
        await bot.say("past")
        await warmed(bot.model, 1)
        reply = await bot.accept("one two three")
        await shown(bot, reply, "one two")
        await bot.say("/clear")
        assert await outcome(bot, reply) is State.STOPPED
        assert contents(await warmed(bot.model, 2)) == [], "in place of what was"


async def test_a_clear_while_the_turns_are_read(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    recent = SqlTurns.recent

    async def slow(self: SqlTurns, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        turns = await recent(self, chat, before, limit)
        if before == NEXT_QUESTION_ID and chat == CHAT:
            bot.assistant.forget(chat)
        return turns

    monkeypatch.setattr(SqlTurns, "recent", slow)
    await bot.say("a secret")
    await quiet(bot)
    assert bot.model.warmed == [] and bot.model.dropped == ["fake/1"]


async def test_a_refused_clear_drops_nothing(bot: Bot) -> None:
    await bot.say("/clear", BOB, GROUP, private=False)
    assert bot.model.dropped == []


async def test_a_chat_that_is_closed_is_dropped(bot: Bot) -> None:
    await bot.service.leave("fake", "1")
    assert bot.model.dropped == ["fake/1"]


async def test_turns_that_the_filter_blocks_by_now_are_not_warmed(make_bot: MakeBot) -> None:
    model = FakeModel(lambda prompt: ["a banana"] if "fruit" in prompt[-1].content else echo(prompt))
    async with make_bot(model, content_filter=ContentFilter()) as bot:
        bot.platform.admins = {"ann"}
        asked = (("a banana", BOB), ("a pear", Author("cy", "Banana")), ("a fruit?", BOB))  # answered by a banana
        for count, (question, author) in enumerate(asked, 1):
            await bot.say(question, author, GROUP, private=False)
            await warmed(bot.model, count)
        await bot.say("/filter add banana", ANN, GROUP, private=False)
        await bot.say("hello", ANN, GROUP, private=False)
        read = await warmed(bot.model, 4)
        assert contents(read) == ["Someone: a pear", "a pear", "Ann: hello", "hello"]
        await bot.say("next?", ANN, GROUP, private=False)
        assert bot.model.prompts[-1][:-1] == read


def _says(prompt: Prompt) -> Sequence[str]:
    if "boom" in prompt[-1].content:
        raise ValueError
    return {"nothing": [], "severe": ["bad"]}.get(prompt[-1].content, ["fine"])


SAID = ["bad question", "boom", "nothing", "severe", "word " * 4000, "/temp 0", "/nope"]


@pytest.mark.parametrize("said", some_quick(SAID, ["boom", "/temp 0"]))
async def test_nothing_is_warmed_where_history_does_not_change(make_bot: MakeBot, said: str) -> None:
    async with make_bot(FakeModel(_says), content_filter=WordFilter("bad")) as bot:
        await bot.say(said)
        await quiet(bot)
        assert bot.model.warmed == []


async def test_nothing_is_warmed_after_a_stop_before_the_first_word(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        await bot.say("/stop")
        assert await outcome(bot, reply) is State.STOPPED
        release(bot.model)
        await quiet(bot)
        assert bot.model.warmed == [] and bot.platform.text(reply) == t("en", "mark.stopped")


async def test_nothing_is_warmed_while_the_bot_shuts_down(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one two")
        await running(bot)
        draining = asyncio.create_task(bot.service.drain(LIMIT_S))
        await asyncio.sleep(0)
        release(bot.model)
        await draining
        assert await outcome(bot, reply) is State.DONE
    assert bot.model.warmed == []


# Failures


class Cold(FakeModel):
    """A model whose warming fails."""

    def warm(self, prompt: Prompt, owner: str) -> None:
        super().warm(prompt, owner)
        raise RuntimeError("no")


async def test_a_failure_of_the_model_is_ignored(make_bot: MakeBot, caplog: pytest.LogCaptureFixture) -> None:
    async with make_bot(Cold()) as bot:
        with caplog.at_level(logging.INFO):
            for count in (1, 2):
                reply = await bot.accept("one two")
                assert await outcome(bot, reply) is State.DONE and bot.platform.text(reply) == "one two"
                await warmed(bot.model, count)
        assert caplog.records == []


async def test_a_failure_of_the_store_is_ignored(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recent, asked = SqlTurns.recent, list[int]()

    async def troubled(self: SqlTurns, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        if before == NEXT_QUESTION_ID:
            asked.append(limit)
            raise OperationalError("recent", {}, Exception("database is locked"))
        return await recent(self, chat, before, limit)

    monkeypatch.setattr(SqlTurns, "recent", troubled)
    with caplog.at_level(logging.INFO):
        for count in (1, 2):
            assert await bot.say("one two") == "one two"
            await bot.commits.until(lambda: len(asked) >= count)  # noqa: B023
        assert await bot.say("three", ANN, OTHER) == "three"
    assert bot.model.warmed == [] and caplog.records == []
