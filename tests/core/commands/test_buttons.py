"""Buttons: what a press does, and what a forged, stale or foreign one does not."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from core.commands.buttons import Answer, ButtonActions, Press, orphaned
from core.commands.settings_view import revision
from core.domain.conversation import Author, ChatId, Chunk, Reply
from core.domain.permissions import Access
from core.domain.platform import NO_CONTROLS, ButtonAction, NotSent
from core.domain.reply_states import Lane, State
from core.domain.settings import Settings
from core.i18n import t
from storage.store import now_ms
from tests.conftest import EVERYBODY, RULES, Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, FakeModel, OpenFilter
from tests.watching import held, history, outcome, shown

GROUP = ChatId("fake", "group")
CARL = Author("carl", "Carl")
STALE = Answer(t("en", "press.stale"), alert=True)


@dataclass
class Pressing:
    """A bot whose buttons are pressed."""

    bot: Bot
    presses: ButtonActions
    count: int = 0

    async def __call__(
        self, action: ButtonAction, reply: Reply, by: Author = ANN, *, chat: ChatId | None = None, message: str = ""
    ) -> Answer:
        return await self.presses.act(self.press(reply, by, chat, message), action, reply.id)

    def press(self, reply: Reply, by: Author, chat: ChatId | None = None, message: str = "") -> Press:
        self.count += 1
        message = message or next(iter(self.bot.platform.surfaces[reply.id].messages))
        return Press(f"p{self.count}", chat or reply.chat, message, 7, by, reply.private, "bot", now_ms())


def pressing(bot: Bot) -> Pressing:
    return Pressing(bot, ButtonActions(bot.store, bot.dispatcher, EVERYBODY, RULES, OpenFilter(), now_ms))


# Stop


async def test_stop_stops(make_bot: MakeBot) -> None:
    async with make_bot(held(2)) as bot:
        press = pressing(bot)
        reply = await bot.accept("one two three")
        await shown(bot, reply, "one two")
        assert await press(ButtonAction.STOP, reply) == Answer("Stopped.")
        assert await outcome(bot, reply) is State.STOPPED
        assert await press(ButtonAction.STOP, reply) == Answer(t("en", "stop.nothing"), alert=True)


async def test_only_the_asker_and_admins_may_stop(make_bot: MakeBot) -> None:
    async with make_bot(held(3)) as bot:
        press = pressing(bot)
        reply = await bot.accept("one two three", ANN, GROUP, private=False)
        await shown(bot, reply, "one two")
        assert await press(ButtonAction.STOP, reply, CARL) == Answer(t("en", "stop.others"), alert=True)
        bot.platform.fails = NotSent()
        assert await press(ButtonAction.STOP, reply, CARL) == Answer(t("en", "error.role"), alert=True)
        assert bot.model.running == 1
        bot.platform.fails, bot.platform.admins = None, {"carl"}
        assert await press(ButtonAction.STOP, reply, CARL) == Answer("Stopped.")


# Retry and continue


async def test_retry_answers_again_in_the_same_message(make_bot: MakeBot) -> None:
    answers = iter((["first"], ["second"]))
    async with make_bot(FakeModel(lambda prompt: next(answers))) as bot:
        press = pressing(bot)
        reply = await bot.accept("question")
        await outcome(bot, reply)
        surface = bot.platform.surfaces[reply.id]
        assert surface.controls["1"].actions == (ButtonAction.RETRY,)
        bot.platform.surfaces[reply.id + 1] = surface
        assert await press(ButtonAction.RETRY, reply) == Answer("")
        async with asyncio.timeout(5):
            while surface.messages != {"1": "second"}:
                await asyncio.sleep(0.001)


async def test_a_press_that_comes_twice_counts_once(bot: Bot) -> None:
    presses = pressing(bot)
    reply = await bot.accept("question")
    await outcome(bot, reply)
    press = presses.press(reply, ANN)
    bot.platform.surfaces[reply.id + 1] = bot.platform.surfaces[reply.id]
    for _ in range(2):
        await presses.presses.act(press, ButtonAction.RETRY, reply.id)
    async with asyncio.timeout(5):
        while len(bot.model.prompts) < 2:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    assert len(bot.model.prompts) == 2


async def test_only_the_last_answer_may_be_retried(bot: Bot) -> None:
    press = pressing(bot)
    first = await bot.accept("one", ANN, GROUP, private=False)
    second = await bot.accept("two", ANN, GROUP, private=False)
    await outcome(bot, first), await outcome(bot, second)
    assert await press(ButtonAction.RETRY, first) == STALE
    assert await press(ButtonAction.RETRY, second, CARL) == Answer(t("en", "retry.others"), alert=True)
    assert len(bot.model.prompts) == 2


async def test_an_answer_that_was_cut_goes_on_in_its_message(make_bot: MakeBot) -> None:
    answers = iter((["one ", "two"], [" three ", "four"]))
    model = FakeModel(lambda prompt: next(answers))
    model.ends = "length"
    async with make_bot(model) as bot:
        press = pressing(bot)
        reply = await bot.accept("count")
        await outcome(bot, reply)
        surface = bot.platform.surfaces[reply.id]
        assert list(surface.controls["1"].actions) == [ButtonAction.CONTINUE, ButtonAction.RETRY]
        model.ends = "stop"
        bot.platform.surfaces[reply.id + 1] = surface
        assert await press(ButtonAction.CONTINUE, reply) == Answer("")
        async with asyncio.timeout(5):
            while surface.messages["1"] != "one two three four" or [*surface.controls["1"].actions] != [
                ButtonAction.RETRY
            ]:
                await asyncio.sleep(0.001)
        assert [message.content for message in model.prompts[-1][1:]] == ["count", "one two"]
        assert [turn.answer for turn in await history(bot)] == ["one two three four"]
        assert await bot.say("/continue") == t("en", "continue.nothing")


async def test_what_is_not_cut_is_not_continued_whatever_a_button_says(bot: Bot) -> None:
    reply = await bot.accept("question")
    await outcome(bot, reply)
    assert await pressing(bot)(ButtonAction.CONTINUE, reply) == STALE
    assert len(bot.model.prompts) == 1


async def test_a_lost_engine_costs_nothing_of_an_answer_that_goes_on(make_bot: MakeBot) -> None:
    def says(prompt: object) -> list[str]:
        if len(model.prompts) == 2:
            raise RuntimeError
        return ["one ", "two"]

    model = FakeModel(says)
    model.ends = "length"
    async with make_bot(model) as bot:
        await bot.say("count")
        said = await bot.say("/continue")
        assert said.startswith("one two\n\n")
        assert [turn.answer for turn in await history(bot)] == ["one two"]
        assert (await bot.say("/continue")).startswith("one twoone two"), "it can still go on"


@pytest.mark.parametrize(
    ("chat", "message", "reply_id"), [(CHAT, "9", 0), (GROUP, "1", 0), (CHAT, "1", 99), (CHAT, "1", -1)]
)
async def test_a_forged_or_foreign_press_changes_nothing(bot: Bot, chat: ChatId, message: str, reply_id: int) -> None:
    reply = await bot.accept("question")
    await outcome(bot, reply)
    press = Press("p", chat, message, 1, ANN, True, "bot", now_ms())
    for action in ButtonAction:
        assert await pressing(bot).presses.act(press, action, reply_id or reply.id) == STALE
    assert len(bot.model.prompts) == 1


async def test_only_the_last_answer_keeps_its_buttons(bot: Bot) -> None:
    first = await bot.accept("one")
    await outcome(bot, first)
    surface = bot.platform.surfaces[first.id + 1] = bot.platform.surfaces[first.id]
    await outcome(bot, await bot.accept("two"))
    async with asyncio.timeout(5):
        while surface.controls["1"] != NO_CONTROLS:
            await asyncio.sleep(0.001)
    assert surface.controls["2"].actions == (ButtonAction.RETRY,)


async def test_refusals_offer_nothing(bot: Bot) -> None:
    reply = await bot.accept("word " * 5000)
    assert await outcome(bot, reply) is State.REFUSED
    assert bot.platform.surfaces[reply.id].controls == {"1": NO_CONTROLS}


# The panel


async def panel(bot: Bot, *, private: bool = True, chat: ChatId = CHAT) -> tuple[Reply, Settings]:
    reply = await bot.accept("/settings", ANN, chat, private=private)
    await outcome(bot, reply)
    settings = bot.platform.surfaces[reply.id].controls["1"].panel
    assert settings is not None
    return reply, settings


async def test_a_panel_changes_settings_and_shows_them(bot: Bot) -> None:
    press = pressing(bot)
    reply, settings = await panel(bot)
    seen = revision(CHAT, settings, "temperature")
    answer, new = await press.presses.change(press.press(reply, ANN), "temperature", "0.6", seen)
    assert answer == Answer("") and new is not None and new.temperature == 0.6
    assert "0.6" in await bot.say("/temp")
    assert revision(CHAT, new, "temperature") != seen
    answer, shown_now = await press.presses.change(press.press(reply, ANN), "temperature", "0.5", seen)
    assert answer == Answer(t("en", "press.changed"), alert=True) and shown_now == new, "a stale panel"
    answer, shown_now = await press.presses.change(press.press(reply, ANN), "temperature", "0.6", seen)
    assert answer == Answer("") and shown_now == new, "tapped twice: it is so already"
    answer, _ = await press.presses.change(press.press(reply, ANN), "memory", "5", revision(CHAT, settings, "memory"))
    assert answer == Answer(""), "another value's button is as good as before"
    assert "0.6" in await bot.say("/temp") and "5" in await bot.say("/memory")


async def test_strangers_may_look_at_a_panel_alone(bot: Bot) -> None:
    press = pressing(bot)
    reply, settings = await panel(bot, private=False, chat=GROUP)
    answer, new = await press.presses.change(
        press.press(reply, BOB), "memory", "5", revision(GROUP, settings, "memory")
    )
    assert answer == Answer(t("vi", "refused.press"), alert=True) and new is None
    bot.platform.admins = {"bob"}
    answer, new = await press.presses.change(
        press.press(reply, BOB), "memory", "5", revision(GROUP, settings, "memory")
    )
    assert answer == Answer("") and new is not None and new.memory == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "2"),
        ("memory", "0"),
        ("max_tokens", "100000"),
        ("system", "evil"),
        ("nope", "1"),
        ("memory", ""),
    ],
)
async def test_forged_values_change_nothing(bot: Bot, name: str, value: str) -> None:
    press = pressing(bot)
    reply, settings = await panel(bot)
    answer, new = await press.presses.change(
        press.press(reply, ANN), name, value, revision(CHAT, settings, name if name in settings.values else "memory")
    )
    assert answer.alert and new is None
    assert (await panel(bot))[1] == settings


async def test_a_panel_of_another_conversation_is_stale(bot: Bot) -> None:
    press = pressing(bot)
    reply, settings = await panel(bot)
    answer, _ = await press.presses.change(press.press(reply, ANN), "memory", "5", revision(GROUP, settings, "memory"))
    assert answer == Answer(t("en", "press.changed"), alert=True)


async def test_the_form_of_a_panel(bot: Bot) -> None:
    """Sets the system prompt, and takes it back when it is emptied; not for everybody, and not over a newer one."""
    press = pressing(bot)
    reply, settings = await panel(bot)
    seen = revision(CHAT, settings, "system")
    answer, new = await press.presses.fill_in(press.press(reply, ANN), "Be brief.", seen)
    assert answer == Answer("") and new is not None and new.system == "Be brief."
    answer, new = await press.presses.fill_in(press.press(reply, ANN), "Be long.", seen)
    assert answer == Answer(t("en", "press.changed"), alert=True) and new is not None and new.system == "Be brief."
    answer, _ = await press.presses.fill_in(press.press(reply, ANN), "x" * 2001, revision(CHAT, new, "system"))
    assert answer.alert and "2000" in answer.text
    answer, new = await press.presses.fill_in(press.press(reply, ANN), "", revision(CHAT, new, "system"))
    assert answer == Answer("") and new == settings


async def test_who_may_open_the_form(bot: Bot) -> None:
    press = pressing(bot)
    reply = await bot.accept("/settings", BOB, GROUP, private=False)
    await outcome(bot, reply)
    assert await press.presses.may_change(press.press(reply, BOB)) == Answer(t("vi", "refused.press"), alert=True)
    bot.platform.admins = {"bob"}
    assert await press.presses.may_change(press.press(reply, BOB)) is None


# Stubs that a crash has left


HERE = ChatId("fake", "1")
STRAY = Press("p", HERE, "9", 0, ANN, True, "bot", 0, text="…")
ASKED = Reply(3, HERE, True, 1, Lane.ANSWER, State.DONE, 1, ANN, "hi", "bot", "m:1", 1, chunks=(Chunk("n", "8"),))


@pytest.mark.parametrize(
    ("press", "reply", "known", "orphan"),
    [
        (STRAY, ASKED, False, True),
        (STRAY, replace(ASKED, chunks=()), False, True),
        (STRAY, replace(ASKED, state=State.GENERATING), False, True),
        (STRAY, replace(ASKED, state=State.FAILED, chunks=(Chunk("n"),)), False, True),
        (STRAY, ASKED, True, False),  # somebody's, or one that is being sent
        (replace(STRAY, message_id="8"), ASKED, False, False),  # the reply's own, whatever became of it
        (replace(STRAY, text="… and so on"), ASKED, False, False),
        (replace(STRAY, text=""), ASKED, False, False),
        (replace(STRAY, text=None), ASKED, False, False),  # somebody else's, or nobody knows
        (replace(STRAY, chat=ChatId("fake", "2")), ASKED, False, False),
        (replace(STRAY, chat=ChatId("fake", "1", "7")), ASKED, False, False),
        (STRAY, replace(ASKED, lane=Lane.NOTICE), False, False),
        (STRAY, None, False, False),
    ],
)
def test_only_a_stub_that_nobody_knows_is_an_orphan(
    press: Press, reply: Reply | None, known: bool, orphan: bool
) -> None:
    assert orphaned(press, reply, known=known) is orphan


async def test_a_stub_that_nobody_knows_goes(make_bot: MakeBot) -> None:
    """By whoever is admitted; and not while an answer there has a message of which nobody knows the id yet."""
    async with make_bot(held(3)) as bot:
        press = pressing(bot)
        asked = await bot.accept("one two three", ANN, GROUP, private=False)
        await shown(bot, asked, "one two")
        stray = replace(press.press(asked, CARL), message_id="777", text="…")
        goes = Answer(t("en", "press.removed"), remove=True)
        assert await press.presses.act(stray, ButtonAction.STOP, asked.id) == goes
        assert await press.presses.act(stray, ButtonAction.RETRY, asked.id) == STALE
        async with bot.store.begin() as tx:
            await tx.messages.add_intent(await tx.replies.get(asked.id), "being-sent")
        assert await press.presses.act(stray, ButtonAction.STOP, asked.id) == STALE
        strict = ButtonActions(bot.store, bot.dispatcher, Access(frozenset({"fake:x"})), RULES, OpenFilter(), now_ms)
        assert not (await strict.act(stray, ButtonAction.STOP, asked.id)).remove
