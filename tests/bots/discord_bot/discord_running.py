"""A whole bot around fakes, in front of a Discord server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import discord

from bots.discord_bot.adapter import DiscordBot, Endpoints
from bots.discord_bot.timing import DiscordTiming, IdentifyLimits
from core.answering.assistant import Assistant
from core.commands.button_payloads import ActionPayload, FormPayload, OpenFormPayload, SettingPayload
from core.commands.buttons import Answer, ButtonActions
from core.commands.buttons import Press as JudgedPress
from core.commands.press import Press, PressResult
from core.dispatch.dispatcher import Dispatcher
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.domain.store import Store
from core.filters import Filter
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.event_consumer import EventConsumer
from core.runtime.retry import Backoff
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.fakes import FakeModel, FlakyStore, OpenFilter
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer

RETRY, STOP, CONTINUE = (t("en", f"button.{name}") for name in ("retry", "stop", "continue"))
QUICK = Backoff(0.03, 0.03)
TIMING = DiscordTiming(
    pace=Pace(interval=0.02, gap=0.01),
    connection=QUICK,
    retry=QUICK,
    backfill_pause_s=0.0,
    settled_after_s=0.05,
    identify=IdentifyLimits(least_spacing_ms=20),
)
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


def discord_bot(
    server: DiscordServer, store: Store, *, now: Callable[[], int] = now_ms, timing: DiscordTiming = TIMING
) -> DiscordBot:
    """The adapter for `server`."""
    endpoints = Endpoints(server.api_url, server.gateway_url)
    return DiscordBot(server.token, endpoints, store, PersonLanguages(store), now=now, timing=timing)


@asynccontextmanager
async def running(
    server: DiscordServer,
    database: str,
    model: FakeModel | None = None,
    *,
    access: Access = EVERYBODY,
    content_filter: Filter | None = None,
    now: Callable[[], int] = now_ms,
    timing: DiscordTiming = TIMING,
) -> AsyncIterator[Running]:
    """A bot that is logged in at `server` while the block lasts; a second one on the same database is a restart."""
    model = model or FakeModel()
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = FlakyStore(store)
        discord = discord_bot(server, trouble, now=now, timing=timing)
        assistant = Assistant(trouble, model, RULES, content_filter or OpenFilter())
        dispatcher = Dispatcher(trouble, assistant, {}, access, now=now_ms)
        presses = Presses(ButtonActions(trouble, dispatcher, access, RULES, assistant.filter, now_ms))
        consumer = EventConsumer(dispatcher._intake, presses, Chats(dispatcher), PersonLanguages(trouble), QUICK)
        async with discord.connected(), dispatcher.running():
            await dispatcher.serve(discord)
            before = len(server.identifies)
            working = asyncio.create_task(consumer.run(discord))
            ready = asyncio.create_task(server.ready(before + 1))
            try:
                await asyncio.wait({working, ready}, return_when=asyncio.FIRST_COMPLETED)
                await (working if working.done() else ready)
                yield Running(store, trouble, model, dispatcher, discord, working)
            finally:
                working.cancel()
                ready.cancel()
                await asyncio.gather(working, ready, return_exceptions=True)


class Chats:
    """What the consumer does with whole chats, by the dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def leave(self, platform: str, chat: str) -> None:
        await self._dispatcher.leave(platform, chat)

    async def move(self, platform: str, old: str, new: str) -> None:
        raise AssertionError("Discord's channels keep their ids")

    def settle(self, platform: str) -> None:
        self._dispatcher.settle(platform)


class Presses:
    """What presses do, by ButtonActions with one method for each kind."""

    def __init__(self, actions: ButtonActions) -> None:
        self._actions = actions

    async def press(self, press: Press) -> PressResult:
        judged = JudgedPress(press.id, press.chat, press.message_id, press.seq, press.author, press.private, press.bot,
                             press.at, press.reply_token)  # fmt: skip
        match press.payload:
            case ActionPayload(action, reply):
                return shown(await self._actions.act(judged, action, reply))
            case SettingPayload(name, _, revision):
                answer, settings = await self._actions.change(judged, name, press.value, revision)
                return PressResult(answer.text, answer.alert, panel=settings)
            case FormPayload(revision):
                answer, settings = await self._actions.fill_in(judged, press.value, revision)
                return PressResult(answer.text, answer.alert, panel=settings)
            case OpenFormPayload():
                refused = await self._actions.may_change(judged)
                return shown(refused) if refused else PressResult(form=await self._actions.settings(press.chat))
        return PressResult(t(await self._actions.language(judged), "press.stale"), alert=True)


def shown(answer: Answer) -> PressResult:
    return PressResult(answer.text, answer.alert)


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
