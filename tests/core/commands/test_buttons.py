"""Buttons: what a press does, and what a forged, stale or foreign one does not."""

import asyncio
from dataclasses import replace

import pytest

from core.commands import buttons
from core.commands.button_payloads import (
    ActionPayload,
    ButtonPayload,
    InertPayload,
    OpenFormPayload,
    QuestionFormPayload,
)
from core.commands.buttons import is_unknown_placeholder
from core.commands.press import NO_RESULT, Press, PressResult
from core.commands.settings_view import setting_revision
from core.domain.conversation import Author, ChatId, Chunk, Reply, Role
from core.domain.platform import NO_CONTROLS, ButtonAction, ChatIdChanged, NotSent, Unreachable
from core.domain.reply_states import Lane, State
from core.domain.settings import Settings
from core.i18n import t
from storage.store import now_ms
from tests.conftest import RULES, Bot, MakeBot
from tests.core.commands.pressing import Pressing
from tests.fakes import ANN, BOB, CHAT, FakeModel, WordFilter
from tests.tables import each_row
from tests.watching import held, history, idle, outcome, shown

GROUP = ChatId("fake", "group")
CARL = Author("carl", "Carl")


def refusal(key: str, language: str = "en") -> PressResult:
    return PressResult(t(language, key), alert=True)


STALE = refusal("press.stale")
STOPPED = PressResult("Stopped.")


# Stop


async def test_stop_stops(make_bot: MakeBot) -> None:
    async with make_bot(held(2)) as bot:
        press = Pressing(bot)
        reply = await bot.accept("one two three")
        await shown(bot, reply, "one two")
        assert await press(ButtonAction.STOP, reply) == STOPPED
        assert await outcome(bot, reply) is State.STOPPED
        assert await press(ButtonAction.STOP, reply) == refusal("stop.nothing")


async def test_only_the_asker_and_admins_may_stop(make_bot: MakeBot) -> None:
    async with make_bot(held(3)) as bot:
        press = Pressing(bot)
        reply = await bot.accept("one two three", ANN, GROUP, private=False)
        await shown(bot, reply, "one two")
        assert await press(ButtonAction.STOP, reply, CARL) == refusal("stop.others")
        for failure in (NotSent(), Unreachable(), ChatIdChanged("2")):
            bot.platform.fails = failure
            assert await press(ButtonAction.STOP, reply, CARL) == refusal("error.role")
        assert bot.model.running == 1
        bot.platform.fails, bot.platform.admins = None, {"carl"}
        assert await press(ButtonAction.STOP, reply, CARL) == STOPPED


# Retry and continue


async def test_retry_answers_again_in_the_same_message(make_bot: MakeBot) -> None:
    answers = iter((["first"], ["second"]))
    async with make_bot(FakeModel(lambda prompt: next(answers))) as bot:
        press = Pressing(bot)
        reply = await bot.accept("question")
        await outcome(bot, reply)
        surface = bot.platform.channels[reply.id]
        assert surface.controls["1"].actions == (ButtonAction.RETRY,)
        bot.platform.channels[reply.id + 1] = surface
        assert await press(ButtonAction.RETRY, reply) == NO_RESULT
        await surface.until(lambda: surface.messages == {"1": "second"})


async def test_a_press_that_comes_twice_counts_once(bot: Bot) -> None:
    presses = Pressing(bot)
    reply = await bot.accept("question")
    await outcome(bot, reply)
    press = presses.press(ActionPayload(ButtonAction.RETRY, reply.id), reply, ANN)
    bot.platform.channels[reply.id + 1] = bot.platform.channels[reply.id]
    for _ in range(2):
        await presses.send(press)
    await bot.model.until(lambda: len(bot.model.prompts) >= 2)
    await idle(bot)
    assert len(bot.model.prompts) == 2


async def test_only_the_last_answer_may_be_retried(bot: Bot) -> None:
    press = Pressing(bot)
    first = await bot.accept("one", ANN, GROUP, private=False)
    second = await bot.accept("two", ANN, GROUP, private=False)
    await outcome(bot, first), await outcome(bot, second)
    assert await press(ButtonAction.RETRY, first) == STALE
    assert await press(ButtonAction.RETRY, second, CARL) == refusal("retry.others")
    assert len(bot.model.prompts) == 2


async def test_an_answer_that_was_cut_goes_on_in_its_message(make_bot: MakeBot) -> None:
    answers = iter((["one ", "two"], [" three ", "four"]))
    model = FakeModel(lambda prompt: next(answers))
    model.ends = "length"
    async with make_bot(model) as bot:
        press = Pressing(bot)
        reply = await bot.accept("count")
        await outcome(bot, reply)
        surface = bot.platform.channels[reply.id]
        assert list(surface.controls["1"].actions) == [ButtonAction.CONTINUE, ButtonAction.RETRY]
        model.ends = "stop"
        bot.platform.channels[reply.id + 1] = surface
        assert await press(ButtonAction.CONTINUE, reply) == NO_RESULT
        await surface.until(
            lambda: (
                surface.messages["1"] == "one two three four"
                and [*surface.controls["1"].actions] == [ButtonAction.RETRY]
            )
        )
        assert [message.content for message in model.prompts[-1][1:]] == ["count", "one two"]
        assert [turn.answer for turn in await history(bot)] == ["one two three four"]
        assert await bot.say("/continue") == t("en", "continue.nothing")


async def test_what_is_not_cut_is_not_continued_whatever_a_button_says(bot: Bot) -> None:
    reply = await bot.accept("question")
    await outcome(bot, reply)
    assert await Pressing(bot)(ButtonAction.CONTINUE, reply) == STALE
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


PRESSED = [(CHAT, "9", 0), (GROUP, "1", 0), (CHAT, "1", 99), (CHAT, "1", -1)]


@pytest.mark.parametrize(
    ("chat", "message", "reply_id"),
    [pytest.param(*each, marks=pytest.mark.slow if each[2] else ()) for each in PRESSED],
)
async def test_a_forged_or_foreign_press_changes_nothing(bot: Bot, chat: ChatId, message: str, reply_id: int) -> None:
    reply = await bot.accept("question")
    await outcome(bot, reply)
    for action in ButtonAction:
        press = Press("p", chat, message, ANN, True, "bot", now_ms(), ActionPayload(action, reply_id or reply.id))
        assert await Pressing(bot).send(press) == STALE
    assert len(bot.model.prompts) == 1


async def test_only_the_last_answer_keeps_its_buttons(bot: Bot) -> None:
    first = await bot.accept("one")
    await outcome(bot, first)
    surface = bot.platform.channels[first.id + 1] = bot.platform.channels[first.id]
    await outcome(bot, await bot.accept("two"))
    await surface.until(lambda: surface.controls["1"] == NO_CONTROLS)
    assert surface.controls["2"].actions == (ButtonAction.RETRY,)


async def test_refusals_offer_nothing(bot: Bot) -> None:
    reply = await bot.accept("word " * 5000)
    assert await outcome(bot, reply) is State.REFUSED
    assert bot.platform.channels[reply.id].controls == {"1": NO_CONTROLS}


# The panel


async def panel(bot: Bot, *, private: bool = True, chat: ChatId = CHAT) -> tuple[Reply, Settings]:
    reply = await bot.accept("/settings", ANN, chat, private=private)
    await outcome(bot, reply)
    settings = bot.platform.channels[reply.id].controls["1"].panel
    assert settings is not None
    return reply, settings


def revision(reply: Reply, settings: Settings, name: str) -> str:
    return setting_revision(reply.chat, settings, name)


async def test_a_panel_changes_settings_and_shows_them(bot: Bot) -> None:
    press = Pressing(bot)
    reply, settings = await panel(bot)
    old = revision(reply, settings, "temperature")
    result = await press.set(reply, ANN, "temperature", "0.6", old)
    new = result.panel
    assert result == PressResult(panel=new) and new is not None and new.temperature == 0.6
    assert "0.6" in await bot.say("/temp")
    assert revision(reply, new, "temperature") != old
    stale = await press.set(reply, ANN, "temperature", "0.5", old)
    assert stale == PressResult(t("en", "press.changed"), alert=True, panel=new), "a stale panel"
    assert await press.set(reply, ANN, "temperature", "0.6", old) == PressResult(panel=new), "tapped twice: it is so"
    result = await press.choose(reply, ANN, "memory", "5", revision(reply, settings, "memory"))
    assert result.panel and result == PressResult(panel=result.panel), "another value's button is as good as before"
    assert result.panel.memory == 5 and result.panel.temperature == 0.6
    assert "0.6" in await bot.say("/temp") and "5" in await bot.say("/memory")


async def test_a_panel_resets(bot: Bot) -> None:
    press = Pressing(bot)
    reply, settings = await panel(bot)
    result = await press.set(reply, ANN, "memory", "5", revision(reply, settings, "memory"))
    assert result.panel and result.panel.memory == 5
    result = await press.set(reply, ANN, "memory", "reset", revision(reply, result.panel, "memory"))
    assert result == PressResult(panel=settings)


async def test_what_the_owner_caps_is_told(make_bot: MakeBot) -> None:
    async with make_bot(rules=replace(RULES, caps={"memory": 4.0})) as bot:
        reply, settings = await panel(bot)
        result = await Pressing(bot).set(reply, ANN, "memory", "5", revision(reply, settings, "memory"))
        assert result.text == t("en", "press.clamped") and not result.alert
        assert result.panel and result.panel.memory == 4


async def test_a_blocked_prompt_is_not_set(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=WordFilter("evil")) as bot:
        reply, settings = await panel(bot)
        result = await Pressing(bot).fill_in(reply, ANN, "be evil", revision(reply, settings, "system"))
        assert result == refusal("blocked.setting")
        assert (await panel(bot))[1] == settings


async def test_strangers_may_look_at_a_panel_alone(bot: Bot) -> None:
    press = Pressing(bot)
    reply, settings = await panel(bot, private=False, chat=GROUP)
    memory = revision(reply, settings, "memory")
    assert await press.set(reply, BOB, "memory", "5", memory) == refusal("refused.press", "vi")
    bot.platform.admins = {"bob"}
    result = await press.set(reply, BOB, "memory", "5", memory)
    assert not result.text and result.panel is not None and result.panel.memory == 5


@each_row(
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
    reply, settings = await panel(bot)
    shown_name = name if name in settings.values else "memory"
    result = await Pressing(bot).set(reply, ANN, name, value, revision(reply, settings, shown_name))
    assert result.alert and result.panel is None
    assert (await panel(bot))[1] == settings


@each_row("payload", [None, QuestionFormPayload(1)])
async def test_what_is_no_button_of_ours_is_stale(bot: Bot, payload: ButtonPayload | None) -> None:
    press, (reply, _) = Pressing(bot), await panel(bot)
    assert await press.send(press.press(payload, reply, ANN)) == STALE


async def test_an_inert_button_does_nothing(bot: Bot) -> None:
    press, (reply, _) = Pressing(bot), await panel(bot)
    assert await press.send(press.press(InertPayload(), reply, ANN)) == NO_RESULT


async def test_a_panel_of_another_conversation_is_stale(bot: Bot) -> None:
    reply, settings = await panel(bot)
    result = await Pressing(bot).set(reply, ANN, "memory", "5", setting_revision(GROUP, settings, "memory"))
    assert result == PressResult(t("en", "press.changed"), alert=True, panel=settings)


async def test_the_form_of_a_panel(bot: Bot) -> None:
    """Sets the system prompt, and takes it back when it is emptied; not for everybody, and not over a newer one."""
    press = Pressing(bot)
    reply, settings = await panel(bot)
    old = revision(reply, settings, "system")
    result = await press.fill_in(reply, ANN, "Be brief.", old)
    new = result.panel
    assert not result.text and new is not None and new.system == "Be brief."
    stale = await press.fill_in(reply, ANN, "Be long.", old)
    assert stale == PressResult(t("en", "press.changed"), alert=True, panel=new)
    result = await press.fill_in(reply, ANN, "x" * 2001, revision(reply, new, "system"))
    assert result.alert and "2000" in result.text
    assert await press.fill_in(reply, ANN, "", revision(reply, new, "system")) == PressResult(panel=settings)


async def test_who_may_open_the_form(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    press = Pressing(bot)
    reply, settings = await panel(bot, private=False, chat=GROUP)
    opening = press.press(OpenFormPayload(revision(reply, settings, "system")), reply, BOB)
    assert await press.send(opening) == refusal("refused.press", "vi")
    bot.platform.admins = {"bob"}
    assert await press.send(opening) == PressResult(form=settings)
    bot.platform.admins = set()
    monkeypatch.setattr(buttons, "FORM_ROLE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(bot.platform, "role", never)
    assert await press.send(opening) == PressResult(form=settings), "judged once it is filled in"


async def never(chat: ChatId, author: Author) -> Role:
    await asyncio.Event().wait()
    raise AssertionError


# Placeholders that a crash has left


HERE = ChatId("fake", "1")
STRAY = Press("p", HERE, "9", ANN, True, "bot", 0, ActionPayload(ButtonAction.STOP, 3), message_text="…")
ASKED = Reply(3, HERE, True, 1, Lane.ANSWER, State.DONE, 1, ANN, "hi", "bot", "m:1", 1, chunks=(Chunk("n", "8"),))


@each_row(
    ("press", "reply", "may_be_known", "is_unknown"),
    [
        (STRAY, ASKED, False, True),
        (STRAY, replace(ASKED, chunks=()), False, True),
        (STRAY, replace(ASKED, state=State.GENERATING), False, True),
        (STRAY, replace(ASKED, state=State.FAILED, chunks=(Chunk("n"),)), False, True),
        (STRAY, ASKED, True, False),  # somebody's, or one that is being sent
        (replace(STRAY, message_id="8"), ASKED, False, False),  # the reply's own, whatever became of it
        (replace(STRAY, message_text="… and so on"), ASKED, False, False),
        (replace(STRAY, message_text=""), ASKED, False, False),
        (replace(STRAY, message_text=None), ASKED, False, False),  # somebody else's, or nobody knows
        (replace(STRAY, chat=ChatId("fake", "2")), ASKED, False, False),
        (replace(STRAY, chat=ChatId("fake", "1", "7")), ASKED, False, False),
        (STRAY, replace(ASKED, chat=ChatId("fake", "1", "7")), False, True),  # its thread is closed
        (STRAY, replace(ASKED, lane=Lane.NOTICE), False, True),  # a notice's that was sent again
        (STRAY, None, False, False),
    ],
)
def test_only_a_placeholder_that_nobody_knows_is_unknown(
    press: Press, reply: Reply | None, may_be_known: bool, is_unknown: bool
) -> None:
    assert is_unknown_placeholder(press, reply, may_be_known=may_be_known) is is_unknown


async def test_a_placeholder_that_nobody_knows_goes(make_bot: MakeBot) -> None:
    """Whoever presses; and not while an answer there has a message of which nobody knows the id yet."""
    async with make_bot(held(3)) as bot:
        press = Pressing(bot)
        asked = await bot.accept("one two three", ANN, GROUP, private=False)
        await shown(bot, asked, "one two")
        stray = press.press(ActionPayload(ButtonAction.STOP, asked.id), asked, CARL)
        stray = replace(stray, message_id="777", message_text="…")
        assert await press.send(stray) == PressResult(t("en", "press.removed"), remove_message=True)
        assert await press.send(replace(stray, payload=ActionPayload(ButtonAction.RETRY, asked.id))) == STALE
        async with bot.store.begin() as tx:
            await tx.messages.add_intent(await tx.replies.get(asked.id), "being-sent")
        assert await press.send(stray) == STALE
