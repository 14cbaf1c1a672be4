"""A whole bot around fakes, in front of a Discord server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import discord

from bots.discord_bot.adapter import DiscordBot, Endpoints
from bots.discord_bot.timing import DiscordTiming, IdentifyLimits
from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.dispatch.timing import ServiceTiming
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.domain.store import Store
from core.filters import Filter
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.runtime.retry import Backoff
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.bots.settling import TroubledStore
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, OpenFilter
from tests.patience import LIMIT_S
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.waiting import until

RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
QUICK = Backoff(0.03, 0.03)
QUICK_SERVICE = ServiceTiming(database_backoff=QUICK, send_backoff=QUICK)
QUICK_DISCORD = DiscordTiming(
    pace=Pace(preview_interval_s=0.02, gap_s=0.01),
    connection=QUICK,
    retry=QUICK,
    backfill_pause_s=0.0,
    settled_after_s=0.05,
    stored_within_s=LIMIT_S,
    form_within_s=LIMIT_S,
    identify=IdentifyLimits(least_spacing_ms=20),
)
"""Discord's pace is for Discord; what keeps to it is tested by its own clock."""


@dataclass
class Running:
    """The bot's inside, for looking at it. What the bot itself stores goes through `trouble`."""

    store: DatabaseStore
    trouble: TroubledStore
    model: FakeModel
    service: ChatService
    discord: DiscordBot
    working: asyncio.Task[None]


def discord_bot(
    server: DiscordServer, store: Store, *, now: Callable[[], int] = now_ms, timing: DiscordTiming = QUICK_DISCORD
) -> DiscordBot:
    """The adapter for `server`."""
    endpoints = Endpoints(server.api_url, server.gateway_url)
    languages = PersonLanguages(store)
    discord = DiscordBot(server.token, endpoints, store, languages, now=now, timing=timing)
    discord._clock._monotonic = server.now  # where the server lets time pass, it passes here too
    return discord


@asynccontextmanager
async def running(
    server: DiscordServer,
    database: str,
    model: FakeModel | None = None,
    *,
    access: Access = EVERYBODY,
    content_filter: Filter | None = None,
    now: Callable[[], int] = now_ms,
    timing: ServiceTiming = QUICK_SERVICE,
    discord_timing: DiscordTiming = QUICK_DISCORD,
) -> AsyncIterator[Running]:
    """A bot that is logged in at `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = TroubledStore(store)
        discord = discord_bot(server, trouble, now=now, timing=discord_timing)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        service = ChatService(trouble, assistant, access, now=now_ms, timing=timing)
        async with discord.connected(), service.running():
            await service.serve(discord)
            before = len(server.identifies)
            working = asyncio.create_task(service.events.run(discord))
            ready = asyncio.create_task(server.ready(before + 1))
            try:
                await asyncio.wait({working, ready}, return_when=asyncio.FIRST_COMPLETED)
                await (working if working.done() else ready)
                yield Running(store, trouble, model, service, discord, working)
            finally:
                working.cancel()
                ready.cancel()
                await asyncio.gather(working, ready, return_exceptions=True)


async def known_guild(bot: Running, guild: Guild) -> discord.Guild:
    """The library's view of it: told of a moment after the login."""
    await until(lambda: bot.discord._client.get_guild(guild.id))
    known = bot.discord._client.get_guild(guild.id)
    assert known is not None
    return known


def asked(bot: Running) -> list[str]:
    """The questions as the model saw them."""
    return [prompt[-1].content for prompt in bot.model.prompts]
