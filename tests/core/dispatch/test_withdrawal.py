"""What waits and is ended before it runs: its messages show what they showed before, or that it was stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from core.delivery.withdrawal import as_it_was_shown, end_reply
from core.domain.conversation import ChatId, Reply, StoredAnswer
from core.domain.platform import NO_CONTROLS, ButtonAction, MessageGone, Unacceptable, Unreachable
from core.domain.reply_states import Lane, ReplyEvent, State
from core.i18n import t
from core.inbound.backlog import EXPIRE_AFTER_MS, expired
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.changes import turns_until
from tests.conftest import QUICK, Bot, MakeBot, running_bot
from tests.core.commands.pressing import Pressing
from tests.fakes import ANN, BOB, CHAT, FakeChannel, FakeModel, claim_next, incoming, owe
from tests.tables import each_row
from tests.watching import contents, ended, history, now, outcome, reached, release, running

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "2")
STOPPED = t("en", "mark.stopped")
RETRY = (ButtonAction.RETRY,)
BOTH = (ButtonAction.CONTINUE, ButtonAction.RETRY)


@dataclass
class Waiting:
    """A bot whose only place is taken by another chat. In CHAT `answered` has its answer, and `repeat` waits."""

    bot: Bot
    answered: Reply
    repeat: Reply
    other: Reply
    chat: ChatId
    messages: FakeChannel

    @property
    def buttons(self) -> tuple[ButtonAction, ...]:
        (controls,) = self.messages.controls.values()
        return controls.actions

    async def end_by(self, command: str) -> str:
        """Give a command; what it says, once the repeat is ended."""
        said = await self.bot.say(command, ANN, self.chat)
        assert await outcome(self.bot, self.repeat) is State.CANCELLED
        return said


@asynccontextmanager
async def waiting(make_bot: MakeBot, command: str = "/retry", chat: ChatId = CHAT) -> AsyncIterator[Waiting]:
    model = FakeModel(slots=1)
    model.ends = "length" if command == "/continue" else "stop"
    async with make_bot(model) as bot:
        answered = await bot.accept("one", ANN, chat)
        assert await outcome(bot, answered) is State.DONE
        model.ends, model.gate = "stop", asyncio.Semaphore(0)
        other = await bot.accept("long", ANN, OTHER)
        await running(bot)
        repeat = await bot.accept(command, ANN, chat)
        messages = bot.platform.channels[repeat.id] = bot.platform.channels[answered.id]
        await reached(bot, repeat, lambda reply: (reply.lane, reply.state) == (Lane.ANSWER, State.QUEUED))
        yield Waiting(bot, answered, repeat, other, chat, messages)


@each_row("command", ["/stop", "/clear", "/undo"])
@each_row("repeat", ["/retry", "/continue"])
async def test_a_good_answer_stays_when_its_repeat_is_ended(make_bot: MakeBot, repeat: str, command: str) -> None:
    async with waiting(make_bot, repeat, ChatId("fake", repeat + command)) as waits:
        said = await waits.end_by(command)
        assert said == {
            "/stop": t("en", "stop.queued", count=1),
            "/clear": t("en", "clear.queued", count=1),
            "/undo": t("en", "undo.done", question="one"),
        }[command]  # fmt: skip
        assert waits.messages.messages == {"1": "one"}
        kept = command == "/stop"
        assert [turn.answer for turn in await history(waits.bot, waits.chat)] == (["one"] if kept else [])
        assert waits.buttons == ((RETRY if repeat == "/retry" else BOTH) if kept else ())
        release(waits.bot.model)
        assert await outcome(waits.bot, waits.other) is State.DONE
        assert await waits.bot.say("and now?", ANN, waits.chat) == "and now?", "nothing is held up"


@each_row("ends", ["stopped", "failed"])
async def test_a_good_answer_stays_when_its_repeat_has_no_first_word(make_bot: MakeBot, ends: str) -> None:
    chat = ChatId("fake", f"no first word {ends}")
    async with make_bot(FakeModel()) as bot:
        answered = await bot.accept("one", ANN, chat)
        assert await outcome(bot, answered) is State.DONE
        if ends == "failed":
            bot.model.says = lambda prompt: [""]
        else:
            bot.model.gate = asyncio.Semaphore(0)
        repeat = await bot.accept("/retry", ANN, chat)
        messages = bot.platform.channels[repeat.id] = bot.platform.channels[answered.id]
        if ends == "stopped":
            await reached(bot, repeat, lambda reply: (reply.lane, reply.state) == (Lane.ANSWER, State.GENERATING))
            await running(bot)
            await bot.service.control.stop(repeat)
        assert await outcome(bot, repeat) is (State.DONE if ends == "stopped" else State.FAILED)
        notice = "" if ends == "stopped" else "\n\n" + t("en", "error.empty")
        assert messages.messages == {"1": f"one{notice}"}
        assert [controls.actions for controls in messages.controls.values()] == [RETRY]
        assert [turn.answer for turn in await history(bot, chat)] == ["one"]


@pytest.mark.slow
async def test_what_was_restored_may_be_repeated_again(make_bot: MakeBot) -> None:
    async with waiting(make_bot) as waits:
        await waits.end_by("/stop")
        waits.bot.model.gate = None
        press = Pressing(waits.bot)
        result = await press(ButtonAction.RETRY, waits.repeat)
        assert not result.alert, result.text
        async with waits.bot.store.begin() as tx:
            again = await tx.replies.get(waits.repeat.id + 2)
        waits.bot.platform.channels[again.id] = waits.messages
        await waits.bot.service.control.stop(waits.other)
        assert await outcome(waits.bot, again) is State.DONE
        assert waits.messages.messages == {"1": "one"} and waits.buttons == RETRY


@pytest.mark.slow
async def test_a_repeat_is_withdrawn_beside_an_answer_in_its_conversation(make_bot: MakeBot, database: str) -> None:
    """At most one answer of a conversation is active: the withdrawn one must be none."""
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await owe(tx, incoming("one"), Lane.ANSWER)
        first = await claim_next(tx)
        assert first
        await tx.turns.save_answer(first, "one")
        await tx.messages.add_intent(first, "n-0")
        await tx.messages.set_id(first, "n-0", "1")
        first = await tx.replies.move(first, ReplyEvent.FINISH, outcome=State.DONE, final="one")
        await tx.replies.move(first, ReplyEvent.DELIVER)
        question = await tx.turns.last_question(CHAT)
        running = await owe(tx, incoming("two"), Lane.ANSWER)
        command = await owe(tx, incoming("/retry"), Lane.NOTICE)
        assert question and running and command and await claim_next(tx, Lane.NOTICE)
        repeat = await tx.replies.become_answer(await tx.replies.get(command.id), question)
        assert (repeat.is_repeat, running.is_repeat, command.is_repeat) == (True, False, False)
        assert (claimed := await claim_next(tx)) and claimed.id == running.id
        withdrawn = await end_reply(tx, repeat, ReplyEvent.STOP)
        assert (withdrawn.state, withdrawn.lane, withdrawn.final) == (State.SENDING, Lane.NOTICE, "one")
        assert withdrawn.attempt > repeat.attempt, "no earlier worker of it may change anything"
        assert (await tx.replies.get(running.id)).state is State.GENERATING
    async with make_bot() as bot:
        channel = bot.platform.channel(withdrawn)
        channel.messages["1"] = "half of two"
        assert [await outcome(bot, reply) for reply in (withdrawn, running)] == [State.CANCELLED, State.DONE]
        assert channel.messages == {"1": "one"} and channel.controls["1"].actions == RETRY


@pytest.mark.slow
async def test_the_response_to_an_interaction_says_that_it_was_stopped(make_bot: MakeBot) -> None:
    for command in ("/stop", "/clear"):
        async with waiting(make_bot) as waits:
            bot = waits.bot
            asked = await bot.service.ingest.accept(replace(incoming("hello", BOB), reply_token="1::key"))
            assert asked and await now(bot, asked) is State.QUEUED
            await bot.say(command, BOB)
            assert await outcome(bot, asked) is State.CANCELLED
            assert bot.platform.text(asked) == t("vi", "mark.stopped")
            assert list(bot.platform.channels[asked.id].controls.values()) == [NO_CONTROLS]
            async with bot.store.begin() as tx:
                assert (await tx.replies.get(asked.id)).reply_token == "", "nothing is kept of it"
            unseen = await bot.accept("hello", BOB)
            await bot.say(command, BOB)
            assert await now(bot, unseen) is State.CANCELLED
            assert unseen.id not in bot.platform.channels, "nobody sees that it waits"


@each_row("lost", [True, False])
async def test_a_kill_after_the_stop_leaves_no_half_text(make_bot: MakeBot, database: str, lost: bool) -> None:
    """What is still to be shown is owed by the database: after a start, and after a commit that seemed to fail."""
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            await owe(tx, incoming("one two"), Lane.ANSWER)
            begun = await claim_next(tx)
            assert begun
            await tx.messages.add_intent(begun, "n-0")
            await tx.messages.set_id(begun, "n-0", "1")
            begun = await tx.replies.move(begun, ReplyEvent.CRASH)
            if not lost:
                begun = await end_reply(tx, begun, ReplyEvent.STOP)
        async with running_bot(store, store, FakeModel(), timing=QUICK, settled=False) as bot:
            channel = bot.platform.channel(begun)
            channel.messages["1"] = "one"
            if lost:
                async with store.begin() as tx:
                    await end_reply(tx, begun, ReplyEvent.STOP)
            assert await ended(bot, begun) is State.CANCELLED
            assert channel.messages == {"1": STOPPED} and channel.controls == {"1": NO_CONTROLS}
            assert bot.model.prompts == []


@pytest.mark.slow
@each_row(
    ("error", "state"),
    [
        (Unacceptable(), State.FAILED),
        (ValueError("a bug"), State.FAILED),
        (MessageGone(), State.CANCELLED),
        (Unreachable(), State.FAILED),
    ],
)
async def test_what_can_not_be_restored_is_neither_written_over_nor_sent_anew(
    make_bot: MakeBot, error: Exception, state: State
) -> None:
    async with waiting(make_bot) as waits:
        waits.messages.fails = [error]
        stop = await waits.bot.accept("/stop")
        assert await outcome(waits.bot, waits.repeat) is state
        assert waits.messages.messages == {"1": "one"}
        await outcome(waits.bot, stop)


@each_row(
    ("answer", "text"),
    [
        (StoredAnswer("all of it", truncated=False, stopped=False), "all of it"),
        (StoredAnswer("a **bold", truncated=False, stopped=False), "a **bold"),
        (StoredAnswer("a **bold", truncated=True, stopped=False), "a **bold**"),
        (StoredAnswer("```py\nx = 1", truncated=False, stopped=True), f"```py\nx = 1\n```\n\n{STOPPED}"),
        (StoredAnswer("half", truncated=False, stopped=True), f"half\n\n{STOPPED}"),
        (StoredAnswer("long " * 1000 + "**bold", truncated=True, stopped=False), "long " * 1000 + "**bold"),
    ],
)
def test_an_earlier_answer_as_it_was_shown(answer: StoredAnswer, text: str) -> None:
    assert as_it_was_shown(answer, STOPPED) == text


@pytest.mark.slow
async def test_a_stopped_answer_keeps_its_mark(make_bot: MakeBot) -> None:
    model = FakeModel(slots=1)
    model.gate = asyncio.Semaphore(1)
    async with make_bot(model) as bot:
        answered = await bot.accept("one two")
        channel = bot.platform.channel(answered)
        await channel.until(lambda: channel.messages == {"1": "one"})
        await bot.say("/stop")
        other = await bot.accept("long", ANN, OTHER)
        await running(bot)
        repeat = await bot.accept("/retry")
        bot.platform.channels[repeat.id] = channel
        await reached(bot, repeat, lambda reply: reply.lane is Lane.ANSWER)
        await bot.say("/stop")
        assert await outcome(bot, repeat) is State.CANCELLED
        assert channel.messages == {"1": f"one\n\n{STOPPED}"} and channel.controls["1"].actions == RETRY
        await bot.service.control.stop(other)


@pytest.mark.slow
@each_row(
    ("text", "shown"),
    [
        ("one two", "one two"),
        ("one `two", "one `two`"),
    ],
)
async def test_a_stop_after_the_last_word_is_shown(make_bot: MakeBot, text: str, shown: str) -> None:
    """The person was told that it is stopped."""
    model = FakeModel(lambda prompt: [text])
    model.gate = asyncio.Semaphore(0)
    async with make_bot(model) as bot:
        reply = await bot.accept("question")
        await running(bot)
        async with bot.store.begin():
            stopping = asyncio.create_task(bot.service.control.stop(reply))
            await turns_until(lambda: bot.commits.under_way == 1)
            release(model)
            await turns_until(lambda: bot.commits.under_way == 2)
        await stopping
        assert await outcome(bot, reply) is State.STOPPED
        assert bot.platform.text(reply) == f"{shown}\n\n{STOPPED}"
        assert (await history(bot))[-1].answer == text


@pytest.mark.slow
async def test_a_repeat_is_never_too_old(make_bot: MakeBot) -> None:
    """An apology would take the place of a good answer."""
    async with waiting(make_bot) as waits:
        async with waits.bot.store.begin() as tx:
            queued = await tx.recovery.backlog("fake", 0)
        old = [replace(reply, at=now_ms() - EXPIRE_AFTER_MS) for reply in queued]
        assert waits.repeat.id in [reply.id for reply in old] and not expired(old, now_ms())
        assert expired([replace(reply, is_repeat=False) for reply in old], now_ms())


@pytest.mark.slow
async def test_undo_ends_a_repeat_that_has_just_begun(make_bot: MakeBot) -> None:
    """Between the look for what runs and the command's own transaction."""
    async with waiting(make_bot) as waits:
        async with waits.bot.store.begin() as tx:
            await tx.replies.move(await tx.replies.get(waits.repeat.id), ReplyEvent.CLAIM)
        await waits.bot.say("/undo")
        async with waits.bot.store.begin() as tx:
            begun = await tx.replies.get(waits.repeat.id)
        assert (begun.outcome, begun.question) == (State.DONE, None), "it showed the earlier answer again"
        assert contents(waits.bot.model.prompts[-1]) == ["long"]


@pytest.mark.slow
async def test_what_was_to_be_continued_outlives_a_stop_and_a_kill(make_bot: MakeBot) -> None:
    async with waiting(make_bot, "/continue") as waits, waits.bot.store.begin() as tx:
        begun = await tx.replies.move(await tx.replies.get(waits.repeat.id), ReplyEvent.CLAIM)
        await tx.replies.move(begun, ReplyEvent.STOP)
    async with make_bot() as bot:
        bot.platform.channels[begun.id] = waits.messages
        assert await outcome(bot, begun) is State.STOPPED
        assert waits.messages.messages == {"1": f"one\n\n{STOPPED}"}
        assert [turn.answer for turn in await history(bot)] == ["one"]
