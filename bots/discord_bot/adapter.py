"""Discord as a whole: log in, publish the commands, take what comes in, show what goes out."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import discord
from discord import Interaction, LoginFailure, Message, Permissions, RawMessageUpdateEvent, Thread
from discord.abc import GuildChannel
from discord.http import Route
from discord.utils import oauth_url

from bots.discord_bot.api import Rest, payload
from bots.discord_bot.button_handler import Buttons
from bots.discord_bot.channel_order import Inlet
from bots.discord_bot.command_menu import publish
from bots.discord_bot.errors import FAILURES
from bots.discord_bot.gateway import TOLD, Gateway
from bots.discord_bot.identify_limits import Identifies
from bots.discord_bot.incoming import PLATFORM
from bots.discord_bot.interactions import Interactions
from bots.discord_bot.outgoing import PACE, DiscordReplyChannel
from bots.discord_bot.roles import Members
from core.commands.buttons import ButtonActions
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.errors import SetupError
from core.domain.permissions import Access
from core.domain.platform import Pace, Unacceptable, Unreachable
from core.domain.store import Store
from core.i18n import choose_language, t
from core.runtime.supervision import logged, must_not_end

log = logging.getLogger(__name__)


class Desk(Protocol):
    """What Discord needs of the dispatcher."""

    access: Access

    async def accept(self, incoming: Incoming) -> Reply | None: ...
    async def amend(self, incoming: Incoming) -> None: ...
    def settle(self, platform: str) -> None: ...
    async def leave(self, platform: str, chat: str) -> None: ...


def now_ms() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


class DiscordBot:
    """See core.domain.platform.Platform. Works inside `connected()`."""

    name = PLATFORM

    def __init__(
        self, token: str, api_url: str, gateway_url: str, *, pace: Pace = PACE, now: Callable[[], int] = now_ms
    ) -> None:
        Route.BASE = api_url.rstrip("/")
        self._token, self._gateway_url, self._pace, self._now = token, gateway_url, pace, now
        self._client = Gateway(gateway_url, self._heard)
        self._listening: Listening | None = None
        self._promised: dict[int, asyncio.Event] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send. Waits for the network; raises SetupError for a token that is refused."""
        await self._until_known()
        try:
            log.info("Discord: logged in as %s", self._client.user)
            log.info("Discord: this link takes it into a server: %s", invitation(self._client.application_id or 0))
            yield
        finally:
            await self._client.close()

    def channel(self, reply: Reply) -> DiscordReplyChannel:
        """Where a reply goes."""
        return DiscordReplyChannel(Rest(self._client), reply, self._pace, self._promised, self._now)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """By the permissions in the channel. One that the bot can't see is no reason to leave it."""
        try:
            return await Members(self._client).role(chat, author)
        except Unreachable as error:
            raise Unacceptable from error

    async def run(self, store: Store, desk: Desk, presses: ButtonActions) -> None:
        """Take what comes in, for ever."""
        account = str(self._client.application_id)
        self._client.identifies = Identifies(store, PLATFORM, account, self._now)
        interactions = Interactions(desk, Buttons(Rest(self._client), presses), self._promised)
        async with asyncio.TaskGroup() as tasks:

            def answerable(message: Message, incoming: Incoming, live: bool) -> bool:
                if may_write(message):
                    return True
                if live and desk.access.admits(incoming.chat, incoming.author):
                    telling = partial(self._tell_of_no_way, message, incoming)
                    tasks.create_task(logged("saying that no answer is possible", telling))
                return False

            inlet = Inlet(self._client, store, desk, tasks, answerable, self._now)
            self._listening = Listening(tasks, inlet, interactions, desk)
            tasks.create_task(logged("publishing the commands", partial(publish, self._client, store, account)))
            tasks.create_task(must_not_end("reading back on Discord", inlet.run))
            await must_not_end("the connection to Discord's gateway", self._client.connect)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if self._listening is not None:
            self._listening.hear(event, args)

    async def _tell_of_no_way(self, message: Message, incoming: Incoming) -> None:
        """A person who asks where the bot may not write is told so in private, where that is possible."""
        text = t(choose_language("auto", incoming.author.locale), "discord.closed", channel=f"<#{message.channel.id}>")
        log.info("Discord: the bot may not write in %s; who asks it there is told so in private", incoming.chat)
        rest = Rest(self._client)
        try:
            await rest.create(await rest.direct(message.author.id), payload(text, None, nonce=f"c-{message.id}"))
        except Exception as error:
            log.info("Discord: nor can that be told: %s", type(error).__name__)

    async def _until_known(self) -> None:
        pause = 1.0
        while True:
            try:
                return await self._client.login(self._token)
            except LoginFailure as error:
                await self._client.close()
                raise SetupError(TOLD[4004]) from error
            except FAILURES as error:
                log.warning("%s can't be reached: %s. Trying again in %.0f s.", Route.BASE, type(error).__name__, pause)
            await self._client.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 30.0)
            self._client = Gateway(self._gateway_url, self._heard)


def invitation(application: int) -> str:
    """Where an admin takes the bot into his server, with what it needs there."""
    needed = Permissions(
        view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True
    )
    return oauth_url(application, permissions=needed, scopes=("bot", "applications.commands"))


def may_write(message: Message) -> bool:
    """Whether the bot can answer where that was said."""
    channel, me = message.channel, message.guild.me if message.guild else None
    thread = isinstance(channel, Thread)
    place = channel.parent if isinstance(channel, Thread) else channel
    if me is None or not isinstance(place, GuildChannel):
        return True  # private messages; or nobody knows, and it is tried
    may = place.permissions_for(me)
    if isinstance(channel, Thread) and channel.locked and not may.manage_threads:
        return False
    return may.view_channel and (may.send_messages_in_threads if thread else may.send_messages)


class Listening:
    """What happens with events while the bot runs."""

    def __init__(self, tasks: asyncio.TaskGroup, inlet: Inlet, interactions: Interactions, desk: Desk) -> None:
        self._tasks, self._inlet, self._interactions, self._desk = tasks, inlet, interactions, desk

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """One event. Never waits."""
        match event, args:
            case "message", (Message() as message,):
                self._inlet.take(message)
            case "interaction", (Interaction() as interaction,):
                self._tasks.create_task(logged("an interaction", partial(self._interactions.take, interaction)))
            case "raw_message_edit", (RawMessageUpdateEvent() as edit,):
                self._inlet.amend(edit.message)
            case "connect", _:
                self._inlet.logged_in()
            case "ready", _:
                log.info("Discord: ready")
                self._inlet.settled()
            case _:
                for channel in gone(event, args):
                    self._tasks.create_task(self._leave(channel))

    async def _leave(self, channel: int) -> None:
        try:
            await self._desk.leave(PLATFORM, str(channel))
        except Exception as error:
            log.error("channel %s can't be marked as left: %s", channel, type(error).__name__)


def gone(event: str, args: tuple[Any, ...]) -> Sequence[int]:
    """The channels that are no more, or not for the bot, after an event."""
    match event, args:
        case "guild_channel_delete", (GuildChannel() as channel,):
            return [channel.id]
        case "guild_remove", (discord.Guild() as guild,):
            return [channel.id for channel in guild.channels]
    return []
