"""Buttons and menus: the real library against a server that answers as Telegram does."""

import asyncio

import pytest

from core.i18n import t
from tests.bots.telegram_bot.telegram_running import BOT, CONTINUE, RETRY, STOP, running
from tests.fake_clock import FakeClock
from tests.fakes import FakeModel
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.faults import FaultKind
from tests.waiting import until
from tests.watching import held


async def test_the_stop_button(server: BotApi, database: str, ann: Person, bob: Person, group: Chat) -> None:
    async with running(server, database, held(3)) as bot:
        group.say(f"{BOT} one two three four", ann)
        await group.until(lambda chat: chat.texts and chat.last.text == "one two")
        answer = await server.press(bob, group, STOP).answered()
        assert (answer.text, answer.alert) == (t("vi", "stop.others"), True) and bot.model.running == 1
        answer = await server.press(ann, group, STOP).answered()
        assert (answer.text, answer.alert) == ("Stopped.", False)
        shown = await group.ended()
        assert shown.text == f"one two\n\n{t('en', 'mark.stopped')}" and bot.model.running == 0


async def test_retry_and_continue_buttons(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    answers = iter((["first"], ["one ", "two"], [" three"]))
    model = FakeModel(lambda prompt: next(answers))
    async with running(server, database, model):
        private.say("count", ann)
        await private.ended()
        model.ends = "length"
        assert (await server.press(ann, private, RETRY).answered()).text == ""
        await private.until(lambda chat: chat.texts == ["one two"] and chat.last.buttons == [CONTINUE, RETRY])
        model.ends = "stop"
        await server.press(ann, private, CONTINUE).answered()
        await private.until(lambda chat: chat.texts == ["one two three"] and chat.last.buttons == [RETRY])


async def test_only_the_last_answer_keeps_its_buttons(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database):
        for i in range(3):
            private.say(f"q{i}", ann)
            await private.ended(i + 1)
        await private.until(lambda chat: [message.buttons for message in chat.messages] == [[], [], [RETRY]])
        old = server.press(ann, private, data="a:r:1", message=private.messages[0].id)
        assert await old.answered() == await server.press(ann, private, data="junk", message=private.last.id).answered()
        assert private.texts == ["q0", "q1", "q2"]


async def test_the_settings_panel(server: BotApi, database: str, ann: Person, bob: Person, group: Chat) -> None:
    async with running(server, database) as bot:
        group.say("/settings", ann)
        panel = await group.ended()
        assert panel.buttons[:3] == ["− 0.1", "🌡 0.7", "+ 0.1"] and len(panel.keyboard) == 4
        plus = next(button["callback_data"] for button in panel.keyboard[0] if button["text"] == "+ 0.1")
        answer = await server.press(bob, group, "+ 0.1").answered()
        assert (answer.text, answer.alert) == (t("vi", "refused.press"), True)
        assert (await server.press(ann, group, "+ 0.1").answered()).text == ""
        await group.until(lambda chat: chat.last.buttons[1] == "🌡 0.8" and "0.8" in chat.last.text)
        await server.press(ann, group, "1024").answered()
        await server.press(ann, group, "− 1").answered()
        await group.until(lambda chat: "🧠 2" in chat.last.buttons)
        await server.press(ann, group, "+ 0.1").answered()
        answer = await server.press(ann, group, data=plus, message=panel.id).answered()
        assert (answer.text, answer.alert) == (t("en", "press.changed"), True), "a stale panel"
        assert (await server.press(ann, group, "🌡").answered()).text == ""
        group.say(f"{BOT} hi", bob)
        await group.ended(2)
        sampling = bot.model.samplings[-1]
        assert (sampling.temperature, sampling.max_tokens) == (0.9, 1024) and len(group.messages) == 2


async def test_a_press_is_answered_at_once_whatever_the_panel_waits_for(
    server: BotApi, database: str, ann: Person, private: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with running(server, database) as bot:
        private.say("/settings", ann)
        await private.ended()
        clock.pace(bot.service.rate_limiter)
        clock.running.clear()
        bot.service.rate_limiter.hold(f"telegram:{private.id}", 1.5)
        for label in ("+ 0.1", "+ 0.1", "1024", "− 1"):  # tapped twice, and others before the panel could follow
            answer = await server.press(ann, private, label).answered()
            assert (answer.text, answer.alert) == ("", False)
        assert private.last.buttons[1] == "🌡 0.7", "not painted yet"
        clock.running.set()
        await private.until(lambda chat: chat.last.buttons[1] == "🌡 0.8" and "🧠 2" in chat.last.buttons)
        assert len(server.effects("editMessageText", chat=private)) == 1, "painted once"


async def test_a_press_while_the_panel_is_being_painted_is_painted_too(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database):
        private.say("/settings", ann)
        await private.ended()
        gate = asyncio.Event()
        server.fault(FaultKind.SLOW, "editMessageText", gate=gate)
        await server.press(ann, private, "+ 0.1").answered()
        await private.until(lambda chat: not server.faults[0].times)  # the edit is on its way
        await server.press(ann, private, "1024").answered()
        gate.set()
        await private.until(lambda chat: len(server.effects("editMessageText", chat=chat)) == 2)
        assert {"🌡 0.8", "✓ 1024"} <= set(private.last.buttons), "and the later edit came last"


async def test_a_panel_of_another_chat_changes_nothing_here(
    server: BotApi, database: str, ann: Person, private: Chat, group: Chat
) -> None:
    async with running(server, database):
        group.say("/settings", ann)
        foreign = (await group.ended()).keyboard[0][2]["callback_data"]
        private.say("/settings", ann)
        panel = await private.ended()
        assert (await server.press(ann, private, data=foreign, message=panel.id).answered()).alert
        for forged in ("p:t:9:00000000", "p:t:0.9:ffffffff", "a:s:1", "a:c:-1", "x" * 64):
            assert (await server.press(ann, private, data=forged, message=panel.id).answered()).alert
        assert private.last.buttons[1] == "🌡 0.7" and group.last.buttons[1] == "🌡 0.7"


# A stub that a lost connection has left


async def test_a_press_on_a_stub_that_nobody_knows_removes_it(
    server: BotApi, database: str, ann: Person, bob: Person, group: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.fault(FaultKind.ACCEPT_THEN_DROP, "sendMessage", times=2)
    async with running(server, database):
        group.say(f"{BOT} hi", ann)
        await group.until(lambda chat: chat.texts == ["…", "…", "hi"])
        stubs, real = [shown.id for shown in group.messages[:2]], group.last.id
        said = group.say("/whoami", ann)
        await group.until(lambda chat: len(chat.messages) == 4)
        for message in (real, said, group.last.id):
            assert (await server.press(bob, group, data="a:s:1", message=message).answered()).alert
        for forged in ("a:s:99", "a:r:1", "a:s:-1"):
            assert (await server.press(bob, group, data=forged, message=stubs[0]).answered()).alert
        assert len(group.messages) == 4, "nothing is removed that is somebody's"
        answer = await server.press(bob, group, data="a:s:1", message=stubs[0]).answered()
        assert (answer.text, answer.alert) == (t("vi", "press.removed"), False)
        await group.until(lambda chat: chat.texts[:2] == ["…", "hi"])
        server.fault(FaultKind.ERROR, "deleteMessage", code=400, description="Bad Request: message can't be deleted")
        await server.press(ann, group, data="a:s:1", message=stubs[1]).answered()
        await group.until(lambda chat: chat.messages[0].buttons == [] and chat.texts[:2] == ["…", "hi"])
    told = [record.getMessage() for record in caplog.records if "placeholder" in record.getMessage()]
    assert sum("is removed" in line for line in told) == 2 and not any(str(ann.id) in line for line in told)


async def test_a_stub_of_a_notice_can_be_removed(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    """A notice is sent as a placeholder from the second attempt on."""
    server.fault(FaultKind.ACCEPT_THEN_DROP, "sendMessage", times=2)
    async with running(server, database):
        private.say("/lang", ann)
        await private.until(lambda chat: len(chat.texts) == 3 and chat.texts[0] == chat.texts[2])
        assert [message.buttons for message in private.messages] == [[], [STOP], []] and private.texts[1] == "…"
        answer = await server.press(ann, private, STOP).answered()
        assert (answer.text, answer.alert) == (t("en", "press.removed"), False)
        await private.until(lambda chat: len(chat.messages) == 2 and "…" not in chat.texts)


# Menus


async def test_menus_are_sent_when_they_changed(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    for _ in range(2):
        async with running(server, database):
            await until(
                lambda: (
                    len(server.commands) == 6
                    and len(server.profile) == 4
                    and len(server.effects("getMyShortDescription")) == 2
                )
            )
        assert server.changes == 10
        server.ledger.clear()
    names = {scope: [command["command"] for command in menu] for scope, menu in server.commands.items()}
    assert "temp" in names["all_private_chats", ""] and "temp" not in names["all_group_chats", "vi"]
    assert "clear" in names["all_chat_administrators", "vi"]
    assert server.commands["all_private_chats", "vi"][1]["description"] == t("vi", "about.help")
