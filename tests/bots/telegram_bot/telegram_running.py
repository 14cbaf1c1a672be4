"""A whole bot around fakes, in front of a Bot API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bots.desk import ServiceDesk
from bots.telegram_bot.adapter import TelegramBot
from bots.telegram_bot.outgoing import Paces
from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.dispatch.timing import ServiceTiming
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.filters import Filter
from core.i18n import t
from core.runtime.retry import Backoff
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, FlakyStore, OpenFilter
from tests.platforms.bot_api import BotApi

BOT = "@qwentin_bot"
RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
TIMING = ServiceTiming(send_backoff=Backoff(0.03, 0.03))
QUICK = Paces(Pace(interval=0.02, gap=0.01), Pace(interval=0.03, gap=0.01, previews=15, calls=20))
"""Telegram's paces are for Telegram; what keeps to them is tested by its own clock."""


@dataclass
class Running:
    """The bot's inside, for looking at it. What the bot itself stores goes through `trouble`."""

    store: DatabaseStore
    trouble: FlakyStore
    model: FakeModel
    service: ChatService
    telegram: TelegramBot
    polling: asyncio.Task[None]


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
    timing: ServiceTiming = TIMING,
) -> AsyncIterator[Running]:
    """A bot that polls `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    telegram = TelegramBot(server.token, server.url, drafts=drafts, paces=paces)
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = FlakyStore(store)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        service = ChatService(trouble, assistant, access, now=now_ms, timing=timing)
        async with telegram.connected(), service.running():
            await service.serve(telegram)
            service.settle(telegram.name)
            polling = asyncio.create_task(telegram.run(trouble, ServiceDesk(service, access), service.buttons))
            try:
                yield Running(store, trouble, model, service, telegram, polling)
            finally:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)


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
