"""Telegram as a whole: connect, publish the menus, take what comes in, show what goes out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from telegram import Bot, Update
from telegram.error import InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from bots.telegram_bot.members import Members
from bots.telegram_bot.menus import publish
from bots.telegram_bot.polling import Poller, refused
from bots.telegram_bot.presses import Buttons
from bots.telegram_bot.surface import Paces, TelegramSurface
from bots.telegram_bot.updates import PLATFORM, Me, Membership, Moved, Press, Read, read
from core.chat import Author, ChatId, Incoming, Reply, Role, Store
from core.presses import Presses
from core.rate import RateGate
from core.surface import Surface

log = logging.getLogger(__name__)

PACES = Paces()
SEND_TIMEOUT = 30.0
"""Seconds: the library's five would call many a slow send ambiguous."""


class Desk(Protocol):
    """What Telegram needs of the dispatcher."""

    rate: RateGate

    async def accept(self, incoming: Incoming) -> Reply | None: ...
    async def leave(self, platform: str, chat: str) -> None: ...


class TelegramBot:
    """See core.surface.Platform. Works inside `connected()`."""

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

    def surface(self, reply: Reply) -> Surface:
        """Where a reply goes."""
        return TelegramSurface(self._bot, reply, self._paces.of(reply.private), drafts=self._drafts)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """By getChatMember."""
        return await self._members.role(chat, author)

    async def run(self, store: Store, desk: Desk, presses: Presses) -> None:
        """Take what comes in, for ever."""
        buttons = Buttons(self._bot, presses, desk.rate, self._paces)
        me = Me(self._bot.id, self._bot.username)
        async with asyncio.TaskGroup() as tasks:

            async def take(updates: Sequence[Update]) -> None:
                match _understood(updates, me):
                    case Incoming() as incoming:
                        await desk.accept(incoming)
                    case Press() as press:
                        tasks.create_task(buttons.answer(press))
                    case Moved(old, new):
                        async with store.begin() as tx:
                            await tx.chats.move(PLATFORM, old, new)
                    case Membership(chat, member=False):
                        await desk.leave(PLATFORM, chat)

            tasks.create_task(publish(self._bot))
            await Poller(self._bot, self._polling, take).run()

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


def _understood(updates: Sequence[Update], me: Me) -> Read | None:
    """What they say; nothing, where reading them fails: tried again they would fail again, and hold up everybody."""
    try:
        return read(updates, me)
    except Exception as error:
        log.error("update %s can't be understood, set aside: %s", updates[0].update_id, type(error).__name__)
        return None
