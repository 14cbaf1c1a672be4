"""Discord as a platform and a source of events: log in, publish the commands, receive, send."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import discord
from discord import (
    Interaction,
    LoginFailure,
    Message,
    Permissions,
    RawBulkMessageDeleteEvent,
    RawMessageDeleteEvent,
    RawMessageUpdateEvent,
    Thread,
)
from discord.abc import GuildChannel
from discord.http import Route
from discord.utils import oauth_url

from bots.discord_bot.api import Rest
from bots.discord_bot.backfill import Backfill
from bots.discord_bot.button_handler import ButtonHandler
from bots.discord_bot.channel_order import ChannelOrder
from bots.discord_bot.command_menu import publish
from bots.discord_bot.errors import LIBRARY_ERRORS
from bots.discord_bot.gateway import FATAL_CODES, TOKEN_REFUSED_CODE, Gateway
from bots.discord_bot.identify_limits import IdentifyLimiter
from bots.discord_bot.incoming import PLATFORM
from bots.discord_bot.interaction_token import DeferredResponses
from bots.discord_bot.interactions import Interactions
from bots.discord_bot.message_events import MessageEvents
from bots.discord_bot.outgoing import DiscordReplyChannel
from bots.discord_bot.roles import Members
from bots.discord_bot.timing import DISCORD_TIMING, DiscordTiming
from core.domain.conversation import Author, ChatId, Reply, Role
from core.domain.errors import SetupError
from core.domain.platform import Unacceptable, Unreachable
from core.domain.store import Store
from core.i18n.person_language import PersonLanguages
from core.inbound.events import BotAdded, BotRemoved, Event, Receipt
from core.runtime.platform_clock import PlatformClock
from core.runtime.supervision import logged, must_not_end

log = logging.getLogger(__name__)


def now_ms() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Discord is: the address of its REST API, and that of its gateway."""

    api_url: str
    gateway_url: str


class DiscordBot:
    """See core.inbound.events.Adapter.

    The store keeps what Discord wants of its clients: logins are counted in it, the menu's fingerprint and how far each
    channel was read. `languages` resolves the language of people who are refused before there is an event. `now`: this
    machine's clock, milliseconds UTC.
    """

    name = PLATFORM

    def __init__(
        self,
        token: str,
        endpoints: Endpoints,
        store: Store,
        languages: PersonLanguages,
        *,
        now: Callable[[], int] = now_ms,
        timing: DiscordTiming = DISCORD_TIMING,
    ) -> None:
        Route.BASE = endpoints.api_url.rstrip("/")
        self._secret, self._gateway_url = token, endpoints.gateway_url
        self._store, self._languages, self._now, self._timing = store, languages, now, timing
        self._clock = PlatformClock("Discord", now)
        self._deferred = DeferredResponses()
        self._client = self._new_client()
        self._receiver: Receiver | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send. Waits for the network; raises SetupError for a token that is refused."""
        await self._log_in()
        try:
            log.info("Discord: logged in as %s", self._client.user)
            log.info("Discord: this link takes it into a server: %s", invitation(self._client.application_id or 0))
            yield
        finally:
            await self._client.close()

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens, without end, inside `connected()`. Raises SetupError where Discord will never let
        the bot in, and any other error that ends the connection for good."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        receiving = asyncio.create_task(self._receive(queue))
        receiving.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await receiving  # raises why it has ended
        except BaseExceptionGroup as group:
            raise _first_error(group) from None
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def now(self) -> int:
        """The time by Discord's clock; milliseconds UTC."""
        return self._clock.now()

    def channel(self, reply: Reply) -> DiscordReplyChannel:
        """Where a reply goes."""
        rest, pace, thread = Rest(self._client), self._timing.pace, reply.chat.thread
        place = self._client.get_channel(int(thread)) if thread.isdecimal() else None  # None once it is deleted
        is_public = isinstance(place, Thread) and not place.is_private()
        return DiscordReplyChannel(rest, reply, pace, self._deferred, self._clock.now, public_thread=is_public)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """By the permissions in the channel. Raises Unacceptable for a channel that the bot can't see: that is no
        reason to leave it."""
        try:
            return await Members(self._client).role(chat, author)
        except Unreachable as error:
            raise Unacceptable from error

    def _new_client(self) -> Gateway:
        return Gateway(self._gateway_url, self._handle, self._clock, self._timing)

    def _handle(self, event: str, args: tuple[Any, ...]) -> None:
        if self._receiver is not None:
            self._receiver.handle(event, args)

    async def _log_in(self) -> None:
        for pause in self._timing.connection.pauses():
            try:
                return await self._client.login(self._secret)
            except LoginFailure as error:
                await self._client.close()
                raise SetupError(FATAL_CODES[TOKEN_REFUSED_CODE]) from error
            except LIBRARY_ERRORS as error:
                log.warning("%s can't be reached: %s. Trying again in %.0f s.", Route.BASE, type(error).__name__, pause)
            await self._client.close()
            await asyncio.sleep(pause)
            self._client = self._new_client()

    async def _receive(self, queue: asyncio.Queue[Event | None]) -> None:
        """Connect to the gateway, and put events into the queue. Never returns."""
        client, timing, account = self._client, self._timing, str(self._client.application_id)
        client.identify_limiter = IdentifyLimiter(self._store, PLATFORM, account, self._now, timing.identify)

        async def deliver(event: Event) -> Receipt:
            queue.put_nowait(event)
            return await event.acknowledged()

        async with asyncio.TaskGroup() as tasks:
            messages = MessageEvents(client, deliver, tasks)
            backfill = Backfill(client, self._store, messages, deliver, self._clock.now, timing)
            order = ChannelOrder(messages, backfill, tasks)
            buttons = ButtonHandler(Rest(client), deliver, self._languages, timing.form_within_s)
            interactions = Interactions(
                deliver, order, buttons, self._languages, self._deferred, timing.stored_within_s
            )
            self._receiver = Receiver(order, backfill, interactions, queue.put_nowait, tasks)
            publishing = partial(publish, client, self._store, account, timing.retry)
            tasks.create_task(logged("publishing the commands", publishing))
            tasks.create_task(must_not_end("reading back on Discord", backfill.run))
            await must_not_end("the connection to Discord's gateway", client.connect)


class Receiver:
    """Hands the gateway's events to those who make the core's of them."""

    def __init__(
        self,
        order: ChannelOrder,
        backfill: Backfill,
        interactions: Interactions,
        emit: Callable[[Event], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._order, self._backfill, self._interactions = order, backfill, interactions
        self._emit, self._tasks = emit, tasks

    def handle(self, event: str, args: tuple[Any, ...]) -> None:
        """Take one event, by the library's name, with its arguments. Never waits."""
        match event, args:
            case "interaction", (Interaction() as interaction,):
                self._tasks.create_task(logged("an interaction", partial(self._interactions.handle, interaction)))
            case "connect", _:
                self._backfill.session_began()
            case "ready", _:
                log.info("Discord: ready")
                self._backfill.session_ready()
            case _:
                self._handle_message(event, args)
                self._handle_membership(event, args)

    def _handle_message(self, event: str, args: tuple[Any, ...]) -> None:
        match event, args:
            case "message", (Message() as message,):
                self._order.received(message)
            case "raw_message_edit", (RawMessageUpdateEvent() as edit,):
                self._order.edited(edit.message)
            case "raw_message_delete", (RawMessageDeleteEvent() as deletion,):
                self._order.deleted(deletion.channel_id, [deletion.message_id])
            case "raw_bulk_message_delete", (RawBulkMessageDeleteEvent() as deletion,):
                self._order.deleted(deletion.channel_id, sorted(deletion.message_ids))

    def _handle_membership(self, event: str, args: tuple[Any, ...]) -> None:
        """Every channel of a server is a chat of its own."""
        match event, args:
            case "guild_join", (discord.Guild() as guild,):
                for channel in guild.channels:
                    self._emit(BotAdded(PLATFORM, str(channel.id)))
            case "guild_remove", (discord.Guild() as guild,):
                for channel in guild.channels:
                    self._emit(BotRemoved(PLATFORM, str(channel.id)))
            case "guild_channel_delete", (GuildChannel() as channel,):
                self._emit(BotRemoved(PLATFORM, str(channel.id)))


def invitation(application: int) -> str:
    """The link by which an admin adds the bot to a server, with the permissions that it needs there."""
    needed = Permissions(
        view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True
    )
    return oauth_url(application, permissions=needed, scopes=("bot", "applications.commands"))


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
