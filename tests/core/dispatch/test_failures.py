"""What goes wrong stays in its conversation and is told there; what the filter blocks is never shown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy.exc import OperationalError

from core.domain.conversation import ChatId, Reply, Turn
from core.domain.platform import Unreachable
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane, State
from core.domain.store import Claimed, Unstorable
from core.i18n import t
from storage.database import open_database
from storage.replies import SqlReplies
from storage.store import DatabaseStore
from tests.conftest import QUICK, Bot, MakeBot, running_bot
from tests.fakes import ANN, FakeChannel, FakeModel, FlakyStore, WordFilter, incoming
from tests.watching import ended, held, history, outcome, release, running, shown

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "2")
GROUP = ChatId("fake", "group")


async def test_a_bug_is_an_apology_with_an_id_and_no_text_in_the_log(
    make_bot: MakeBot, caplog: pytest.LogCaptureFixture
) -> None:
    def says(prompt: Prompt) -> Sequence[str]:
        if "boom" in prompt[-1].content:
            raise ValueError(f"can't say {prompt[-1].content}")
        return ["fine"]

    async with make_bot(FakeModel(says)) as bot:
        with caplog.at_level(logging.INFO):
            reply = await bot.accept("boom secret")
            assert await outcome(bot, reply) is State.FAILED
        apology = bot.platform.text(reply)
        (bug,) = [record.args[0] for record in caplog.records if record.msg.startswith("error %s")]  # type: ignore[index]
        assert f"id {bug}" in apology and "secret" not in apology
        assert "ValueError" in caplog.text and "in says" in caplog.text and "secret" not in caplog.text
        assert await bot.say("again") == "fine" and await bot.say("hi", ANN, OTHER) == "fine"
        assert await history(bot) == [Turn("again", "fine", "Ann")]


async def test_a_bug_in_a_command_too(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(reply: Reply) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(bot.platform, "role", broken)
    reply = await bot.accept("/temp 0", ANN, GROUP, private=False)
    assert await outcome(bot, reply) is State.FAILED
    assert "id " in bot.platform.text(reply)
    assert "0.7" in await bot.say("/temp", ANN, GROUP, private=False), "looking needs no role"
    assert "→ 0" in await bot.say("/temp 0"), "nor does one's own chat"


async def test_an_empty_answer_is_tried_once_more_then_said(make_bot: MakeBot) -> None:
    answers = iter([["<think>hm</think>"], [" "], [""], ["ok"]])
    async with make_bot(FakeModel(lambda prompt: next(answers))) as bot:
        await bot.say("/temp 0")
        assert await bot.say("one") == t("en", "error.empty")
        assert await bot.say("two") == "ok"
        assert [sampling.temperature for sampling in bot.model.samplings] == [0, 0.5, 0, 0.5]
        assert [turn.question for turn in await history(bot)] == ["two"]


async def test_a_question_too_long_is_refused_and_forgotten(bot: Bot) -> None:
    reply = await bot.accept("word " * 4000)
    assert await outcome(bot, reply) is State.REFUSED
    assert "3584 tokens" in bot.platform.text(reply)
    assert bot.model.prompts == [] and "no question" in await bot.say("/retry")


async def test_a_loop_ends_the_answer_with_a_mark_and_keeps_what_was_shown(make_bot: MakeBot) -> None:
    """The history has one copy, or the model would learn to repeat itself."""
    sentence, mark = "I like to help people with everything that they need. ", t("en", "mark.loop")
    async with make_bot(FakeModel(lambda prompt: [sentence] * 500)) as bot:
        shown = await bot.say("hi")
        copies = shown.count(sentence)
        assert 8 < copies < 50 and shown == f"{sentence * copies}{sentence}".strip() + f"\n\n{mark}"
        assert (await history(bot))[0].answer == sentence.strip()


async def test_what_is_left_out_is_marked_for_people_and_not_in_the_history(make_bot: MakeBot) -> None:
    says = {
        "turn": "Paris.\n\nUser: And of Italy?\n", "call": "I look it up.\n<tool_call>{}</tool_call>",
        "dialogue": "User: Hello!\nAssistant: Hi", "bot": "Qwentin: hello", "name": "**Ann:** hello",
    }  # fmt: skip
    kept = ["Paris.", "I look it up.", "User: Hello!\nAssistant: Hi", "hello", "hello"]
    async with make_bot(FakeModel(lambda prompt: list(says[prompt[-1].content.removeprefix("Ann: ")]))) as bot:
        shown = [await bot.say(question, ANN, GROUP, private=False) for question in says]
        marked = [f"Paris.\n\n{t('en', 'mark.turn')}", f"I look it up.\n{t('en', 'mark.tool_call')}"]
        assert shown == marked + kept[2:]
        assert [turn.answer for turn in await history(bot, GROUP)] == kept
        await bot.say("/lang vi")
        assert (await bot.say("call")).endswith(t("vi", "mark.tool_call"))
        says["call"] = "<tool_call>{}</tool_call>"
        assert await bot.say("call") == t("vi", "mark.tool_call") and len(bot.model.prompts) == 8, "tried twice"
        assert [turn.question for turn in await history(bot)] == ["call"], "nothing to remember"


async def test_a_channel_that_refuses_everything_costs_that_reply_alone(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        bot.platform.channels[reply.id].fails = [PermissionError]
        release(bot.model)
        assert await outcome(bot, reply) is State.FAILED
        assert await bot.say("two", ANN, OTHER) == "two"


async def test_an_answer_that_cannot_be_shown_becomes_an_apology(make_bot: MakeBot) -> None:
    """A platform that refuses this one text, and no other."""
    async with make_bot(held()) as bot:
        reply = await bot.accept("unspeakable")
        await running(bot)
        channel = bot.platform.channels[reply.id]
        channel.refuses = "unspeakable"
        release(bot.model)
        assert await outcome(bot, reply) is State.FAILED
        assert "id " in bot.platform.text(reply)


async def test_an_apology_is_in_the_language_that_its_person_has_chosen(
    make_bot: MakeBot, caplog: pytest.LogCaptureFixture
) -> None:
    """Ann's client is English."""
    async with make_bot(held()) as bot:
        await bot.say("/lang vi")
        reply = await bot.accept("unspeakable")
        await running(bot)
        bot.platform.channels[reply.id].refuses = "unspeakable"
        release(bot.model)
        assert await outcome(bot, reply) is State.FAILED
        (bug,) = [record.args[0] for record in caplog.records if record.msg.startswith("error %s")]  # type: ignore[index]
        assert bot.platform.text(reply) == t("vi", "error.bug", id=bug)


async def test_a_store_in_trouble_is_tried_again(make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, failures = SqlReplies.claim, iter([True, True])

    async def troubled(self: SqlReplies, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        if next(failures, False):
            raise OperationalError("claim", {}, Exception("database is locked"))
        return await claim(self, lane, platforms, now, limit)

    monkeypatch.setattr(SqlReplies, "claim", troubled)
    async with make_bot() as bot:
        assert await bot.say("hello") == "hello"


async def test_one_message_that_cannot_be_stored_does_not_cost_its_neighbours(bot: Bot) -> None:
    """What is behind it in its own chat fails with it, so that its sender hands both over again, in their order."""
    bad, behind = replace(incoming("bad"), seq=2**70), incoming("two")
    messages = incoming("one"), bad, behind, incoming("elsewhere", chat=ChatId("fake", "2"))
    results = await asyncio.gather(
        *(bot.service.ingest.accept(message) for message in messages), return_exceptions=True
    )
    stored = [isinstance(result, Reply) for result in results]
    assert stored == [True, False, False, True]
    assert isinstance(results[1], OverflowError | Unstorable)  # SQLite's driver, PostgreSQL
    assert isinstance(await bot.service.ingest.accept(behind), Reply)


async def test_the_platforms_typing_may_fail(make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: FakeChannel) -> None:
        raise ConnectionError

    monkeypatch.setattr(FakeChannel, "typing", broken)
    async with make_bot(held(1)) as bot:
        reply = await bot.accept("one two")
        await shown(bot, reply, "one")


# The filter's three places


async def test_a_blocked_question_never_reaches_the_model_nor_the_history(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("something bad")
        assert await outcome(bot, reply) is State.REFUSED
        assert bot.platform.text(reply) == t("en", "blocked.custom")
        assert bot.model.prompts == [] and "no question" in await bot.say("/retry")


async def test_a_blocked_answer_is_cut_where_the_guard_says(make_bot: MakeBot) -> None:
    model = FakeModel(lambda prompt: ["good ", "and ", "bad ", "more"])
    async with make_bot(model, content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("hi")
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.text(reply) == f"good and\n\n{t('en', 'refused.answer')}"
        assert all("bad" not in text for text in bot.platform.channels[reply.id].history)
        assert await history(bot) == [Turn("hi", "good and", "Ann")]


async def test_a_command_does_not_repeat_what_is_blocked(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=WordFilter("bad")) as bot:
        assert await bot.say("/system something bad") == t("en", "blocked.setting")
        assert "Be kind." in await bot.say("/settings")
        assert await bot.say("/help bad") == t("en", "refused.answer")


async def test_the_last_gate_sees_what_rendering_joins(make_bot: MakeBot) -> None:
    async with make_bot(FakeModel(lambda prompt: ["b*a*d ", "x"]), content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("hi")
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.channels[reply.id].history == [t("en", "refused.answer")]
        assert await history(bot) == []


@asynccontextmanager
async def flaky(database: str, model: FakeModel) -> AsyncIterator[tuple[Bot, FlakyStore]]:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = FlakyStore(store)
        async with running_bot(trouble, store, model, timing=QUICK) as bot:
            yield bot, trouble


async def test_a_database_in_trouble_costs_no_answer(database: str) -> None:
    """Neither where it is stored, nor where it is done: what is shown is never replaced by an apology."""
    async with flaky(database, held()) as (bot, store):
        for count in range(1, 6):
            bot.model.gate = asyncio.Semaphore(0)  # held anew: what was released last time would let it slip past
            reply = await bot.accept("one two")
            await running(bot)
            store.fails = count
            release(bot.model)
            assert await ended(bot, reply) is State.DONE and bot.platform.text(reply) == "one two"
        assert len(await history(bot)) == 5


async def test_a_chat_that_closes_while_the_database_is_in_trouble(database: str) -> None:
    async with flaky(database, held()) as (bot, store):
        reply = await bot.accept("one two")
        await running(bot)
        bot.platform.channels[reply.id].fails = [Unreachable()]
        store.fails = 3
        release(bot.model)
        assert await ended(bot, reply) is State.FAILED
        assert await bot.say("elsewhere", ANN, ChatId("fake", "2")) == "elsewhere", "and the bot lives"
