"""Presses that come twice or too late, and texts that no button of ours carries."""

import asyncio
from dataclasses import replace

import pytest

from core.commands.button_payloads import ActionPayload, decode_payload
from core.commands.buttons import ButtonActions
from core.commands.press import NO_RESULT, PressResult
from core.domain.conversation import Incoming
from core.domain.platform import ButtonAction
from core.domain.store import Unavailable
from core.i18n import t
from tests.conftest import Bot, MakeBot
from tests.core.commands.pressing import Pressing
from tests.fakes import ANN, FakeModel
from tests.tables import each_row
from tests.watching import outcome, running

STALE = PressResult(t("en", "press.stale"), alert=True)


@pytest.mark.slow
async def test_a_second_tap_counts_no_more_while_the_first_waits(bot: Bot) -> None:
    accepted = list[Incoming]()

    async def accept(incoming: Incoming) -> None:
        accepted.append(incoming)

    reply = await bot.accept("question")
    await outcome(bot, reply)
    actions = ButtonActions(bot.service.buttons._services, accept)
    press = Pressing(bot).press(ActionPayload(ButtonAction.RETRY, reply.id), reply, ANN)
    assert await actions.press(press, "en") == NO_RESULT
    assert await actions.press(replace(press, id="another"), "en") == STALE
    assert [incoming.text for incoming in accepted] == ["/retry"]


@pytest.mark.slow
async def test_of_two_taps_at_once_the_second_counts_no_more(bot: Bot) -> None:
    accepted, failures, gate = list[Incoming](), [Unavailable()], asyncio.Event()

    async def accept(incoming: Incoming) -> None:
        await gate.wait()
        if failures:
            raise failures.pop()
        accepted.append(incoming)

    reply = await bot.accept("question")
    await outcome(bot, reply)
    actions = ButtonActions(bot.service.buttons._services, accept)
    press = Pressing(bot).press(ActionPayload(ButtonAction.RETRY, reply.id), reply, ANN)
    first = asyncio.create_task(actions.press(press, "en"))
    second = asyncio.create_task(actions.press(replace(press, id="another"), "en"))
    assert await second == STALE
    gate.set()
    assert await first == PressResult(t("en", "error.busy"), alert=True)
    assert await actions.press(replace(press, id="again"), "en") == NO_RESULT
    assert [incoming.text for incoming in accepted] == ["/retry"]


@pytest.mark.slow
async def test_nothing_is_repeated_while_an_answer_is_open(make_bot: MakeBot) -> None:
    model = FakeModel()
    async with make_bot(model) as bot:
        press = Pressing(bot)
        first = await bot.accept("one")
        await outcome(bot, first)
        model.gate = asyncio.Semaphore(0)
        await bot.accept("two")
        await running(bot)
        for action in (ButtonAction.RETRY, ButtonAction.CONTINUE):
            assert await press(action, first) == STALE
        assert len(model.prompts) == 2


@pytest.mark.slow
@each_row("text", [
    "", "n1", "a:s:", "a:s:1x", "a:x:1", "a:s:-1", "a:s:١", f"a:s:{'1' * 19}", "xa:s:1", "a:s:1\n",
    "p:t:0123456", "p:t:0.5:012345678", "p:z:0.5:01234567", "p:t:0.5 :01234567", "p:t:0.5:0123456G",
    "o:0123456", "o:012345678", "f:012345678", "x:01234567", "q:", "q:1x", f"q:{'1' * 21}",
])  # fmt: skip
def test_what_no_button_of_ours_carries(text: str) -> None:
    assert decode_payload(text) is None
