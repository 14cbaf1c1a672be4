"""A whole bot around fakes, in front of a Discord server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import discord

from bots.discord_bot.adapter import DiscordBot
from core.answering.assistant import Assistant
from core.commands.buttons import ButtonActions
from core.dispatch.dispatcher import Dispatcher
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.filters import Filter
from core.i18n import t
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, FlakyStore, OpenFilter
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer

RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
QUICK = Pace(interval=0.02, gap=0.01)
"""Discord's pace is for Discord; what keeps to it is tested by its own clock."""


@dataclass
class Running:
    """The bot's inside, for looking at it. What the bot itself stores goes through `trouble`."""

    store: DatabaseStore
    trouble: FlakyStore
    model: FakeModel
    dispatcher: Dispatcher
    discord: DiscordBot
    working: asyncio.Task[None]


@asynccontextmanager
async def running(
    server: DiscordServer,
    database: str,
    model: FakeModel | None = None,
    *,
    access: Access = EVERYBODY,
    content_filter: Filter | None = None,
    pace: Pace = QUICK,
    now: Callable[[], int] = now_ms,
) -> AsyncIterator[Running]:
    """A bot that is logged in at `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    discord = DiscordBot(server.token, server.api_url, server.gateway_url, pace=pace, now=now)
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = FlakyStore(store)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        dispatcher = Dispatcher(trouble, assistant, {}, access, now=now_ms)
        presses = ButtonActions(trouble, dispatcher, access, RULES, assistant.filter, now_ms)
        async with discord.connected(), dispatcher.running():
            await dispatcher.serve(discord)
            before = len(server.identifies)
            working = asyncio.create_task(discord.run(trouble, dispatcher, presses))
            ready = asyncio.create_task(server.ready(before + 1))
            try:
                await asyncio.wait({working, ready}, return_when=asyncio.FIRST_COMPLETED)
                await (working if working.done() else ready)
                yield Running(store, trouble, model, dispatcher, discord, working)
            finally:
                working.cancel()
                ready.cancel()
                await asyncio.gather(working, ready, return_exceptions=True)


async def known_guild(bot: Running, guild: Guild) -> discord.Guild:
    """The library's view of it: told of a moment after the login."""
    async with asyncio.timeout(8):
        while (known := bot.discord._client.get_guild(guild.id)) is None:
            await asyncio.sleep(0.005)
    return known


def asked(bot: Running) -> list[str]:
    """The questions as the model saw them."""
    return [prompt[-1].content for prompt in bot.model.prompts]


async def quiet(seconds: float = 0.25) -> None:
    """Give what should not happen the time to happen."""
    await asyncio.sleep(seconds)
