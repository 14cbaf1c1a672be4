"""Discord's messages as events of the core: located, read and checked; each is waited for until it is acknowledged."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from discord import Client, Message, PartialMessageable

from bots.discord_bot.api import Rest, call_shielded, payload
from bots.discord_bot.incoming import (
    MESSAGE_PREFIX,
    PLATFORM,
    BotIdentity,
    as_if_addressed,
    conversation,
    forward_of,
    parse_message,
)
from bots.discord_bot.roles import can_answer
from bots.wire_validation import has_valid_fields
from core.domain.conversation import ChatId, Incoming
from core.i18n import t
from core.inbound.events import Acceptance, Event, MessageDeleted, MessageEdited, MessageReceived, Receipt
from core.inbound.forwarded_together import ForwardedTogether
from core.runtime.failpoints import failpoint
from core.runtime.safe_traceback import safe_traceback
from core.runtime.supervision import logged

log = logging.getLogger(__name__)

MAX_THREADS = 50_000
"""Threads that are remembered: some megabytes."""

Deliver = Callable[[Event], Awaitable[Receipt]]
"""Yields an event to the core; returns its receipt."""


class MessageEvents:
    """Delivers what happens with single messages. Each method returns once the core has acknowledged it."""

    def __init__(self, client: Client, deliver: Deliver, tasks: asyncio.TaskGroup) -> None:
        self._client, self._deliver, self._tasks = client, deliver, tasks
        self._together = ForwardedTogether()
        self._threads: OrderedDict[str, None] = OrderedDict()
        """The one that was written in last comes last."""

    def remember_threads(self, threads: Iterable[str]) -> None:
        """Threads that the bot was asked in, the latest first: there it need not be mentioned any more. That holds for
        the latest MAX_THREADS."""
        for thread in filter(None, reversed(list(threads))):
            self._threads[thread] = None
            self._threads.move_to_end(thread)
        while len(self._threads) > MAX_THREADS:
            self._threads.popitem(last=False)

    async def received(self, message: Message, *, live: bool) -> None:
        """Somebody wrote a message. `live`: just now, so that they are told where the bot may not answer."""
        incoming, answerable = await self._read(message, joined=True)
        if incoming is None or not (answerable or live):
            return
        if answerable:
            self.remember_threads([incoming.chat.thread])
        failpoint("heard")
        receipt = await self._deliver(MessageReceived(incoming, answerable=answerable))
        if receipt.acceptance is Acceptance.UNANSWERABLE:
            explain = partial(self._explain_closed, message, incoming.chat, receipt.language)
            self._tasks.create_task(logged("saying that no answer is possible", explain))

    async def missed(self, message: Message) -> bool:
        """A message that is found too late to be answered. Returns whether it was one to the bot, and its conversation
        is told."""
        incoming, answerable = await self._read(message)
        if incoming is None or not answerable:
            return False
        receipt = await self._deliver(MessageReceived(replace(incoming, missed=True)))
        return receipt.acceptance is Acceptance.STORED

    async def edited(self, message: Message) -> None:
        """Somebody edited a message."""
        incoming, answerable = await self._read(message)
        if incoming is not None and answerable and not self._together.is_joined(incoming.external_id):
            await self._deliver(MessageEdited(incoming))

    async def deleted(self, channel_id: int, message_ids: Sequence[int]) -> None:
        """Messages of a channel were deleted."""
        chat = conversation(self._client.get_channel(channel_id)) or ChatId(PLATFORM, str(channel_id))
        for message_id in message_ids:
            await self._deliver(MessageDeleted(chat, str(self._bot.id), f"{MESSAGE_PREFIX}{message_id}"))

    @property
    def _bot(self) -> BotIdentity:
        return BotIdentity(self._client.user.id if self._client.user else 0, self._threads)

    async def _read(self, message: Message, *, joined: bool = False) -> tuple[Incoming | None, bool]:
        """What a message says to the bot, and whether the bot may answer there. None also where reading fails: tried
        again it would fail again, and hold up its channel. `joined`: with what came just before it, see
        ForwardedTogether."""
        try:
            await self._locate(message)
            incoming = parse_message(message, self._bot)
            if joined:
                incoming = self._joined(message, incoming)
            if incoming is None:
                return None, False
            if not has_valid_fields(incoming):
                raise ValueError
            return incoming, can_answer(message)
        except Exception as error:
            log.error("message %s can't be understood, set aside:\n%s", message.id, safe_traceback(error))
            return None, False

    def _joined(self, message: Message, incoming: Incoming | None) -> Incoming | None:
        """What is asked by a message, which is `incoming` by itself, with what its author sent just before."""
        if (forward := forward_of(message, self._bot)) is None:
            return incoming and self._together.commented(incoming)
        alone = incoming or as_if_addressed(message, self._bot)
        return alone and self._together.forwarded(alone, forward, addressed=incoming is not None)

    async def _locate(self, message: Message) -> None:
        """Ask for the channel of a message that may be for the bot, where the library doesn't know it: a thread that
        was archived until a moment ago."""
        bot, channel = self._bot, message.channel
        may_be_addressed = str(channel.id) in bot.threads or any(user.id == bot.id for user in message.mentions)
        if may_be_addressed and isinstance(channel, PartialMessageable):
            located: Any = await call_shielded(self._client.fetch_channel(channel.id))
            message.channel = located

    async def _explain_closed(self, message: Message, chat: ChatId, language: str) -> None:
        """Tell a person in private that the bot may not write where they asked it."""
        text = t(language, "discord.closed", channel=f"<#{message.channel.id}>")
        log.info("Discord: the bot may not write in %s; who asks it there is told so in private", chat)
        rest = Rest(self._client)
        try:
            await rest.create(await rest.direct(message.author.id), payload(text, None, nonce=f"c-{message.id}"))
        except Exception as error:
            log.info("Discord: nor can that be told: %s", type(error).__name__)
