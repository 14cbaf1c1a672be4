"""What happens to a message: order, stops, clears, crashes, failures. The real store, and a model that can be held."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from core.chat import ChatId, Reply, Turn
from core.errors import EngineDied
from core.intake import Intake
from core.prompts import Prompt
from core.states import Event, Lane, State
from core.texts import say
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, FakeModel, WordFilter, incoming

OTHER = ChatId("fake", "2")
GROUP = ChatId("fake", "group")
STOPPED = say("en", "mark.stopped")


def held(words: int = 0) -> FakeModel:
    """A model that says a few words and then waits to be released."""
    model = FakeModel()
    model.gate = asyncio.Semaphore(words)
    return model


def release(model: FakeModel, words: int = 1000) -> None:
    """Let it say so many words more."""
    assert model.gate
    for _ in range(words):
        model.gate.release()


def contents(prompt: Prompt) -> list[str]:
    """What stands in a prompt after the system prompt."""
    return [message.content for message in prompt[1:]]


async def history(bot: Bot, chat: ChatId = CHAT) -> list[Turn]:
    async with bot.store.begin() as tx:
        return list(await tx.turns.recent(chat, 1_000_000, 10))


async def now(bot: Bot, reply: Reply) -> State:
    async with bot.store.begin() as tx:
        return (await tx.replies.get(reply.id)).state


async def outcome(bot: Bot, reply: Reply) -> State:
    async with asyncio.timeout(5):
        return (await bot.dispatcher.outcome(reply)).state


async def running(bot: Bot, count: int = 1) -> None:
    """Wait until so many answers are being generated."""
    async with asyncio.timeout(5):
        while bot.model.running < count:
            await asyncio.sleep(0.001)


async def shown(bot: Bot, reply: Reply, words: str) -> None:
    """Wait until a person sees these words."""
    async with asyncio.timeout(5):
        while reply.id not in bot.platform.surfaces or words not in bot.platform.text(reply):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("memory", [1, 3, 10])
async def test_exactly_the_last_n_turns(bot: Bot, memory: int) -> None:
    await bot.say(f"/memory {memory}")
    for i in range(12):
        await bot.say(f"q{i}")
    expected = [text for i in range(11 - memory, 11) for text in (f"q{i}", f"q{i}")]
    assert contents(bot.model.prompts[-1]) == [*expected, "q11"]


async def test_answers_of_a_conversation_come_in_order_and_chats_do_not_wait(make_bot: MakeBot) -> None:
    model = held()
    async with make_bot(model) as bot:
        replies = [await bot.accept(f"q{i}") for i in range(3)]
        other = await bot.accept("elsewhere", ANN, OTHER)
        await running(bot, 2)
        await asyncio.sleep(0.02)
        assert [contents(prompt)[-1] for prompt in model.prompts] == ["q0", "elsewhere"]
        release(model)
        assert {await outcome(bot, reply) for reply in (*replies, other)} == {State.DONE}
        assert [contents(prompt)[-1] for prompt in model.prompts] == ["q0", "elsewhere", "q1", "q2"]


async def test_no_more_answers_at_once_than_the_model_has_slots(make_bot: MakeBot) -> None:
    model = held()
    model.slots = 2
    async with make_bot(model) as bot:
        replies = [await bot.accept("hi", ANN, ChatId("fake", str(i))) for i in range(4)]
        await running(bot, 2)
        await asyncio.sleep(0.02)
        assert model.running == 2
        release(model)
        assert {await outcome(bot, reply) for reply in replies} == {State.DONE}


async def test_a_command_does_not_wait_for_an_answer_and_counts_for_the_next(make_bot: MakeBot) -> None:
    model = held()
    async with make_bot(model) as bot:
        first = await bot.accept("one")
        await running(bot)
        assert "→ 0" in await bot.say("/temp 0")
        second = await bot.accept("two")
        release(model)
        await outcome(bot, first), await outcome(bot, second)
        assert [sampling.temperature for sampling in model.samplings] == [0.7, 0.0]


async def test_a_burst_is_stored_and_answered_once(bot: Bot) -> None:
    messages = [incoming(f"q{i}", ANN, ChatId("fake", str(i % 7)), external_id=f"x{i}") for i in range(50)]
    replies = await asyncio.gather(*(bot.dispatcher.accept(message) for message in messages * 2))
    stored = [reply for reply in replies if reply is not None]
    assert len(stored) == 50
    assert {await outcome(bot, reply) for reply in stored} == {State.DONE}
    assert len(bot.model.prompts) == 50


# Stopping


async def test_stop_keeps_what_was_shown_and_marks_it(make_bot: MakeBot) -> None:
    model = held(2)
    async with make_bot(model) as bot:
        reply = await bot.accept("one two three four")
        await shown(bot, reply, "one two")
        assert await bot.say("/stop") == "Stopped."
        assert await outcome(bot, reply) is State.STOPPED
        assert bot.platform.text(reply) == f"one two\n\n{STOPPED}"
        assert model.running == 0
        assert await history(bot) == [Turn("one two three four", "one two", "Ann")]


async def test_stop_before_the_first_word(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        await bot.say("/stop")
        assert await outcome(bot, reply) is State.STOPPED
        assert bot.platform.text(reply) == STOPPED and await history(bot) == []


async def test_stop_cancels_the_askers_own_queue(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        bot.platform.admins = set()
        mine = [await bot.accept(text, ANN, GROUP, private=False) for text in ("one", "two", "three")]
        his = await bot.accept("four", BOB, GROUP, private=False)
        await running(bot)
        assert await bot.say("/stop", ANN, GROUP, private=False) == say("en", "stop.queued", count=2)
        assert [await outcome(bot, reply) for reply in mine] == [State.STOPPED, State.CANCELLED, State.CANCELLED]
        await running(bot)
        assert "Only the person" in await bot.say("/stop", ANN, GROUP, private=False)
        assert await now(bot, his) is State.GENERATING
        bot.platform.admins = {"ann"}
        assert await bot.say("/stop", ANN, GROUP, private=False) == "Stopped."
        assert await outcome(bot, his) is State.STOPPED


async def test_stop_by_button_or_key(make_bot: MakeBot) -> None:
    async with make_bot(held(1)) as bot:
        reply, queued = await bot.accept("one two"), await bot.accept("three")
        await shown(bot, reply, "one")
        await bot.dispatcher.stop(queued)
        await bot.dispatcher.stop(reply)
        assert [await outcome(bot, r) for r in (reply, queued)] == [State.STOPPED, State.CANCELLED]
        await bot.dispatcher.stop(reply)  # nothing happens
        assert await now(bot, reply) is State.STOPPED


async def test_clear_stops_cancels_forgets(make_bot: MakeBot) -> None:
    model = held(3)
    async with make_bot(model) as bot:
        await bot.say("past")
        reply, queued = await bot.accept("one two three"), await bot.accept("four")
        await shown(bot, reply, "one two")
        assert await bot.say("/clear") == say("en", "clear.queued", count=1)
        assert [await outcome(bot, r) for r in (reply, queued)] == [State.STOPPED, State.CANCELLED]
        assert await history(bot) == []
        release(model)
        await bot.say("new")
        assert contents(model.prompts[-1]) == ["new"]
        assert await history(bot) == [Turn("new", "new", "Ann")]


async def test_undo_stops_first_and_takes_that_pair(make_bot: MakeBot) -> None:
    model = held(2)
    async with make_bot(model) as bot:
        await bot.say("past")
        reply = await bot.accept("one two")
        await shown(bot, reply, "one")
        assert "“one two”" in await bot.say("/undo")
        assert await outcome(bot, reply) is State.STOPPED
        assert [turn.question for turn in await history(bot)] == ["past"]


async def test_retry_edits_the_old_message_and_replaces_the_turn(make_bot: MakeBot) -> None:
    answers = iter(["first", "a second"])
    async with make_bot(FakeModel(lambda prompt: [next(answers)])) as bot:
        first = await bot.accept("why?")
        assert await outcome(bot, first) is State.DONE
        message = bot.platform.surfaces[first.id]
        again = await bot.accept("/retry")
        bot.platform.surfaces[again.id] = message  # the same chat
        assert await outcome(bot, again) is State.DONE
        assert message.messages == {"1": "a second"}
        assert contents(bot.model.prompts[-1]) == ["why?"]
        assert await history(bot) == [Turn("why?", "a second", "Ann")]


async def test_retry_while_it_is_answered(make_bot: MakeBot) -> None:
    model = held(1)
    async with make_bot(model) as bot:
        first = await bot.accept("one two")
        await shown(bot, first, "one")
        again = await bot.accept("/retry")
        assert await outcome(bot, first) is State.STOPPED
        release(model)
        assert await outcome(bot, again) is State.DONE
        assert await history(bot) == [Turn("one two", "one two", "Ann")]


async def test_a_member_can_neither_retry_nor_undo_what_runs_for_another(make_bot: MakeBot) -> None:
    model = held()
    async with make_bot(model) as bot:
        reply = await bot.accept("one", BOB, GROUP, private=False)
        await running(bot)
        for command in ("/retry", "/undo"):
            assert "Only the person" in await bot.say(command, ANN, GROUP, private=False)
        assert await now(bot, reply) is State.GENERATING
        release(model)
        assert await outcome(bot, reply) is State.DONE


# Failing


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


# Dying and coming back


async def test_a_restart_answers_what_was_left(make_bot: MakeBot, database: str) -> None:
    model = held(1)
    async with make_bot(model) as bot:
        await bot.say("/temp 0.2")
        first, second = await bot.accept("one two"), await bot.accept("three")
        await shown(bot, first, "one")
    async with make_bot() as bot:
        assert [await outcome(bot, reply) for reply in (first, second)] == [State.DONE, State.DONE]
        assert bot.platform.text(first) == "one two"
        assert [turn.answer for turn in await history(bot)] == ["one two", "three"]
        assert {sampling.temperature for sampling in bot.model.samplings} == {0.2}


async def test_a_restart_sends_what_was_being_sent_and_generates_nothing(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        reply = await tx.replies.add(incoming("hi"), Lane.ANSWER)
        assert reply
        reply = await tx.replies.move(reply, Event.CLAIM)
        await tx.turns.remember(reply, "hello")
        await tx.replies.move(reply, Event.FINISH, outcome=State.DONE, final="hello")
    async with make_bot() as bot:
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.text(reply) == "hello" and bot.model.prompts == []


async def test_what_was_stopped_at_a_crash_stays_stopped(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        reply = await tx.replies.add(incoming("hi"), Lane.ANSWER)
        assert reply
        await tx.replies.move(await tx.replies.move(reply, Event.CLAIM), Event.STOP)
    async with make_bot() as bot:
        assert await outcome(bot, reply) is State.STOPPED
        assert bot.platform.text(reply) == STOPPED and bot.model.prompts == []


async def test_decomposed_text_is_stored_composed_and_clean(bot: Bot) -> None:
    assert await bot.say("tie\u0302\u0301ng Vie\u0323\u0302t\x00\ud800\r\nxin") == "tiếng Việt\nxin"


# Its own life


async def test_an_error_in_the_block_comes_out_as_it_is(make_bot: MakeBot) -> None:
    with pytest.raises(ZeroDivisionError):
        async with make_bot():
            raise ZeroDivisionError


async def test_a_loop_that_dies_ends_the_block_with_its_error(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Intake) -> None:
        raise RuntimeError("the writer is gone")

    monkeypatch.setattr(Intake, "write", broken)
    with pytest.raises(RuntimeError, match="writer"):
        async with make_bot():
            await asyncio.sleep(5)
