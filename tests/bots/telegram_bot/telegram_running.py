"""A whole bot around fakes, in front of a Bot API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bots.telegram_bot.adapter import TelegramBot
from bots.telegram_bot.outgoing import Paces
from bots.telegram_bot.timing import TelegramTiming
from core.answering.assistant import Assistant
from core.commands import buttons
from core.commands.button_payloads import ActionPayload, InertPayload, SettingPayload
from core.commands.buttons import ButtonActions
from core.commands.press import NO_RESULT, Press, PressResult
from core.delivery.rate_limiter import ChatRateLimiter
from core.dispatch.dispatcher import Dispatcher
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.domain.store import Store
from core.filters import Filter
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.event_consumer import EventConsumer
from core.runtime.retry import Backoff
from core.runtime.supervision import must_not_end
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, FlakyStore, OpenFilter
from tests.platforms.bot_api import BotApi

BOT = "@qwentin_bot"
RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
QUICK = Paces(Pace(interval=0.02, gap=0.01), Pace(interval=0.03, gap=0.01, previews=15, calls=20))
"""Telegram's paces are for Telegram; what keeps to them is tested by its own clock."""
QUICK_BACKOFF = Backoff(least_s=0.03, most_s=0.03)
QUICK_TIMING = TelegramTiming(connection_backoff=QUICK_BACKOFF)


@dataclass
class Running:
    """The bot's inside, for looking at it. What the bot itself stores goes through `trouble`."""

    store: DatabaseStore
    trouble: FlakyStore
    model: FakeModel
    rate_limiter: ChatRateLimiter
    telegram: TelegramBot
    consuming: asyncio.Task[None]


class _Core:
    """What the event consumer needs of the rest of the core, by the dispatcher and the buttons as they are now."""

    def __init__(self, store: Store, dispatcher: Dispatcher, actions: ButtonActions) -> None:
        self._store, self._dispatcher, self._actions = store, dispatcher, actions
        self.settle = dispatcher.settle
        self.leave = dispatcher.leave

    async def move(self, platform: str, old: str, new: str) -> None:
        async with self._store.begin() as tx:
            await tx.chats.change_id(platform, old, new)

    async def press(self, press: Press) -> PressResult:
        old = buttons.Press(
            press.id,
            press.chat,
            press.message_id,
            press.seq,
            press.author,
            press.private,
            press.bot,
            press.at,
            text=press.message_text,
        )
        match press.payload:
            case InertPayload():
                return NO_RESULT
            case ActionPayload(action, reply_id):
                answer, panel = await self._actions.act(old, action, reply_id), None
            case SettingPayload(name, value, revision):
                answer, panel = await self._actions.change(old, name, value, revision)
            case _:
                return PressResult(t(await self._actions.language(old), "press.stale"), alert=True)
        return PressResult(answer.text, answer.alert, answer.remove, panel)


@asynccontextmanager
async def running(
    server: BotApi,
    database: str,
    model: FakeModel | None = None,
    *,
    access: Access = EVERYBODY,
    content_filter: Filter | None = None,
    drafts: bool = False,
    paces: Paces = QUICK,
    timing: TelegramTiming = QUICK_TIMING,
) -> AsyncIterator[Running]:
    """A bot that polls `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = FlakyStore(store)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        dispatcher = Dispatcher(trouble, assistant, {}, access, now=now_ms)
        core = _Core(trouble, dispatcher, ButtonActions(trouble, dispatcher, access, RULES, assistant.filter, now_ms))
        consumer = EventConsumer(dispatcher._intake, core, core, PersonLanguages(trouble), QUICK_BACKOFF)
        telegram = TelegramBot(server.token, server.url, dispatcher.rate, drafts=drafts, paces=paces, timing=timing)
        async with telegram.connected(), dispatcher.running():
            await dispatcher.serve(telegram)
            consuming = asyncio.create_task(must_not_end("Telegram", lambda: consumer.run(telegram)))
            try:
                yield Running(store, trouble, model, dispatcher.rate, telegram, consuming)
            finally:
                consuming.cancel()
                await asyncio.gather(consuming, return_exceptions=True)


def asked(bot: Running) -> list[str]:
    """The questions as the model saw them."""
    return [prompt[-1].content for prompt in bot.model.prompts]


async def quiet(bot: Running, server: BotApi, seconds: float = 0.15) -> None:
    """Give what should not happen the time to happen."""
    before = len(server.queue.polls)
    async with asyncio.timeout(8):
        while len(server.queue) or len(server.queue.polls) == before:
            await asyncio.sleep(0.005)
            before = min(before, len(server.queue.polls) - 1)
    await asyncio.sleep(seconds)
