"""What is said on Discord, stored in order: as it happens, and read back after an absence.

Discord tells nothing again to a process that was away. So after every new login the conversations that the bot knows
are read back over REST; the inbox knows what it has. Until it is known how far each was read, nothing new is stored, or
what came just before would seem to be read.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from discord import Client, Message, Object, PartialMessageable
from discord.abc import Messageable

from bots.discord_bot.api import call_shielded
from bots.discord_bot.incoming import PLATFORM, Me, read
from bots.discord_bot.interaction_token import PERSONAL
from core.domain.conversation import ChatId, Incoming, KnownChat, Reply
from core.domain.platform import Ambiguous, DeliveryError, NotSent
from core.domain.store import Store
from core.inbound.storing import has_valid_fields, store_with_retry
from core.runtime.failpoints import failpoint
from core.runtime.safe_traceback import safe_traceback
from core.runtime.supervision import Work, logged

log = logging.getLogger(__name__)

HELD = 1000
"""Messages that wait for a database in trouble; what comes after them is read back."""
LOOK_BACK = 24 * 3600 * 1000
"""Milliseconds."""
MOST = 100
"""Messages read back of a conversation: the newest."""
BETWEEN = 0.2
"""Seconds between two conversations that are read back."""
WORTH_TELLING = 5
"""After so many tries the owner hears of it."""


class Desk(Protocol):
    """What the inlet needs of the dispatcher."""

    async def accept(self, incoming: Incoming) -> Reply | None: ...
    async def amend(self, incoming: Incoming) -> None: ...
    def settle(self, platform: str) -> None: ...


class Inlet:
    """Takes messages in, each channel's in order.

    `answerable`: whether the bot can answer a message at all; and whether that was said just now.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        desk: Desk,
        tasks: asyncio.TaskGroup,
        answerable: Callable[[Message, Incoming, bool], bool],
        now: Callable[[], int],
    ) -> None:
        self._client, self._store, self._desk, self._tasks = client, store, desk, tasks
        self._answerable, self._now = answerable, now
        self._latest: dict[int, asyncio.Task[None]] = {}
        """The last message of each channel that is being stored."""
        self._behind: dict[int, KnownChat] = {}
        self._catching_up: dict[int, asyncio.Task[None]] = {}
        self._marked, self._missed, self._settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._threads: set[str] = set()
        self._held = 0

    def take(self, message: Message) -> None:
        """Something was said. Never waits."""
        if self._held >= HELD:
            self._read_anew()
            return
        self._line_up(message, partial(self._stored, message, live=True))

    def amend(self, message: Message) -> None:
        """Something was edited, and not by Discord itself: a link preview is no edit. Never waits."""
        if message.edited_at is not None and not message.author.bot and self._held < HELD:
            self._line_up(message, partial(self._amended, message))

    def _line_up(self, message: Message, work: Work) -> None:
        """Behind what happened in its channel before."""
        self._held += 1
        channel = message.channel.id
        turn = partial(self._in_turn, channel, work, self._latest.get(channel))
        task = self._tasks.create_task(logged(f"message {message.id}", turn))
        self._latest[channel] = task
        task.add_done_callback(lambda done: self._latest.pop(channel) if self._latest.get(channel) is done else None)

    def logged_in(self) -> None:
        """A new session has begun, which tells nothing of what was before it."""
        self._settled.clear()
        self._read_anew()

    def settled(self) -> None:
        """Its servers and channels are known."""
        self._settled.set()

    def _read_anew(self) -> None:
        self._marked.clear()
        self._missed.set()

    async def run(self) -> None:
        """Read back what was missed, whenever something was."""
        while True:
            await self._missed.wait()
            self._missed.clear()
            known = await self._until_known()
            self._threads |= {each.chat.thread for each in known}
            self._behind = {int(each.chat.thread or each.chat.chat): each for each in known if _is_place(each.chat)}
            self._marked.set()
            await self._settled.wait()
            while self._behind and not self._missed.is_set():
                await self._caught_up(next(iter(self._behind)))
            if not self._missed.is_set():
                await self._all_stored()
                self._desk.settle(PLATFORM)

    @property
    def me(self) -> Me:
        """The bot's own account, as it stands."""
        return Me(self._client.user.id if self._client.user else 0, self._threads)

    # Storing

    async def _in_turn(self, channel: int, work: Work, before: asyncio.Task[None] | None) -> None:
        """After what was said in its channel before, and what was missed there."""
        try:
            if before is not None:
                await asyncio.wait({before})
            await self._marked.wait()
            await self._caught_up(channel)
            await work()
        finally:
            self._held -= 1

    async def _stored(self, message: Message, *, live: bool) -> None:
        """A database in trouble is waited for."""
        incoming = await self._understood(message, live)
        if incoming is None:
            return
        self._threads.add(incoming.chat.thread)
        failpoint("heard")
        await store_with_retry(f"message {message.id}", lambda: self._desk.accept(incoming))

    async def _amended(self, message: Message) -> None:
        incoming = await self._understood(message, live=False)
        if incoming is not None:
            await store_with_retry(f"the edit of message {message.id}", lambda: self._desk.amend(incoming))

    async def _understood(self, message: Message, live: bool) -> Incoming | None:
        """Nothing, where reading it fails: tried again it would fail again, and hold up its channel."""
        try:
            await self._locate(message)
            incoming = read(message, self.me)
            if incoming is not None and not has_valid_fields(incoming):
                raise ValueError
            return incoming if incoming and self._answerable(message, incoming, live) else None
        except Exception as error:
            log.error("message %s can't be understood, set aside:\n%s", message.id, safe_traceback(error))
            return None

    async def _locate(self, message: Message) -> None:
        """A thread that was archived a moment ago is not known to the library, nor that it is one."""
        me, channel = self.me, message.channel
        wanted = str(channel.id) in me.threads or any(user.id == me.id for user in message.mentions)
        if wanted and isinstance(channel, PartialMessageable):
            located: Any = await call_shielded(self._client.fetch_channel(channel.id))
            message.channel = located

    # Reading back

    async def _caught_up(self, channel: int) -> None:
        """Return when everything that was missed in a channel is stored."""
        if (known := self._behind.pop(channel, None)) is not None:
            self._catching_up[channel] = self._tasks.create_task(self._catch_up(channel, known))
        if (task := self._catching_up.get(channel)) is not None:
            await asyncio.wait({task})

    async def _all_stored(self) -> None:
        """Return when what is being read back is stored, also where somebody who spoke there began with it."""
        while self._catching_up:
            await asyncio.wait(set(self._catching_up.values()))

    async def _catch_up(self, channel: int, known: KnownChat) -> None:
        try:
            for message in await self._missed_in(known):
                await self._stored(message, live=False)
        except Exception as error:
            log.error("%s can't be read back:\n%s", known.chat, safe_traceback(error))
        finally:
            del self._catching_up[channel]

    async def _missed_in(self, known: KnownChat) -> list[Message]:
        """However long it takes: what is stored after would make it seem to be read. One that can't be read is none."""
        for count, pause in enumerate(pauses(), 1):
            try:
                return await self._since(known)
            except (NotSent, Ambiguous) as error:
                if count == WORTH_TELLING:
                    log.warning("%s can't be read back so far: %s", known.chat, type(error).__name__)
                await asyncio.sleep(max(pause, error.wait if isinstance(error, NotSent) else 0))
            except DeliveryError as error:
                log.info("%s is not read back: %s", known.chat, type(error).__name__)
                break
        return []

    async def _until_known(self) -> Sequence[KnownChat]:
        for pause in pauses():
            try:
                async with self._store.begin() as tx:
                    return await tx.chats.active(PLATFORM)
            except Exception as error:
                log.error("the known conversations can't be read, trying again: %s", type(error).__name__)
            await asyncio.sleep(pause)
        return ()

    async def _since(self, known: KnownChat) -> list[Message]:
        """The newest messages after the last one that is stored, oldest first."""
        start = max(known.seq, snowflake(self._now() - LOOK_BACK))
        channel = await self._channel(known.chat)
        if channel is None or (getattr(channel, "last_message_id", None) or start + 1) <= start:
            return []
        await asyncio.sleep(BETWEEN)

        async def newest() -> list[Message]:
            return [each async for each in channel.history(limit=MOST, after=Object(start), oldest_first=False)]

        return sorted(await call_shielded(newest()), key=lambda message: message.id)

    async def _channel(self, chat: ChatId) -> Messageable | None:
        channel_id = int(chat.thread or chat.chat)
        channel = self._client.get_channel(channel_id) or await call_shielded(self._client.fetch_channel(channel_id))
        return channel if isinstance(channel, Messageable) else None


def _is_place(chat: ChatId) -> bool:
    """Whether it is a channel or thread of its own, and not one person's conversation in one."""
    return not chat.thread.startswith(PERSONAL)


def snowflake(at: int) -> int:
    """The first id of a time, in milliseconds UTC."""
    return max(at - 1_420_070_400_000, 0) << 22


def pauses() -> "itertools.chain[float]":
    """Seconds: 1, 2, 4, ... 30, 30, ..."""
    return itertools.chain((1.0, 2.0, 4.0, 8.0, 16.0), itertools.repeat(30.0))
