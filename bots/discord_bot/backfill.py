"""Reading back over REST what was missed.

Discord does not repeat to a process what happened while it was away. So after every new login the conversations that
the bot knows are read back; the core ignores what it has stored. Until it is clear how far each was read, nothing new
is delivered: what happened just before it would seem to be read.

What is too old, or too far back, is not answered. Where that holds a message to the bot, its conversation is told once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from discord import Client, Message, Object
from discord.abc import Messageable

from bots.discord_bot.api import MAX_MESSAGES_PER_PAGE, call_shielded
from bots.discord_bot.errors import longer_pause
from bots.discord_bot.incoming import PLATFORM
from bots.discord_bot.interaction_token import PERSONAL_PREFIX
from bots.discord_bot.message_events import Deliver, MessageEvents
from bots.discord_bot.timing import DiscordTiming
from core.domain.conversation import ChatId, KnownChat
from core.domain.platform import Ambiguous, DeliveryError, NotSent
from core.domain.store import Store
from core.inbound.events import CaughtUp
from core.runtime.safe_traceback import safe_traceback

T = TypeVar("T")

log = logging.getLogger(__name__)

LOOK_BACK_MS = 24 * 3600 * 1000
"""Older messages are not read back."""
MAX_MESSAGES = 1000
"""Messages read back of a conversation: the newest, other people's chatter among them."""
MAX_PAGES = 2 * MAX_MESSAGES // MAX_MESSAGES_PER_PAGE
"""Pages of a conversation that are asked for. Beyond MAX_MESSAGES they are only searched for a message to the bot."""
TRIES_BEFORE_WARNING = 5
"""Tries to read back a conversation after which the owner is warned."""
DISCORD_EPOCH_MS = 1_420_070_400_000


class Backfill:
    """Reads back what was missed in each channel, one channel after another; first where people write now."""

    def __init__(
        self,
        client: Client,
        store: Store,
        events: MessageEvents,
        deliver: Deliver,
        now: Callable[[], int],
        timing: DiscordTiming,
    ) -> None:
        self._client, self._store, self._events, self._deliver = client, store, events, deliver
        self._now, self._timing = now, timing
        self._behind: dict[int, KnownChat] = {}
        """Channels that are still to be read back."""
        self._last_stored = 0
        """The id of the newest message that is stored of any channel."""
        self._reading: dict[int, asyncio.Task[None]] = {}
        """Channels that are being read back."""
        self._has_marks = asyncio.Event()
        """Set where `_behind` is complete: it is clear how far each channel was read."""
        self._needed, self._ready = asyncio.Event(), asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    def session_began(self) -> None:
        """A new login. Discord tells nothing of what was before it."""
        self._ready.clear()
        self.start_over()

    def session_ready(self) -> None:
        """The servers and channels of the session are cached."""
        self._ready.set()

    def start_over(self) -> None:
        """Something was missed: read everything back again."""
        self._has_marks.clear()
        self._needed.set()

    async def run(self) -> None:
        """Read back whenever something was missed, without end. CaughtUp is delivered after each time."""
        async with self._tasks:
            while True:
                await self._needed.wait()
                self._needed.clear()
                chats = await self._read_active_chats()
                self._last_stored = max((known.seq for known in chats), default=0)
                self._events.remember_threads(known.chat.thread for known in chats)
                self._behind = {channel: known for known in chats if (channel := channel_of(known.chat)) is not None}
                self._has_marks.set()
                await self._ready.wait()
                while self._behind and not self._needed.is_set():
                    await self._catch_up(next(iter(self._behind)))
                if not self._needed.is_set():
                    await self._wait_for_all()
                    await self._deliver(CaughtUp(PLATFORM))

    def is_behind(self, channel_id: int) -> bool:
        """Whether something of a channel may be missed that is not acknowledged yet."""
        return not self._has_marks.is_set() or channel_id in self._behind or channel_id in self._reading

    async def wait_for(self, channel_id: int) -> None:
        """Return when everything that was missed in a channel is acknowledged."""
        await self._has_marks.wait()
        await self._catch_up(channel_id)

    async def _catch_up(self, channel_id: int) -> None:
        if (earlier := self._reading.get(channel_id)) is not None:  # perhaps begun before the last login
            await asyncio.wait({earlier})
        if (known := self._behind.pop(channel_id, None)) is not None:
            self._reading[channel_id] = self._tasks.create_task(self._read_back(channel_id, known))
        if (task := self._reading.get(channel_id)) is not None:
            await asyncio.wait({task})

    async def _wait_for_all(self) -> None:
        """Also for what ChannelOrder has begun to read back."""
        while self._reading:
            await asyncio.wait(set(self._reading.values()))

    async def _read_back(self, channel_id: int, known: KnownChat) -> None:
        try:
            for message in await self._fetch_missed(channel_id, known):
                await self._events.received(message, live=False)
        except Exception as error:
            log.error("%s can't be read back:\n%s", known.chat, safe_traceback(error))
        finally:
            del self._reading[channel_id]

    async def _fetch_missed(self, channel_id: int, known: KnownChat) -> Sequence[Message]:
        """The newest messages after the last one that is stored, oldest first. Of those before, a message to the bot is
        delivered as missed. That comes first: stored after a newer message, it would be lost by a crash between them.
        """
        day_ago = first_snowflake(self._now() - LOOK_BACK_MS)
        # Where something was stored lately, the bot was there: the older messages were heard when they were written.
        was_here = self._last_stored > day_ago or not known.seq
        newest: list[Message] = []
        last_read = max(known.seq, day_ago) if was_here else known.seq
        async for message in self._newest_first(channel_id, known.chat, last_read):
            if message.id > day_ago and len(newest) < MAX_MESSAGES:
                newest.append(message)
            elif await self._events.missed(message):
                break
        return newest[::-1]

    async def _newest_first(self, channel_id: int, chat: ChatId, last_read: int) -> AsyncIterator[Message]:
        """The messages after the id `last_read`; those of MAX_PAGES at most."""
        channel = await self._ask(chat, partial(self._channel, channel_id))
        if channel is None or (getattr(channel, "last_message_id", None) or last_read + 1) <= last_read:
            return
        before: Message | None = None
        for _ in range(MAX_PAGES):
            await asyncio.sleep(self._timing.backfill_pause_s)
            page = await self._ask(chat, partial(_page, channel, before)) or []
            for message in page:
                if message.id <= last_read:
                    return
                yield message
            if len(page) < MAX_MESSAGES_PER_PAGE:
                return
            before = page[-1]
        log.info("%s: more was written than is looked through", chat)

    async def _ask(self, chat: ChatId, call: Callable[[], Awaitable[T]]) -> T | None:
        """What Discord answers, however long it takes: a newer message, once stored, would make these seem to be read.
        None where Discord refuses."""
        for count, pause in enumerate(self._timing.retry.pauses(), 1):
            try:
                return await call()
            except (NotSent, Ambiguous) as error:
                if count == TRIES_BEFORE_WARNING:
                    log.warning("%s can't be read back so far: %s", chat, type(error).__name__)
                await asyncio.sleep(longer_pause(error, pause))
            except DeliveryError as error:
                log.info("%s is not read back: %s", chat, type(error).__name__)
                return None
        raise AssertionError("a back-off never ends")

    async def _read_active_chats(self) -> Sequence[KnownChat]:
        for pause in self._timing.retry.pauses():
            try:
                async with self._store.begin() as tx:
                    return await tx.chats.active(PLATFORM)
            except Exception as error:
                log.error("the known conversations can't be read, trying again: %s", type(error).__name__)
            await asyncio.sleep(pause)
        raise AssertionError("a back-off never ends")

    async def _channel(self, channel_id: int) -> Messageable | None:
        channel = self._client.get_channel(channel_id) or await call_shielded(self._client.fetch_channel(channel_id))
        return channel if isinstance(channel, Messageable) else None


async def _page(channel: Messageable, before: Message | None) -> list[Message]:
    """The newest messages, or those right before one, newest first."""

    async def read() -> list[Message]:
        start = Object(before.id) if before else None
        return [message async for message in channel.history(limit=MAX_MESSAGES_PER_PAGE, before=start)]

    return await call_shielded(read())


def channel_of(chat: ChatId) -> int | None:
    """The channel whose history has the messages of a conversation; a thread is a channel of its own. None where it is
    one person's conversation in a channel: nothing of it is in a history."""
    return None if chat.thread.startswith(PERSONAL_PREFIX) else int(chat.thread or chat.chat)


def first_snowflake(at: int) -> int:
    """The smallest id of a time, in milliseconds UTC."""
    return max(at - DISCORD_EPOCH_MS, 0) << 22
