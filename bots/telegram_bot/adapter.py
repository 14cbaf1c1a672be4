"""The Telegram adapter: connects, yields what comes in as events, and opens the channels through which replies go."""

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import starmap

from httpx import Response
from telegram import Bot, Update
from telegram.error import InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from bots.telegram_bot.button_handler import ButtonHandler, PressServices
from bots.telegram_bot.command_menu import publish_menus
from bots.telegram_bot.decoding import parse_safely
from bots.telegram_bot.forwards import with_comment
from bots.telegram_bot.group_forwards import GroupForward
from bots.telegram_bot.incoming import (
    PLATFORM,
    BotAccount,
    ChatlessPress,
    EditedMessage,
    Membership,
    Migration,
    Parsed,
    is_typed,
)
from bots.telegram_bot.long_polling import LongPoller, token_refused
from bots.telegram_bot.outgoing import RichSupport, TelegramReplyChannel
from bots.telegram_bot.roles import ChatRoles
from bots.telegram_bot.timing import TELEGRAM_TIMING, TelegramTiming
from core.commands.press import Press
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.inbound.events import (
    BotAdded,
    BotRemoved,
    ButtonPressed,
    CaughtUp,
    ChatMoved,
    Event,
    MessageEdited,
    MessageReceived,
)
from core.inbound.forwarded_together import ForwardedTogether
from core.runtime.platform_clock import PlatformClock
from core.runtime.supervision import logged

log = logging.getLogger(__name__)

if find_spec("sniffio") is None:
    # httpcore tries to import it at every lock, and where it is missing Python looks through the whole path each time:
    # a dozen times a question, half a millisecond of CPU. An entry of None says at once that there is none.
    sys.modules["sniffio"] = None  # type: ignore[assignment]

MAX_REMEMBERED_GROUPED = 1000
"""Questions made of several messages that are remembered, for when one of their messages is edited."""
MAX_REMEMBERED_TYPED = 1000
"""Private chats whose last message is remembered."""


def _host_now() -> int:
    """This machine's time; milliseconds UTC."""
    return time.time_ns() // 1_000_000


def _without_joined(events: Sequence[Event]) -> list[Event]:
    """The events of a batch without the messages that a later one of it holds too."""
    joined = {id for event in events if isinstance(event, MessageReceived) for id in event.message.joins}
    return [each for each in events if not (isinstance(each, MessageReceived) and each.message.external_id in joined)]


class TelegramBot:
    """Implements core.inbound.events.Adapter for one bot account."""

    name = PLATFORM

    def __init__(
        self,
        token: str,
        api_url: str,
        press_services: PressServices,
        *,
        drafts: bool = False,
        rich: bool = False,
        timing: TelegramTiming = TELEGRAM_TIMING,
    ) -> None:
        self._sending = HTTPXRequest(
            read_timeout=timing.send_timeout_s,
            write_timeout=timing.send_timeout_s,
            connect_timeout=timing.connect_timeout_s,
            pool_timeout=timing.connect_timeout_s,
        )
        self._polling = HTTPXRequest(connection_pool_size=2, connect_timeout=timing.connect_timeout_s)
        self._bot = Bot(token, f"{api_url.rstrip('/')}/bot", request=self._sending, get_updates_request=self._polling)
        self._clock = PlatformClock("Telegram", _host_now)
        self._roles = ChatRoles(self._bot)
        self._buttons = ButtonHandler(self._bot, press_services, timing)
        self._drafts, self._rich, self._timing = drafts, RichSupport(rich), timing
        self._grouped: deque[str] = deque(maxlen=MAX_REMEMBERED_GROUPED)
        """External ids of questions that came as several messages: an edit of one of those is no edit of the whole."""
        self._typed = dict[str, Incoming]()
        """The last message of each private chat, if it was typed: what it comments on may follow."""
        self._together = ForwardedTogether()
        """For groups, where nothing is waited for."""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send. Waits for the network; raises SetupError for a token that is refused."""
        await self._connect()
        try:
            log.info("Telegram: connected as @%s", self._bot.username)
            self._start("publishing the menus", partial(publish_menus, self._bot))
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._bot.shutdown()

    def now(self) -> int:
        """The time by Telegram's clock; milliseconds UTC."""
        return self._clock.now()

    def channel(self, reply: Reply) -> TelegramReplyChannel:
        """Where a reply goes."""
        pace = self._timing.private_pace if reply.private else self._timing.group_pace
        return TelegramReplyChannel(self._bot, reply, pace, drafts=self._drafts, rich=self._rich)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do in a chat, asked of Telegram at most once a minute. Raises DeliveryError."""
        return await self._roles.role(chat, author)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Everything that happens, without end. Used inside `connected()`.

        Nothing is confirmed to Telegram before all events of its batch are acknowledged; presses are not waited for.
        Raises SetupError where the token is not taken any more, or another program polls with it.
        """
        account = BotAccount(self._bot.id, self._bot.username)
        poller = LongPoller(self._bot, account, self._polling, self._timing)
        async with aclosing(poller.batches()) as batches:
            async for batch in batches:
                now_ms, to_store = time.time_ns() // 1_000_000, list[Event]()
                groups = [(parse_safely(updates, account, now_ms), updates) for updates in batch.groups]
                events = list(filter(None, starmap(self._event, groups or [(batch.parsed, ())])))
                for event in _without_joined(events) if len(events) > 1 else events:
                    yield event
                    if not isinstance(event, ButtonPressed):
                        to_store.append(event)
                    if isinstance(event, ChatMoved):  # what follows may be of the chat under its new id
                        await event.acknowledged()
                for event in to_store:
                    await event.acknowledged()
                if batch.is_caught_up:
                    yield CaughtUp(PLATFORM)

    def _event(self, parsed: Parsed | GroupForward | None, updates: Sequence[Update]) -> Event | None:
        """The event that something is; None for nothing that concerns the core. `updates`: those that it came in, where
        the library has read them."""
        match parsed:
            case Incoming() | GroupForward():
                asked = self._asked(parsed, updates)
                return None if asked is None else MessageReceived(asked)
            case EditedMessage(incoming):
                is_part = incoming.external_id in self._grouped or self._together.is_joined(incoming.external_id)
                return None if is_part else MessageEdited(incoming)
            case Press():
                event = ButtonPressed(parsed)
                self._start("a press", partial(self._buttons.handle, event))
                return event
            case ChatlessPress():
                self._start("a press", partial(self._buttons.refuse, parsed))
            case Migration(old, new):
                return ChatMoved(PLATFORM, old, new)
            case Membership(chat, is_member):
                return BotAdded(PLATFORM, chat) if is_member else BotRemoved(PLATFORM, chat)
        return None

    def _asked(self, parsed: Incoming | GroupForward, updates: Sequence[Update]) -> Incoming | None:
        """What is asked, with what was written or forwarded just before; None for what was forwarded to nobody."""
        if isinstance(parsed, GroupForward):
            return self._together.forwarded(parsed.incoming, parsed.forward, addressed=parsed.is_addressed)
        chat, may_be_comment = parsed.chat.chat, True
        if updates:
            messages = [update.message for update in updates if update.message is not None]
            parsed = with_comment(parsed, messages, self._typed.pop(chat, None))
            if len(messages) > 1 or parsed.joins:
                self._grouped.append(parsed.external_id)
            may_be_comment = len(messages) == 1 and is_typed(messages[0])
        if not parsed.private:
            return self._together.commented(parsed)
        if may_be_comment:
            if len(self._typed) >= MAX_REMEMBERED_TYPED:
                self._typed.clear()
            self._typed[chat] = parsed
        return parsed

    def _start(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run something beside everything else, until the connection ends. `what` is for the log."""
        task = asyncio.create_task(logged(what, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextmanager
    def _setting_clock(self) -> Iterator[None]:
        """Inside the block answers set the clock. Later ones need not: it is asked at the start alone."""

        async def set_clock(response: Response) -> None:
            self._clock.set(response.headers.get("Date"))

        client = self._sending._client  # after `initialize`, which makes a new one where the last was closed
        client.event_hooks = {"response": [set_clock]}
        try:
            yield
        finally:
            client.event_hooks = {}

    async def _connect(self) -> None:
        for pause in self._timing.connection_backoff.pauses():
            try:
                await self._bot.initialize()
                with self._setting_clock():
                    await self._bot.delete_webhook()  # with one set nothing can be polled; what waits is kept
                return
            except InvalidToken as error:
                await self._bot.shutdown()
                raise token_refused() from error
            except TelegramError as error:
                server = self._bot.base_url.partition("/bot")[0]
                log.warning("%s can't be reached: %s. Trying again in %.0f s.", server, type(error).__name__, pause)
            await asyncio.sleep(pause)
