"""Telegram as a whole: connect, publish the menus, take what comes in, show what goes out."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from telegram import Bot, Update
from telegram.error import InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from bots.telegram_bot.button_handler import Buttons
from bots.telegram_bot.command_menu import publish
from bots.telegram_bot.decoding import parse_safely
from bots.telegram_bot.incoming import PLATFORM, Edited, Me, Membership, Moved, Press, Read
from bots.telegram_bot.long_polling import Poller, refused
from bots.telegram_bot.outgoing import Paces, TelegramReplyChannel
from bots.telegram_bot.roles import Members
from core.commands.buttons import ButtonActions
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.store import Store
from core.inbound.storing import store_with_retry
from core.runtime.supervision import logged, must_not_end

log = logging.getLogger(__name__)

PACES = Paces()
SEND_TIMEOUT = 30.0
"""Seconds: the library's five would call many a slow send ambiguous."""
JOINED = 1000
"""Questions made of several messages that are remembered, for when one of their messages is edited."""


class Desk(Protocol):
    """What Telegram needs of the dispatcher."""

    rate: ChatRateLimiter

    async def accept(self, incoming: Incoming) -> Reply | None: ...
    async def amend(self, incoming: Incoming) -> None: ...
    def settle(self, platform: str) -> None: ...
    async def leave(self, platform: str, chat: str) -> None: ...


class TelegramBot:
    """See core.domain.platform.Platform. Works inside `connected()`."""

    name = PLATFORM

    def __init__(self, token: str, api_url: str, *, drafts: bool = False, paces: Paces = PACES) -> None:
        base = f"{api_url.rstrip('/')}/bot"
        sending = HTTPXRequest(
            read_timeout=SEND_TIMEOUT, write_timeout=SEND_TIMEOUT, connect_timeout=10, pool_timeout=10
        )
        self._polling = HTTPXRequest(connection_pool_size=2, connect_timeout=10)
        self._bot = Bot(token, base, request=sending, get_updates_request=self._polling)
        self._members = Members(self._bot)
        self._drafts, self._paces = drafts, paces

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send. Waits for the network; raises SetupError for a token that is refused."""
        await self._until_known()
        try:
            log.info("Telegram: connected as @%s", self._bot.username)
            yield
        finally:
            await self._bot.shutdown()

    def channel(self, reply: Reply) -> TelegramReplyChannel:
        """Where a reply goes."""
        return TelegramReplyChannel(self._bot, reply, self._paces.of(reply.private), drafts=self._drafts)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """By getChatMember."""
        return await self._members.role(chat, author)

    async def run(self, store: Store, desk: Desk, presses: ButtonActions) -> None:
        """Take what comes in, for ever."""
        buttons = Buttons(self._bot, presses, desk.rate, self._paces)
        me = Me(self._bot.id, self._bot.username)
        async with asyncio.TaskGroup() as tasks:
            taking = Taking(store, desk, buttons, me, tasks)
            poller = Poller(self._bot, self._polling, taking.take, lambda: desk.settle(PLATFORM))
            tasks.create_task(logged("publishing the menus", lambda: publish(self._bot)))
            await must_not_end("asking Telegram for messages", poller.run)

    async def _until_known(self) -> None:
        pause = 1.0
        while True:
            try:
                await self._bot.initialize()
                await self._bot.delete_webhook()  # where one is set nothing can be polled; what waits is kept
                return
            except InvalidToken as error:
                await self._bot.shutdown()
                raise refused() from error
            except TelegramError as error:
                where = self._bot.base_url.partition("/bot")[0]
                log.warning("%s can't be reached: %s. Trying again in %.0f s.", where, type(error).__name__, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 30.0)


class Taking:
    """What happens with what comes in."""

    def __init__(self, store: Store, desk: Desk, buttons: Buttons, me: Me, tasks: asyncio.TaskGroup) -> None:
        self._store, self._desk, self._buttons, self._me, self._tasks = store, desk, buttons, me, tasks
        self._joined: deque[str] = deque(maxlen=JOINED)
        """Questions that came as several messages: none of them is the question."""

    async def take(self, groups: Sequence[Sequence[Update]]) -> None:
        """Updates in order, those together that belong together. Returns when all is stored that is to be."""
        messages: list[Incoming] = []
        for updates in groups:
            what = parse_safely(updates, self._me)
            if isinstance(what, Incoming):
                messages.append(what)
                if len(updates) > 1:
                    self._joined.append(what.external_id)
                continue
            await self._accept(messages)  # what comes after them may be about them
            messages.clear()
            await store_with_retry(f"update {updates[0].update_id}", partial(self._carry_out, what))
        await self._accept(messages)

    async def _accept(self, messages: Sequence[Incoming]) -> None:
        """One commit for all of them. A database in trouble is waited for: what is not stored is not confirmed."""
        taken = await asyncio.gather(*map(self._desk.accept, messages), return_exceptions=True)
        for message, result in zip(messages, taken, strict=True):
            if isinstance(result, Exception):
                log.error("%s can't be stored, trying again: %s", message.external_id, type(result).__name__)
                await store_with_retry(message.external_id, partial(self._desk.accept, message))

    async def _carry_out(self, what: Read | None) -> None:
        match what:
            case Edited(incoming) if incoming.external_id not in self._joined:
                await self._desk.amend(incoming)
            case Press() as press:
                self._tasks.create_task(logged("a press", lambda: self._buttons.answer(press)))
            case Moved(old, new):
                async with self._store.begin() as tx:
                    await tx.chats.change_id(PLATFORM, old, new)
            case Membership(chat, member=False):
                await self._desk.leave(PLATFORM, chat)
