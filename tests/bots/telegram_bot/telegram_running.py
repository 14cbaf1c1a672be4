"""A whole bot around fakes, in front of a Bot API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from bots.telegram_bot.adapter import TelegramBot
from bots.telegram_bot.button_handler import PressServices
from bots.telegram_bot.timing import TelegramTiming
from core.answering.assistant import Assistant
from core.delivery.rate_limiter import ChatRateLimiter
from core.dispatch.service import ChatService
from core.dispatch.timing import ServiceTiming
from core.domain.conversation import ChatId
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.domain.settings import Settings
from core.domain.store import Store
from core.filters import Filter
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.runtime.retry import Backoff
from core.runtime.supervision import must_not_end
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.bots import settling
from tests.bots.settling import TroubledStore
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, OpenFilter
from tests.platforms.bot_api import BotApi
from tests.waiting import until

BOT = "@qwentin_bot"
RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
QUICK_BACKOFF = Backoff(least_s=0.03, most_s=0.03)
QUICK_SERVICE = ServiceTiming(database_backoff=QUICK_BACKOFF, send_backoff=QUICK_BACKOFF)
QUICK_TIMING = TelegramTiming(
    private_pace=Pace(preview_interval_s=0.02, gap_s=0.01),
    group_pace=Pace(preview_interval_s=0.03, gap_s=0.01, previews_per_minute=15, calls_per_minute=20),
    connection_backoff=QUICK_BACKOFF,
    poll_gap_s=0.06,
    paste_wait_s=0.1,
)
"""Telegram's paces are for Telegram; what keeps to them is tested by its own clock."""


@dataclass
class Running:
    """The bot's inside, for looking at it. What the bot itself stores goes through `trouble`."""

    store: DatabaseStore
    trouble: TroubledStore
    model: FakeModel
    service: ChatService
    telegram: TelegramBot
    consuming: asyncio.Task[None]


def press_services(service: ChatService) -> PressServices:
    """What the adapter's presses need."""
    return PressServices(service.rate_limiter, service.languages, service.buttons.settings)


def lone_services() -> PressServices:
    """What an adapter without a bot behind it is given."""

    async def no_settings(chat: ChatId) -> Settings:
        raise AssertionError("no panel is painted here")

    return PressServices(ChatRateLimiter(), PersonLanguages(cast(Store, None)), no_settings)


@asynccontextmanager
async def running(
    server: BotApi,
    database: str,
    model: FakeModel | None = None,
    *,
    access: Access = EVERYBODY,
    content_filter: Filter | None = None,
    drafts: bool = False,
    rich: bool = False,
    timing: TelegramTiming = QUICK_TIMING,
) -> AsyncIterator[Running]:
    """A bot that polls `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = TroubledStore(store)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        service = ChatService(trouble, assistant, access, now=now_ms, timing=QUICK_SERVICE)
        telegram = TelegramBot(
            server.token, server.url, press_services(service), drafts=drafts, rich=rich, timing=timing
        )
        async with telegram.connected(), service.running():
            await service.serve(telegram)
            consuming = asyncio.create_task(must_not_end("Telegram", lambda: service.events.run(telegram)))
            try:
                yield Running(store, trouble, model, service, telegram, consuming)
            finally:
                consuming.cancel()
                await asyncio.gather(consuming, return_exceptions=True)


def asked(bot: Running) -> list[str]:
    """The questions as the model saw them."""
    return [prompt[-1].content for prompt in bot.model.prompts]


async def settled(bot: Running, server: BotApi) -> None:
    """Return once all that was told is confirmed and dealt with: what has not happened by then does not happen."""
    await until(lambda: not len(server.queue))
    await settling.settled(bot)
