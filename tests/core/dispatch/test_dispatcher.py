"""What happens to a message: order, stops, clears, crashes. The real store, and a model that can be held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.domain.conversation import ChatId, Turn
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.sampling import Sampling
from core.i18n import t
from core.inbound.ingest import Ingest
from core.llm.model import Stream
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, BOB, FakeModel, FakeStream, incoming, owe
from tests.patience import limit
from tests.watching import contents, held, history, idle, now, outcome, release, running, shown

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "2")
GROUP = ChatId("fake", "group")
STOPPED = t("en", "mark.stopped")


async def test_answers_of_a_conversation_come_in_order_and_chats_do_not_wait(make_bot: MakeBot) -> None:
    model = held()
    async with make_bot(model) as bot:
        replies = [await bot.accept(f"q{i}") for i in range(3)]
        other = await bot.accept("elsewhere", ANN, OTHER)
        await running(bot, 2)
        await idle(bot)
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
        await idle(bot)
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
    replies = await asyncio.gather(*(bot.service.ingest.accept(message) for message in messages * 2))
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
        theirs = await bot.accept("four", BOB, GROUP, private=False)
        await running(bot)
        assert await bot.say("/stop", ANN, GROUP, private=False) == t("en", "stop.queued", count=2)
        assert [await outcome(bot, reply) for reply in mine] == [State.STOPPED, State.CANCELLED, State.CANCELLED]
        await running(bot)
        assert "Only the person" in await bot.say("/stop", ANN, GROUP, private=False)
        assert await now(bot, theirs) is State.GENERATING
        bot.platform.admins = {"ann"}
        assert await bot.say("/stop", ANN, GROUP, private=False) == "Stopped."
        assert await outcome(bot, theirs) is State.STOPPED


async def test_stop_by_button_or_key(make_bot: MakeBot) -> None:
    async with make_bot(held(1)) as bot:
        reply, queued = await bot.accept("one two"), await bot.accept("three")
        await shown(bot, reply, "one")
        await bot.service.control.stop(queued)
        await bot.service.control.stop(reply)
        assert [await outcome(bot, r) for r in (reply, queued)] == [State.STOPPED, State.CANCELLED]
        await bot.service.control.stop(reply)  # nothing happens
        assert await now(bot, reply) is State.STOPPED


async def test_clear_stops_cancels_forgets(make_bot: MakeBot) -> None:
    model = held(3)
    async with make_bot(model) as bot:
        await bot.say("past")
        reply, queued = await bot.accept("one two three"), await bot.accept("four")
        await shown(bot, reply, "one two")
        assert await bot.say("/clear") == t("en", "clear.queued", count=1)
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
        message = bot.platform.channels[first.id]
        again = await bot.accept("/retry")
        bot.platform.channels[again.id] = message  # the same chat
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


async def test_what_was_asked_after_a_clear_or_stop_is_not_swept_away(make_bot: MakeBot) -> None:
    """All of it stored in one go, as a backlog is."""
    async with make_bot() as bot:
        for command in ("/clear", "/stop"):
            texts = ("old", command, "new")
            old, done, new = await asyncio.gather(*(bot.service.ingest.accept(incoming(text)) for text in texts))
            assert old and done and new
            assert await outcome(bot, new) is State.DONE
            assert bot.platform.text(new) == "new"
            assert (await history(bot))[-1].question == "new"


async def test_a_slow_platform_keeps_no_other_chat_from_the_model(make_bot: MakeBot) -> None:
    model = held()
    model.slots = 1
    async with make_bot(model) as bot:
        slow = await bot.accept("one")
        await running(bot)
        bot.platform.channels[slow.id].slow = gate = asyncio.Event()
        release(model)
        other = await bot.accept("two", ANN, OTHER)
        assert await outcome(bot, other) is State.DONE
        assert await now(bot, slow) is State.SENDING
        assert "nothing to stop" in await bot.say("/stop"), "what is being sent is too late to stop"
        gate.set()
        assert await outcome(bot, slow) is State.DONE


async def test_many_waiting_commands_keep_no_other_from_theirs(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        gate = asyncio.Event()
        slow = [await bot.accept("one", ANN, ChatId("fake", f"slow{i}")) for i in range(4)]
        await running(bot, 4)
        for reply in slow:
            bot.platform.channels[reply.id].slow = gate
        release(bot.model)
        waiting = [await bot.accept("/undo", ANN, reply.chat) for reply in slow for _ in range(4)]
        async with limit():
            assert "0.7" in await bot.say("/temp", ANN, OTHER)
        gate.set()
        assert {await outcome(bot, reply) for reply in waiting} <= {State.DONE, State.REFUSED}


async def test_a_second_retry_is_refused_while_the_first_waits(make_bot: MakeBot) -> None:
    model = FakeModel(slots=1)
    async with make_bot(model) as bot:
        await bot.say("why?")
        model.gate = asyncio.Semaphore(0)
        other = await bot.accept("long", ANN, OTHER)
        await running(bot)
        first = await bot.accept("/retry")
        assert await bot.say("/retry") == t("en", "retry.waiting")
        assert "why?" in (await history(bot))[0].question, "until there is a new answer the old one stands"
        release(model)
        assert [await outcome(bot, reply) for reply in (first, other)] == [State.DONE, State.DONE]
        assert [turn.answer for turn in await history(bot)] == ["why?"]


async def test_undo_before_the_first_word_takes_back_that_question(make_bot: MakeBot) -> None:
    model = FakeModel()
    async with make_bot(model) as bot:
        await bot.say("past")
        model.gate = asyncio.Semaphore(0)
        await bot.accept("one")
        await running(bot)
        assert "“one”" in await bot.say("/undo")
        assert [turn.question for turn in await history(bot)] == ["past"]


async def test_a_stop_works_while_the_model_is_not_there_yet(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = asyncio.Event()

    class Loading(FakeModel):
        @asynccontextmanager
        async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
            loading.set()
            await asyncio.Event().wait()
            yield FakeStream([], "stop", None)

    async with make_bot(Loading()) as bot:
        reply = await bot.accept("one")
        await loading.wait()
        assert await bot.say("/stop") == "Stopped."
        assert await outcome(bot, reply) is State.STOPPED


async def test_a_mark_stands_outside_of_open_code(make_bot: MakeBot) -> None:
    async with make_bot(held(2)) as bot:
        bot.model.says = lambda prompt: ["```py\n", "x = 1", "\ny = 2"]
        reply = await bot.accept("code")
        await shown(bot, reply, "x = 1")
        await bot.say("/stop")
        await outcome(bot, reply)
        assert bot.platform.text(reply) == f"```py\nx = 1\n```\n\n{STOPPED}"


async def test_the_asker_keeps_their_rights_when_an_admin_retries(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        bot.platform.admins = {"ann"}
        await bot.say("hi", BOB, GROUP, private=False)
        await bot.say("/retry", ANN, GROUP, private=False)
        bot.model.gate = asyncio.Semaphore(0)
        again = await bot.accept("/retry", ANN, GROUP, private=False)
        await running(bot)
        assert await bot.say("/stop", BOB, GROUP, private=False) == t("vi", "stop.done")
        assert await outcome(bot, again) is State.DONE, "it shows the earlier answer again"
        assert [turn.answer for turn in await history(bot, GROUP)] == ["hi"]


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
        reply = await owe(tx, incoming("hi"), Lane.ANSWER)
        assert reply
        reply = await tx.replies.move(reply, ReplyEvent.CLAIM)
        await tx.turns.save_answer(reply, "hello")
        await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final="hello")
    async with make_bot() as bot:
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.text(reply) == "hello" and bot.model.prompts == []


async def test_what_was_stopped_at_a_crash_stays_stopped(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        reply = await owe(tx, incoming("hi"), Lane.ANSWER)
        assert reply
        await tx.replies.move(await tx.replies.move(reply, ReplyEvent.CLAIM), ReplyEvent.STOP)
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
    async def broken(self: Ingest) -> None:
        raise RuntimeError("the writer is gone")

    monkeypatch.setattr(Ingest, "run", broken)
    with pytest.raises(RuntimeError, match="writer"):
        async with limit(), make_bot():
            await asyncio.Event().wait()


@pytest.mark.slow
async def test_what_was_shown_before_a_crash_is_marked_when_it_is_cancelled_while_it_waits(make_bot: MakeBot) -> None:
    model = held(1)
    model.slots = 1
    async with make_bot(model) as bot:
        reply = await bot.accept("one two")
        await shown(bot, reply, "one")
        await bot.accept("never served yet", ANN, OTHER)
        channel = bot.platform.channels[reply.id]
    model = held()
    model.slots = 1
    async with make_bot(model) as bot:
        bot.platform.channels[reply.id] = channel
        await running(bot)
        assert contents(model.prompts[0]) == ["never served yet"]
        assert "1" in await bot.say("/stop")
        await channel.until(lambda: channel.messages == {"1": STOPPED})
