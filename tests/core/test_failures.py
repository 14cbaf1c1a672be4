"""What goes wrong stays in its conversation and is told there; what the filter blocks is never shown."""

import logging
from collections.abc import Sequence

import pytest

from core.chat import ChatId, Reply, Turn
from core.errors import EngineDied
from core.prompts import Prompt
from core.states import State
from core.texts import say
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, FakeModel, WordFilter
from tests.watching import held, history, outcome, release, running

OTHER = ChatId("fake", "2")


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
    reply = await bot.accept("/temp 0")
    assert await outcome(bot, reply) is State.FAILED
    assert "id " in bot.platform.text(reply)
    monkeypatch.undo()
    assert "0.7" in await bot.say("/temp")


async def test_a_lost_engine_says_again(make_bot: MakeBot) -> None:
    def says(prompt: Prompt) -> Sequence[str]:
        raise EngineDied

    async with make_bot(FakeModel(says)) as bot:
        assert await bot.say("hello") == say("en", "error.again")
        assert await history(bot) == []


async def test_an_empty_answer_is_tried_once_more_then_said(make_bot: MakeBot) -> None:
    answers = iter([["<think>hm</think>"], [" "], [""], ["ok"]])
    async with make_bot(FakeModel(lambda prompt: next(answers))) as bot:
        await bot.say("/temp 0")
        assert await bot.say("one") == say("en", "error.empty")
        assert await bot.say("two") == "ok"
        assert [sampling.temperature for sampling in bot.model.samplings] == [0, 0.5, 0, 0.5]
        assert [turn.question for turn in await history(bot)] == ["two"]


async def test_a_question_too_long_is_refused_and_forgotten(bot: Bot) -> None:
    reply = await bot.accept("word " * 4000)
    assert await outcome(bot, reply) is State.REFUSED
    assert "3584 tokens" in bot.platform.text(reply)
    assert bot.model.prompts == [] and "no question" in await bot.say("/retry")


async def test_a_loop_ends_the_answer_with_a_mark(make_bot: MakeBot) -> None:
    sentence = "I like to help people with everything that they need. "
    async with make_bot(FakeModel(lambda prompt: [sentence] * 50)) as bot:
        assert await bot.say("hi") == f"{sentence.strip()}\n\n{say('en', 'mark.loop')}"
        assert (await history(bot))[0].answer == sentence.strip()


async def test_a_surface_that_refuses_everything_costs_that_reply_alone(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        bot.platform.surfaces[reply.id].fails = PermissionError
        release(bot.model)
        assert await outcome(bot, reply) is State.FAILED
        assert await bot.say("two", ANN, OTHER) == "two"


# The filter's three places


async def test_a_blocked_question_never_reaches_the_model_nor_the_history(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("something bad")
        assert await outcome(bot, reply) is State.REFUSED
        assert bot.platform.text(reply) == say("en", "refused.question")
        assert bot.model.prompts == [] and "no question" in await bot.say("/retry")


async def test_a_blocked_answer_is_cut_where_the_guard_says(make_bot: MakeBot) -> None:
    model = FakeModel(lambda prompt: ["good ", "and ", "bad ", "more"])
    async with make_bot(model, content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("hi")
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.text(reply) == f"good and\n\n{say('en', 'refused.answer')}"
        assert all("bad" not in text for text in bot.platform.surfaces[reply.id].history)
        assert await history(bot) == [Turn("hi", "good and", "Ann")]


async def test_the_last_gate_sees_what_rendering_joins(make_bot: MakeBot) -> None:
    async with make_bot(FakeModel(lambda prompt: ["b*a*d ", "x"]), content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("hi")
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.surfaces[reply.id].history == [say("en", "refused.answer")]
        assert await history(bot) == []
